"""The environment as it is: identified, walked, its wheels, editables and layers read."""
