"""The configuration: one table of keys, what reads their values, the rules between them."""
