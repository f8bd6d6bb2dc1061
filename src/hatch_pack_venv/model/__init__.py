"""Plain values: every other package reads them, and nothing in them does I/O."""
