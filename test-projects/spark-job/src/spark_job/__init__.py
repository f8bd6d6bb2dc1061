"""The code that runs on the executors."""

import sys

import numpy


def whereabouts(_number):
    """Report which interpreter runs this, and that numpy works there."""
    total = float(numpy.arange(10).sum())
    return {
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "package": __file__,
        "numpy": numpy.__file__,
        "total": total,
    }


def half(column):
    """Halve a column, as a pandas UDF gets it."""
    return column / numpy.float64(2)
