"""Kinds of files, told by their names: pure."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

from ..configuration.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

# In this order, so that what a preset would leave out is counted under its name.
_PRESETS: Final[Mapping[str, str]] = {
    "@tests": "tests",
    "@docs": "documentation",
    "@headers": "headers",
    "@static-libraries": "static libraries",
    "@type-stubs": "type stubs",
}
_SUFFIXES: Final[Mapping[str, str]] = {
    ".py": "Python source",
    ".pyw": "Python source",
    ".pyc": "byte code",
    ".so": "shared objects",
    ".pyd": "shared objects",
    ".dll": "shared objects",
    ".dylib": "shared objects",
    ".pyi": "type stubs",  # those that the preset leaves in, too
}
_VERSIONED: Final = re.compile(r"\.so(\.\d+)+$")  # libssl.so.3

KINDS: Final = (
    *dict.fromkeys([*_SUFFIXES.values(), *_PRESETS.values()]),
    "metadata",
    "programs",
    "data",
)
"""All that there are."""


def kind_of(arcname: str) -> str:
    """Return the kind of a file below an install target.

    Byte code is byte code also where its source is of tests; `programs` are what lies in `bin` or
    `Scripts`, `metadata` what lies in `*.dist-info`.
    """
    folder, name = posixpath.split(arcname)
    suffix = posixpath.splitext(name)[1].lower()
    if suffix == ".pyc":
        return "byte code"
    if folder.rpartition("/")[2].endswith((".dist-info", ".egg-info")) or ".dist-info/" in folder:
        return "metadata"
    for preset, kind in _PRESETS.items():
        if _spec(preset).match_file(arcname):
            return kind
    if folder in ("bin", "Scripts"):
        return "programs"
    if _VERSIONED.search(name):
        return "shared objects"
    return _SUFFIXES.get(suffix, "data")


@cache
def _spec(preset: str) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(PRESETS[preset])
