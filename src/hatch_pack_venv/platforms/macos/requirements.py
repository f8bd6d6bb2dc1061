"""Minimum requirements on a Mac, read from the packed Mach-O files themselves.

The loader of macOS does not compare versions: a file for a later one fails at the first missing
symbol, or later still. So launchers and `postinstall.py` check the version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ...binary.headers import HeaderReader
from ...binary.macho import MachO
from ...model.entries import with_copies
from ...model.requirements import (
    Excess,
    FileRequirements,
    Floor,
    PlatformRequirements,
    describe_floor,
    exceeds,
    version_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ...binary.macho import Slice
    from ...model.entries import Content, ScannedEntry
    from ...model.requirements import Ceiling, Version


# Every Mac with Apple's processors has it (`delocate` and pip assume so in PEP 425 tags, too).
_FIRST_ARM64: Final = (11, 0)
UNIVERSAL: Final = frozenset({"arm64", "x86_64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MacosRequirements(PlatformRequirements):
    """The combined requirements of all packed files.

    Parameters:
        macos: the minimum release, or `None` if no packed file states one.
        architectures: those supported by every file.
        starts: the minimum release of the packed interpreter itself.
    """

    macos: Floor | None = None
    architectures: frozenset[str] = frozenset()
    starts: Version = ()

    def platform_tag(self, tag: str) -> str:
        """Return a platform tag that states the requirements (PEP 425, `delocate`).

        From macOS 11 on, tags have no minor version.
        """
        match = re.fullmatch(r"macosx_(\d+_\d+)_(\w+)", tag)
        if match is None:
            return tag
        release, machine = match.groups()
        if self.macos is not None:
            major, minor = (*self.macos.version, 0)[:2]
            release = f"10_{minor}" if major == 10 else f"{major}_0"
        if self.architectures >= UNIVERSAL:
            machine = "universal2"
        elif len(self.architectures) == 1:
            (machine,) = self.architectures
        return f"macosx_{release}_{machine}"

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest records about the platform."""
        facts: dict[str, Any] = {"tag": self.platform_tag(tag)}
        if self.macos is not None:
            facts["macos"] = self.macos.facts()
        if len(self.architectures) == 1:
            facts["machine"] = min(self.architectures)
        return facts

    def check(self) -> str:
        """Return Python statements that exit a script, with one sentence, on a Mac that is too old.

        Empty if the packed interpreter does not support older ones either.
        """
        if self.macos is None or (self.starts and self.starts >= self.macos.version):
            return ""
        major, minor = (*self.macos.version, 0)[:2]
        least = (10, minor) if major == 10 else (major, 0)
        return macos_check(least, describe_floor(self.macos.facts(), "macOS"))


@dataclass(frozen=True)
class MacosFileRequirements(FileRequirements):
    """What files require of a Mac, by content.

    Parameters:
        files: the Mach-O files.
    """

    files: Mapping[Content, MachO] = field(default_factory=dict)

    @classmethod
    def read(cls, entries: Iterable[ScannedEntry], headers: HeaderReader) -> MacosFileRequirements:
        """Read all Mach-O files among entries and their copies."""
        found = headers.all_of(entries)
        return cls(files={each: file for each, file in found.items() if isinstance(file, MachO)})

    def at(self, entries: Iterable[ScannedEntry]) -> dict[str, MachO]:
        """Return the Mach-O files among entries; a later entry replaces an earlier one."""
        there = {entry.arcname: self.files.get(entry.content) for entry in with_copies(entries)}
        return {name: file for name, file in there.items() if file is not None}

    def beyond(self, entries: Iterable[ScannedEntry], ceiling: Ceiling) -> list[Excess]:
        """Return which files are for a later macOS."""
        found = self.at(entries)
        releases = _releases(found, common_architectures(found.values()))
        return [
            Excess(
                file=name,
                key="max-macos",
                limit=ceiling.macos or (),
                needs=f"macOS {version_text(version)}",
            )
            for name, version in sorted(releases.items())
            if exceeds(version, ceiling.macos)
        ]

    def of(self, entries: Iterable[ScannedEntry]) -> MacosRequirements:
        """Return the combined requirements of entries."""
        found = self.at(entries)
        common = common_architectures(found.values())
        floors = [Floor(version=v, file=n) for n, v in sorted(_releases(found, common).items())]
        highest = max((floor.version for floor in floors), default=())
        starts = (v for n, v in _releases(found, common).items() if n.startswith("bin/python"))
        return MacosRequirements(
            macos=next((floor for floor in floors if floor.version == highest), None),
            architectures=common,
            starts=max(starts, default=()),
        )


def common_architectures(files: Iterable[MachO]) -> frozenset[str]:
    """Return the architectures that all files support."""
    sets = [file.architectures for file in files]
    return frozenset.intersection(*sets) if sets else frozenset()


def read_macho(content: Content | Path) -> MachO | None:
    """Return a Mach-O file, or `None`; the writer reports a file that cannot be read."""
    headers = HeaderReader().of_content(content)
    return headers if isinstance(headers, MachO) else None


def _releases(found: Mapping[str, MachO], architectures: frozenset[str]) -> dict[str, Version]:
    """Return the minimum release of each file that states one.

    Parameters:
        architectures: those that count; if empty, all of them.
    """
    releases = {
        name: max(
            (
                _release(each, architectures)
                for each in file.slices
                if not architectures or each.architecture in architectures
            ),
            default=(),
        )
        for name, file in found.items()
    }
    return {name: version for name, version in releases.items() if version}


def _release(part: Slice, architectures: frozenset[str]) -> Version:
    """Return a slice's release, ignoring arm64's first if x86-64 is supported as well."""
    first = part.architecture == "arm64" and part.minos <= _FIRST_ARM64
    return () if first and architectures >= UNIVERSAL else part.minos


def macos_check(least: Version, needed: str) -> str:
    """Return statements that exit a script on a Mac that is too old.

    They use the kernel's release (Darwin 19 is macOS 10.15, 20 is 11, 24 is 15, 25 is 26): the
    `platform` module would read a property list, which takes longer than everything else.

    Parameters:
        needed: the floor in words.
    """
    return f"""\
import os

darwin = int(os.uname().release.split(".")[0])
macos = (10, darwin - 4) if darwin < 20 else (darwin - 9 if darwin < 25 else darwin + 1, 0)
if os.uname().sysname == "Darwin" and macos < {least}:
    has = ".".join(map(str, macos if darwin < 20 else macos[:1]))
    sys.exit(__file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a} + has)

"""
