"""Archives and unpacked folders as they are read again: told, verified."""
