"""What a release is asked for: bill of materials, licence notices, provenance."""
