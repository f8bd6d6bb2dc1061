"""Support for tests: real interpreters, environments and namespaces; fakes for pure code."""
