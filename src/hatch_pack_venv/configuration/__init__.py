"""The configuration's keys, values and the rules between them."""
