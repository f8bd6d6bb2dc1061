"""The command `pack-venv`: options, messages, results for people."""
