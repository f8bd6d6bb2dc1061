"""Fit a line through a few years and extrapolate it, with the framework's numpy."""

import json
import sys
from pathlib import Path

import numpy


def main() -> None:
    """Print the next value, and where everything comes from."""
    data = Path(sys.prefix, "share", "forecast", "series.json")
    values = json.loads(data.read_text())
    slope, start = numpy.polyfit(range(len(values)), values, 1)
    facts = {
        "next": round(float(start + slope * len(values)), 6),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "numpy": numpy.__file__,
        "own": __file__,
        "path": sys.path,
    }
    print(json.dumps(facts))
