"""Archives and unpacked folders read back: listed, verified, inspected."""
