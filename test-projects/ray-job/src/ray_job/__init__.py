"""The code that a worker runs."""

import sys

import humanize


def where(number):
    """Report the running interpreter, and a number as the environment's humanize formats it."""
    return {
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "package": __file__,
        "humanize": humanize.__file__,
        "said": humanize.intcomma(number),
    }
