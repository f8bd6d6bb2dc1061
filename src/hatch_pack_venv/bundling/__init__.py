"""The base interpreter as part of an archive: what it is, what it needs, where that is found."""
