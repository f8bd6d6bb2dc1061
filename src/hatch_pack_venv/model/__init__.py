"""Values without input or output: everything above reads them, nothing in them reads a file."""
