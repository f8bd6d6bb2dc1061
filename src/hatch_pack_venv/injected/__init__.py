"""Files that are shipped inside archives as they are, never run by the build."""
