"""Differences between Linux, macOS and Windows; files with the same purpose share a name."""
