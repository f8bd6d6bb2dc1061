"""The only step that writes: archives, folders and bytecode, each whole or not at all."""
