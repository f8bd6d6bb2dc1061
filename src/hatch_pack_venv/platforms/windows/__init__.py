"""Windows, whatever system packs: detection, launchers, requirements, checks, bundle."""
