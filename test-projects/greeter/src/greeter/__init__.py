"""Greets by name, from package data and with a dependency."""
