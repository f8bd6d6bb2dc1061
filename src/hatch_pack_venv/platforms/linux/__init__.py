"""Linux: what files require of it, and its bundled interpreter."""
