"""Small files that know where their environment lies: launchers, activation, kernelspecs."""
