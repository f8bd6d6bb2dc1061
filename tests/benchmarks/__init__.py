"""Measurements against other packers: `python -m tests.benchmarks`, not collected by pytest."""
