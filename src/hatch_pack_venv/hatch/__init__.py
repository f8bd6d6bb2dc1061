"""What the Hatch plugin does: when to pack, where to, and what is cleaned."""
