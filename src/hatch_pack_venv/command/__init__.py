"""The command's arguments and what it shows."""
