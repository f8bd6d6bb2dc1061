"""macOS, whatever system packs: detection, requirements, checks, bundle."""
