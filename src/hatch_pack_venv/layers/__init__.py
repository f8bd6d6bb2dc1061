"""Environments that lie beside each other and share what lies below."""
