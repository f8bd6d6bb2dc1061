"""What Linux and macOS share: launchers, activation, data files, the standard library."""
