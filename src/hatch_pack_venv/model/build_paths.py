"""Paths of the build machine that nothing packed should name, and what naming one means."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


ENVIRONMENT: Final = "the environment's old place"
BASE: Final = "the base interpreter"
PROJECT: Final = "the project folder"
HOME: Final = "the home folder"
CONTAINING: Final = "the folder of the layers"

# Folders of every machine: that a file names one tells nothing of the machine it was packed on.
_SYSTEM_FOLDERS: Final = re.compile(
    r"/|/(bin|etc|home|lib|lib64|media|mnt|nonexistent|opt|private|proc|run|sbin|srv|tmp|usr|Users)"
    r"|/usr/(bin|lib|lib64|local|share)|/var(/lib|/tmp)?"
)

# A path of Windows, and those of them that every machine has.
_ON_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_WINDOWS_FOLDERS: Final = re.compile(
    r"[A-Z]:(\\(Program Files( \(x86\))?|ProgramData|Users|Windows|Temp|Python\d*))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPath:
    """A folder as files may spell it.

    Parameters:
        kind: what it is, for messages.
        path: without a slash at its end.
        names: if not `None`, only these names in it count: `/root` and `/app` alone are words
            that files of any origin hold.
    """

    kind: str
    path: bytes
    names: frozenset[bytes] | None = None


def is_tellable(folder: str | Path) -> bool:
    """Whether a folder is no system folder, so that its name belongs to one machine."""
    if _ON_WINDOWS.match(str(folder)):
        plain = str(folder).replace("/", "\\").rstrip("\\")
        return _WINDOWS_FOLDERS.fullmatch(plain) is None
    return os.path.isabs(folder) and not _SYSTEM_FOLDERS.fullmatch(str(folder))


_BEFORE: Final = 3  # bytes before a path that tell whether it begins there

# What no path begins after, unless it is a compiler's option or an escaped control character.
_JOINED: Final = re.compile(rb"[\w.~})$*%+\-\x80-\xff]\Z")
_SEPARATED: Final = re.compile(rb"(?:(?<![\w-])-[ILBFR]|\\[abfnrtv])\Z")
_GOES_ON: Final = re.compile(rb"[\w+\-\x80-\xff]|\.\w")
_NAME_BELOW: Final = re.compile(rb"/+([^/\s\"'\\:;,)>\]}]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakPolicy:
    """What the last look looks for.

    Parameters:
        places: the longest first.
        scripts: arcname of the scripts folder, whose files are run by what their head names.
        fatal: the kinds of places that are known to be missing on the target; a file that cannot
            run without them stops the packing.
        ignored: arcnames of files to pass by.
    """

    build_paths: tuple[BuildPath, ...] = ()
    scripts: str = "bin"
    fatal: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    @classmethod
    def for_mode(
        cls,
        interpreter: str,
        build_paths: tuple[BuildPath, ...],
        scripts: str,
        interpreter_files: Iterable[str] = (),
    ) -> LeakPolicy:
        """Tell what is known to be missing on the target.

        Parameters:
            interpreter: `bundled`, `target`, `promised`, `neighbour` or `linked`. The seed API,
                of the last, has no way to leave a file out: nothing it finds is an error.
            interpreter_files: arcnames of what postinstall.py replaces if it was not bundled, and
                of what tells of them.
        """
        missing = {
            "bundled": {ENVIRONMENT, BASE},
            "target": {ENVIRONMENT},
            "promised": {ENVIRONMENT},
            "neighbour": {ENVIRONMENT, BASE},
        }
        return cls(
            build_paths=build_paths,
            scripts=scripts,
            fatal=frozenset(missing.get(interpreter, ())),
            ignored=frozenset(interpreter_files if interpreter in ("linked", "promised") else ()),
        )

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """What finds the beginnings of all paths, in one search; `None` without places.

        Python looks for what the paths begin with in common, mostly a slash, as fast as the memory
        is read: 440 MB took 0.14 s, and 0.35 s with a search for each of two paths.
        """
        paths = [place.path for place in self.build_paths]
        shortest = [
            path
            for path in paths
            if not any(path != other and path.startswith(other) for other in paths)
        ]
        return re.compile(b"|".join(map(re.escape, shortest))) if shortest else None

    def path_at(self, data: bytes, start: int) -> BuildPath | None:
        """Return the place that is named from an offset on."""
        before = data[max(start - _BEFORE, 0) : start]
        if _JOINED.search(before) and not _SEPARATED.search(before):
            return None
        for place in self.build_paths:
            end = start + len(place.path)
            if data.startswith(place.path, start) and not _GOES_ON.match(data, end):
                below = _NAME_BELOW.match(data, end)
                if place.names is None or (below and below[1] in place.names):
                    return place
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A packed file that names places of the build machine.

    Parameters:
        names: what they are; never the paths themselves.
        problem: why the file will not run on the target, and what to do, if that is known.
    """

    arcname: str
    names: tuple[str, ...]
    problem: str | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        return self.problem or f"{self.arcname} names {' and '.join(self.names)}"

    def to_dict(self) -> dict[str, object]:
        """Return what may stand beside the archive."""
        return {"path": self.arcname, "names": list(self.names)}
