"""The Python API: the packing pipeline, the venvstacks functions and `convert_symlinks`."""
