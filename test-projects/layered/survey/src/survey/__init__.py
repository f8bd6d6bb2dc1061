"""Count with a C library of the framework, through a module of this environment."""

import json
import sys

import numpy
import tally


def main() -> None:
    """Print a count, and which files were loaded for it."""
    with open("/proc/self/maps") as maps:
        loaded = {line.split(None, 5)[5].strip() for line in maps if "libcounting" in line}
    facts = {
        "count": tally.count(20) + int(numpy.ones(2).sum()),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "loaded": sorted(loaded),
    }
    print(json.dumps(facts))
