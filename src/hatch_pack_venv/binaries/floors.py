"""What a target must have at least, read from the packed files themselves.

The dynamic linker refuses a file that wants a version of symbols which the system's glibc does not
have. Wheel tags promise a floor, files tell it. What only modules load that hardly any application
imports is told, and refuses no system: the archive's tag and its checks are of all the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..windows.path_budget import told as told_budget
from .headers import read_header, with_copies
from .launcher_checks import glibc_check, libstdcxx_check
from .seldom import loaded_by, seldom_loaded
from .wants import LIBSTDCXX, Version, Wants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ..entries import Content, FileEntry, ScannedEntry

_NO_ELF: Final = (".py", ".pyi", ".pyc", ".pxd", ".h", ".hpp", ".txt", ".json", ".js")
# PEP 600 has no tag below: manylinux1 is glibc 2.5, on x86 only.
_LOWEST_TAG: Final = {"x86_64": (2, 5), "i686": (2, 5)}
_LOWEST_TAG_ELSEWHERE: Final = (2, 17)
# The oldest tag that allows a libstdc++ (auditwheel's policies): systems with that glibc have it.
_TAG_OF_GLIBCXX: Final = (
    ((3, 4, 8), (2, 5)),
    ((3, 4, 13), (2, 12)),
    ((3, 4, 19), (2, 17)),
    ((3, 4, 22), (2, 24)),
    ((3, 4, 24), (2, 27)),
    ((3, 4, 28), (2, 31)),
    ((3, 4, 29), (2, 34)),
    ((3, 4, 30), (2, 35)),
    ((3, 4, 33), (2, 39)),
)
# musl has no versions of symbols; what is built for 1.2 (2020) runs on every later one (PEP 656).
_MUSL_TAG: Final = "musllinux_1_2"
# What any CPython that a target brings needs itself: no 3.9 or later was built for older systems.
_ANY_INTERPRETER: Final = (2, 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A least version and the file that asks for it."""

    version: Version
    file: str

    def facts(self) -> dict[str, str]:
        """Return what the manifest says of it."""
        return {"version": _text(self.version), "file": self.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What all packed files together ask for.

    Parameters:
        libc: `glibc`, `musl`, or `None` if nothing packed needs either.
        interpreter: the version of glibc without which the interpreter does not start.
        seldom: what modules that hardly any application imports ask for beyond `glibc`.
    """

    libc: str | None = None
    glibc: Floor | None = None
    glibcxx: Floor | None = None
    interpreter: Version = _ANY_INTERPRETER
    seldom: Mapping[str, Floor] = field(default_factory=dict)

    def platform_tag(self, tag: str) -> str:
        """Return a platform's tag with what is needed in it (PEP 600, PEP 656)."""
        machine = tag.removeprefix("linux_")
        if machine == tag or self.libc is None:
            return tag
        if self.glibc is None:
            return f"{_MUSL_TAG}_{machine}"
        lowest = _LOWEST_TAG.get(machine, _LOWEST_TAG_ELSEWHERE)
        of_glibcxx = lowest
        if self.glibcxx is not None:
            wanted = self.glibcxx.version
            tags = (tag for version, tag in _TAG_OF_GLIBCXX if version >= wanted)
            of_glibcxx = next(tags, _TAG_OF_GLIBCXX[-1][1])
        major, minor = max(lowest, self.glibc.version[:2], of_glibcxx)
        return f"manylinux_{major}_{minor}_{machine}"

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest says of the platform.

        Parameters:
            tag: the build machine's platform.
        """
        floors = {"glibc": self.glibc, "glibcxx": self.glibcxx}
        seldom = [{"module": name, **floor.facts()} for name, floor in self.seldom.items()]
        return {
            "tag": self.platform_tag(tag),
            **({} if self.libc is None else {"libc": self.libc}),
            **{name: floor.facts() for name, floor in floors.items() if floor is not None},
            **({"seldom": seldom} if seldom else {}),
        }

    def check(self) -> str:
        """Return Python statements that end a script where it cannot run, in one sentence.

        Empty where the interpreter itself would not start there.
        """
        statements = ""
        if self.glibc is not None and self.glibc.version[:2] > self.interpreter[:2]:
            statements += glibc_check(self.glibc.version, told(self.glibc.facts()))
        if self.glibcxx is not None:
            statements += libstdcxx_check(told_needs({"glibcxx": self.glibcxx.facts()})[0])
        return statements


@dataclass(frozen=True)
class Floors:
    """What files ask for, by what they hold.

    Parameters:
        wants: of those that ask for something.
        kind: machine and word size of the interpreter; other files than those are for no process
            of this archive.
    """

    wants: Mapping[Content, Wants] = field(default_factory=dict)
    kind: tuple[int, bool] | None = None

    @classmethod
    def read(cls, entries: Iterable[ScannedEntry], executable: Path) -> Floors:
        """Read all ELF files among entries and their copies.

        Parameters:
            executable: the interpreter.
        """
        contents = {
            entry.content for entry in with_copies(entries) if not entry.arcname.endswith(_NO_ELF)
        }
        read = {content: read_header(content, Wants.from_stream) for content in contents}
        interpreter = read_header(executable, Wants.from_stream)
        return cls(
            {content: wants for content, wants in read.items() if wants is not None},
            None if interpreter is None else interpreter.kind,
        )

    def of(self, entries: Iterable[ScannedEntry]) -> Needs:
        """Return what entries ask for together; later ones stand in the place of earlier ones."""
        found = {
            entry.arcname: wants
            for entry in with_copies(entries)
            if (wants := self._at(entry)) is not None
        }
        seldom = seldom_loaded(found)
        common = {name: wants for name, wants in found.items() if name not in seldom}
        start = loaded_by(filter(_starts_python, found), found)
        kinds = {wants.libc for wants in found.values()}
        glibc = _highest({name: wants.glibc for name, wants in common.items()})
        return Needs(
            libc=next((libc for libc in ("glibc", "musl") if libc in kinds), None),
            glibc=glibc,
            glibcxx=_highest(
                {
                    name: wants.glibcxx
                    for name, wants in common.items()
                    if not _brings_libstdcxx(name, wants, found)
                }
            ),
            interpreter=max([found[name].glibc for name in start], default=_ANY_INTERPRETER),
            seldom=_beyond(() if glibc is None else glibc.version, seldom, found),
        )

    def _at(self, entry: FileEntry) -> Wants | None:
        wants = self.wants.get(entry.content) if self.wants else None
        return wants if wants is not None and self.kind in (None, wants.kind) else None


def told(fact: Mapping[str, Any], name: str = "glibc") -> str:
    """Return a floor of the manifest in words: `glibc 2.34 or later (numpy/core/x.so)`."""
    file = str(fact.get("file")).rpartition("/site-packages/")[2]
    return f"{name} {fact.get('version')} or later ({file})"


def told_needs(platform: Mapping[str, Any]) -> list[str]:
    """Return what a manifest's platform asks of the target, in words."""
    names = {
        "glibc": "glibc",
        "glibcxx": "libstdc++ with GLIBCXX",
        "macos": "macOS",
        "windows": "Windows",
    }
    needs = [told(platform[key], name) for key, name in names.items() if key in platform]
    if "path_budget" in platform:
        needs.append(told_budget(platform["path_budget"]))
    return needs + _told_seldom(platform.get("seldom", ()))


def _told_seldom(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what seldom modules ask for, those with the same version together."""
    told = []
    for version in dict.fromkeys(fact["version"] for fact in facts):
        same = [fact for fact in facts if fact["version"] == version]
        modules = " and ".join(fact["module"] for fact in same)
        files = ", ".join(dict.fromkeys(fact["file"] for fact in same))
        told.append(f"glibc {version} or later for {modules} alone ({files})")
    return told


def _highest(versions: Mapping[str, Version]) -> Floor | None:
    highest = max(versions.values(), default=())
    if not highest:
        return None
    files = sorted(name for name, version in versions.items() if version == highest)
    return Floor(version=highest, file=files[0])


def _beyond(
    version: Version, seldom: Mapping[str, str], found: Mapping[str, Wants]
) -> dict[str, Floor]:
    """Return what seldom modules ask for, where it is more than a version."""
    floors = {
        module: _highest({name: found[name].glibc for name in seldom if seldom[name] == module})
        for module in sorted(set(seldom.values()))
    }
    return {module: floor for module, floor in floors.items() if floor and floor.version > version}


def _brings_libstdcxx(arcname: str, wants: Wants, found: Mapping[str, Wants]) -> bool:
    """Whether the libstdc++ that a file loads is packed, in `lib` or where it looks itself."""
    places = {f"lib/{LIBSTDCXX}", *wants.places_of(LIBSTDCXX, arcname)}
    return not places.isdisjoint(found)


def _starts_python(arcname: str) -> bool:
    """Whether a file is loaded before any script runs."""
    return bool(re.fullmatch(r"bin/python[\d.]+t?|lib/libpython[^/]+", arcname))


def _text(version: Version) -> str:
    return ".".join(map(str, version))
