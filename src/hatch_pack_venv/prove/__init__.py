"""The proof: what was packed runs once before it is released, with its originals hidden."""
