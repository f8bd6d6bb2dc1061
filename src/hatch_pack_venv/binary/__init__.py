"""Readers of ELF, Mach-O and PE files, and patches to copies of them: bytes in, values out."""
