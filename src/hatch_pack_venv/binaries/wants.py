"""What one ELF file asks of the system that loads it.

Only its dynamic section and the versions of symbols that it wants are read, in about 0.2 ms.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from .dynamic_section import DynamicSection

if TYPE_CHECKING:
    from collections.abc import Iterator

Version: TypeAlias = tuple[int, ...]

LIBSTDCXX: Final = "libstdc++.so.6"
_NUMBERED: Final = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)+)")
# Versions without a number that later glibcs answer to (glibc, NEWS of the release).
_UNNUMBERED: Final = {"GLIBC_ABI_DT_RELR": (2, 36), "GLIBC_ABI_GNU2_TLS": (2, 42)}
# The GLIBCXX of the release of libstdc++ that brought a CXXABI ("ABI Policy and Guidelines", GCC);
# the older ones are of systems below every tag.
_GLIBCXX_OF_CXXABI: Final = (
    ((1, 3, 1), (3, 4)),
    ((1, 3, 3), (3, 4, 11)),
    ((1, 3, 7), (3, 4, 18)),
    ((1, 3, 8), (3, 4, 20)),
    ((1, 3, 9), (3, 4, 21)),
    ((1, 3, 10), (3, 4, 22)),
    ((1, 3, 11), (3, 4, 23)),
    ((1, 3, 12), (3, 4, 26)),
    ((1, 3, 13), (3, 4, 29)),
    ((1, 3, 14), (3, 4, 31)),
    ((1, 3, 15), (3, 4, 33)),
)
_MUSL: Final = re.compile(r"libc\.musl-\w+\.so\.1|libc\.so")
_ORIGIN: Final = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What one file asks for.

    Parameters:
        kind: machine and word size.
        libc: `glibc` or `musl`, where it can be told.
        glibc, glibcxx: the highest versions of symbols; CXXABI counts as the GLIBCXX it came with.
        needed: the libraries that it loads.
        beside: where it looks for them, relative to its own folder.
    """

    kind: tuple[int, bool]
    libc: str | None = None
    glibc: Version = ()
    glibcxx: Version = ()
    needed: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @classmethod
    def from_stream(cls, stream: BinaryIO) -> Wants | None:
        """Read a file; `None` if it is no ELF file, or asks for nothing."""
        section = DynamicSection.from_stream(stream)
        if section is None:
            return None
        highest: dict[str, Version] = {"GLIBC": (), "GLIBCXX": ()}
        for need in section.version_needs(stream):
            name, version = _parsed(need.version)
            # A library that an installer renamed (libstdc++-1b2c3d.so.6) is in the same wheel.
            if not need.weak and (name == "GLIBC" or need.library == LIBSTDCXX):
                highest[name] = max(highest.get(name, ()), version)
        musl = any(_MUSL.fullmatch(name) for name in section.needed)
        return cls(
            kind=(section.machine, section.wide),
            libc="glibc" if highest["GLIBC"] else "musl" if musl else None,
            glibc=highest["GLIBC"],
            glibcxx=highest["GLIBCXX"],
            needed=section.needed,
            beside=tuple(_beside(section)),
        )

    def places_of(self, library: str, arcname: str) -> Iterator[str]:
        """Yield the names at which a library would be found by the file's own search path.

        Parameters:
            arcname: of the file.
        """
        for folder in self.beside:
            yield posixpath.normpath(posixpath.join(posixpath.dirname(arcname), folder, library))


def _beside(section: DynamicSection) -> Iterator[str]:
    for text in section.search_paths:
        for folder in text.text.split(":"):
            origin = _ORIGIN.match(folder)
            if origin is not None:
                yield folder[origin.end() :].lstrip("/")


def _parsed(version: str) -> tuple[str, Version]:
    match = _NUMBERED.fullmatch(version)
    if match is None:
        return "GLIBC", _UNNUMBERED.get(version, ())
    numbers = tuple(map(int, match[2].split(".")))
    return ("GLIBCXX", _glibcxx_of(numbers)) if match[1] == "CXXABI" else (match[1], numbers)


def _glibcxx_of(cxxabi: Version) -> Version:
    newest = _GLIBCXX_OF_CXXABI[-1][1]
    return next((glibcxx for abi, glibcxx in _GLIBCXX_OF_CXXABI if abi >= cxxabi), newest)
