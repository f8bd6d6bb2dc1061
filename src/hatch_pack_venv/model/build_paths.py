"""Build-machine paths that packed files should not name, and what it means if a file does."""

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

# Folders that exist on every machine: naming one says nothing about the build machine.
_SYSTEM_FOLDERS: Final = re.compile(
    r"/|/(bin|etc|home|lib|lib64|media|mnt|nonexistent|opt|private|proc|run|sbin|srv|tmp|usr|Users)"
    r"|/usr/(bin|lib|lib64|local|share)|/var(/lib|/tmp)?"
)

# Windows paths, and the folders among them that every machine has.
_ON_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_WINDOWS_FOLDERS: Final = re.compile(
    r"[A-Z]:(\\(Program Files( \(x86\))?|ProgramData|Users|Windows|Temp|Python\d*))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPath:
    """A folder of the build machine, as files may spell it.

    Parameters:
        kind: what the folder is, for messages.
        path: without a trailing slash.
        names: if not `None`, it only counts if one of these names follows it: `/root` and `/app` on
            their own occur in files of any origin.
    """

    kind: str
    path: bytes
    names: frozenset[bytes] | None = None


def is_tellable(folder: str | Path) -> bool:
    """Return whether a folder is specific to one machine, i.e. not a system folder."""
    if _ON_WINDOWS.match(str(folder)):
        plain = str(folder).replace("/", "\\").rstrip("\\")
        return _WINDOWS_FOLDERS.fullmatch(plain) is None
    return os.path.isabs(folder) and not _SYSTEM_FOLDERS.fullmatch(str(folder))


_BEFORE: Final = 3  # bytes before a path that decide whether it starts there

# No path starts after these, except after a compiler option or an escaped control character.
_JOINED: Final = re.compile(rb"[\w.~})$*%+\-\x80-\xff]\Z")
_SEPARATED: Final = re.compile(rb"(?:(?<![\w-])-[ILBFR]|\\[abfnrtv])\Z")
_GOES_ON: Final = re.compile(rb"[\w+\-\x80-\xff]|\.\w")
_NAME_BELOW: Final = re.compile(rb"/+([^/\s\"'\\:;,)>\]}]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakPolicy:
    """What the leak scanner looks for.

    Parameters:
        build_paths: longest first.
        scripts: arcname of the scripts folder, whose files are run by the interpreter in their
            shebang line.
        fatal: kinds of build paths known to be missing on the target; a file that cannot run
            without one aborts packing.
        ignored: arcnames of files to skip.
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
        """Return the policy for an interpreter mode: which paths will be missing on the target.

        Parameters:
            interpreter: `bundled`, `target`, `promised`, `neighbour` or `linked`. The last is used
                by the seed API, which has no way to leave a file out: none of its findings is an
                error.
            interpreter_files: arcnames of the files that postinstall.py replaces if the interpreter
                is not bundled, and of the files that describe them.
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
        """A pattern that finds the start of any build path in one pass; `None` without paths.

        Python searches for the common beginning of the paths, usually a slash, at memory speed: 440
        MB took 0.14 s, against 0.35 s with one search for each of two paths.
        """
        paths = [place.path for place in self.build_paths]
        shortest = [
            path
            for path in paths
            if not any(path != other and path.startswith(other) for other in paths)
        ]
        return re.compile(b"|".join(map(re.escape, shortest))) if shortest else None

    def path_at(self, data: bytes, start: int) -> BuildPath | None:
        """Return the build path named at an offset, or `None`."""
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
    """A packed file that names build paths.

    Parameters:
        names: the kinds of paths it names; never the paths themselves.
        problem: why the file will not run on the target and what to do about it, if known.
    """

    arcname: str
    names: tuple[str, ...]
    problem: str | None = None

    def __str__(self) -> str:
        """Return the finding as one line."""
        return self.problem or f"{self.arcname} names {' and '.join(self.names)}"

    def to_dict(self) -> dict[str, object]:
        """Return what may be published next to the archive."""
        return {"path": self.arcname, "names": list(self.names)}
