"""What installers leave behind: distributions, RECORD, `.pth`, editables, `pyvenv.cfg`."""
