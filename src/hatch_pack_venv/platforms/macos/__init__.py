"""macOS, on any build system: detection, requirements, checks, bundle."""
