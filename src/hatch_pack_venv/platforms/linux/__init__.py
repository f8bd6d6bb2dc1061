"""Linux: what files ask of it, and the interpreter bundled for it."""
