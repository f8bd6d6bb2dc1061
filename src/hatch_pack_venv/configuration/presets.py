"""Names for patterns of what a running application rarely needs: `exclude-files = ["@tests"]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SITE: Final = "**/site-packages"

# Licence texts and other metadata are never meant, wherever their folders are named like these.
_METADATA: Final = f"!{_SITE}/*.dist-info/**"

PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    # Not `test` and `testing`, which applications import (django.test, numpy.testing), nor
    # `test_*.py`. astropy imports its tests folder when it is imported, and so does
    # jupyterlab.browser_check that of jupyterlab.
    "@tests": (
        f"{_SITE}/**/tests/",
        f"{_SITE}/test/",
        f"{_SITE}/**/conftest.py",
        f"!{_SITE}/astropy/tests/",
        f"!{_SITE}/jupyterlab/tests/",
        _METADATA,
    ),
    # Not `docs` in packages: those of botocore and boto3 hold code that is imported.
    "@docs": (
        f"{_SITE}/doc/",
        f"{_SITE}/docs/",
        "/share/doc/",
        "/share/man/",
        "/share/info/",
        "/man/",
    ),
    "@headers": (
        "/include/",
        *(f"{_SITE}/**/*.{kind}" for kind in ("h", "hh", "hpp", "hxx", "cuh", "pxd", "pxi")),
        _METADATA,
    ),
    "@static-libraries": (
        *(f"{_SITE}/**/*.{kind}" for kind in ("a", "la", "lib")),
        "/lib/**/*.a",
        _METADATA,
    ),
    # lazy_loader's `attach_stub` reads the `__init__.pyi` beside a package when it is imported
    # (scikit-image, librosa, mne).
    "@type-stubs": (
        f"{_SITE}/**/*.pyi",
        f"!{_SITE}/**/__init__.pyi",
        f"{_SITE}/**/py.typed",
        f"{_SITE}/*-stubs/**",
        _METADATA,
    ),
}
"""What each name stands for, as gitignore-style patterns below the environment."""


def unknown_presets(patterns: Iterable[str]) -> list[str]:
    """Return the names among some patterns that stand for nothing (`\\@` begins a pattern)."""
    return [each for each in patterns if each.startswith("@") and each not in PRESETS]


def pattern_groups(patterns: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the patterns of each preset, and then all others.

    What one of them takes back (`!`) is taken back from itself only.
    """
    given = list(patterns)
    presets = [PRESETS[each] for each in given if each in PRESETS]
    return [*presets, tuple(each for each in given if each not in PRESETS)]
