"""The documents of a release: bill of materials, licence notices, provenance."""
