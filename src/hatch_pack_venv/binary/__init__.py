"""Readers of ELF, Mach-O and PE files, and changes to copies of them: bytes in, values out."""
