"""Rules of environments of Windows, whatever system packs them."""
