"""Windows, on any build system: detection, launchers, requirements, checks, bundle."""
