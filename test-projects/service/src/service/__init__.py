"""A service with compiled dependencies."""
