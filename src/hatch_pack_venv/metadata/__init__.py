"""What installers write: distributions, RECORD, `.pth`, editables, `pyvenv.cfg`."""
