"""The configuration: one table of keys, the parsers of their values, the rules between them."""
