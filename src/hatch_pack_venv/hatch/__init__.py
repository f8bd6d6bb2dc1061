"""The Hatch plugin: when to pack, where to write archives, and what to clean."""
