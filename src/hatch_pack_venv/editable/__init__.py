"""Editable installs: recognised, and settled before anything is packed."""
