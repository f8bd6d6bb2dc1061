"""What a worker does."""

import sys

import humanize


def where(number):
    """Say who is asked, and what the environment's packages make of a number."""
    return {
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "package": __file__,
        "humanize": humanize.__file__,
        "said": humanize.intcomma(number),
    }
