"""Rules of environments of macOS, whatever system packs them."""
