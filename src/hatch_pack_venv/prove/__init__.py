"""The proof: what was packed has run before it is released, with its originals out of sight."""
