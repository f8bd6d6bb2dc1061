"""The only step that writes: archives, folders, byte code, all of it whole or not at all."""
