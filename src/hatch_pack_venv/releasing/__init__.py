"""What surrounds a packing in a project's release: when, where to, and what is cleaned."""
