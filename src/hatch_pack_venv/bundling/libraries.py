"""The system's shared libraries that a bundle brings along.

What the interpreter's own modules and the packed extension modules need, and what that needs in
turn, is found as the dynamic loader finds it and placed once in `lib`.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..binaries.elf import needs_private_glibc
from .loader import Loader
from .vendoring import COPYLEFT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..binaries.elf import ElfFile

# What glibc consists of; libcrypt is no longer part of it where a library of its own provides it.
_GLIBC: Final = re.compile(
    r"ld-linux.*|ld64?|lib(?:BrokenLocale|anl|c|dl|m|mvec|nsl|nss_\w+|pthread|resolv|rt"
    r"|thread_db|util|c_malloc_debug|memusage|pcprofile)"
)
_NOT_GLIBC: Final = {"libnsl.so.2", "libnsl.so.3"}

# Parts of a graphics driver or of the door to it: they must match the target's kernel and card.
_DRIVERS: Final = (
    "libcuda.so*",
    "libnvidia-*.so*",
    "libnvcuvid.so*",
    "libOpenCL.so*",
    "libvulkan.so*",
    "libGL.so*",
    "libGLX*.so*",
    "libGLdispatch.so*",
    "libOpenGL.so*",
    "libGLES*.so*",
    "libEGL*.so*",
    "libdrm*.so*",
    "libgbm.so*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """The libraries that come along and those that do not.

    Parameters:
        found: each library, where it lies on this machine, by the name that it is needed by.
        left: for each library that is left to the target, the arcnames of what needs it.
    """

    found: Mapping[str, ElfFile] = field(default_factory=dict)
    left: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def serve(self, file: ElfFile) -> bool:
        """Whether a file needs one of them."""
        return any(name in self.found for name in file.needed)


def collect_libraries(
    objects: Iterable[tuple[str, ElfFile]],
    *,
    above: Sequence[ElfFile],
    prefix: Path,
    asked_for: Iterable[str] = (),
    loader: Loader | None = None,
) -> Libraries:
    """Find the libraries that some files need and glibc does not provide.

    Parameters:
        objects: what is packed, by arcname, in the order in which it matters.
        above: what loads them: the interpreter's library, and the interpreter.
        prefix: the environment; a library that is found in it is packed already.
        asked_for: keys of `COPYLEFT` that may come along.
    """
    collector = _Collector(prefix, frozenset(asked_for), loader or Loader())
    for arcname, file in objects:
        collector.add(arcname, [file, *above])
    return Libraries(
        found=dict(sorted(collector.found.items())),
        left={name: frozenset(users) for name, users in sorted(collector.left.items())},
    )


class _Collector:
    def __init__(self, prefix: Path, asked_for: frozenset[str], loader: Loader) -> None:
        self.prefix = prefix
        self.loader = loader
        self.refused = [
            pattern
            for name, patterns in COPYLEFT.items()
            if name not in asked_for
            for pattern in patterns
        ] + [*_DRIVERS]
        self.found: dict[str, ElfFile] = {}
        self.left: dict[str, set[str]] = {}

    def add(self, arcname: str, chain: Sequence[ElfFile]) -> None:
        """Look for what the first file of a chain needs."""
        for name in chain[0].needed:
            if name in self.found or is_of_glibc(name) or name.startswith("libpython"):
                continue
            if any(fnmatch.fnmatch(name, pattern) for pattern in self.refused):
                self.left.setdefault(name, set()).add(arcname)
                continue
            file = self.loader.find(name, chain)
            if file is None or self._is_packed(file.path) or needs_private_glibc(file.path):
                continue
            self.found[name] = file
            self.add(arcname, [file, *chain])

    def _is_packed(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self.prefix)


def is_of_glibc(name: str) -> bool:
    """Whether a library belongs to glibc, which every target has its own of."""
    stem = name.partition(".so")[0]
    return bool(_GLIBC.fullmatch(stem)) and name not in _NOT_GLIBC
