"""Everything that is decided about an archive, decided before anything is written."""
