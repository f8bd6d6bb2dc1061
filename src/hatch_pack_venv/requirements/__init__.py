"""Checks of what the project requires against what is installed."""
