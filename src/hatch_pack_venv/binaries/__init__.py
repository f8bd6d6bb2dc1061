"""What ELF files say: where they look for libraries, what they ask of the system."""
