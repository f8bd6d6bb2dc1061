"""The Python API: packing read like prose, the functions of venvstacks, converted links."""
