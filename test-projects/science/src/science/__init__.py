"""Computes something with numpy, scipy and pandas."""
