"""The folders of the build machine that nothing packed should name."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .environment import Environment

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
class Place:
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


def places_of(
    environment: Environment, *, project: Path | None = None, home: str | None = None
) -> tuple[Place, ...]:
    """Return the places of the machine that an environment is packed on, the longest first.

    Parameters:
        project: the folder of the project that the environment belongs to.
        home: the home folder of whoever packs.
    """
    base = environment.interpreter.base_prefix
    named: list[tuple[str, Iterable[str]]] = [
        (ENVIRONMENT, environment.spellings),
        (BASE, (str(base), *_spelled_home_of(environment))),
        (CONTAINING, () if environment.containing is None else (str(environment.containing),)),
        (PROJECT, () if project is None else _spellings(project)),
        (HOME, () if home is None else _spellings(home)),
    ]
    found: dict[bytes, Place] = {}
    for kind, folders in named:
        for folder in filter(is_tellable, folders):
            for place in _places(kind, folder):
                found.setdefault(place.path, place)
    return tuple(sorted(found.values(), key=lambda place: (-len(place.path), place.path)))


def _spelled_home_of(environment: Environment) -> Iterator[str]:
    """Yield the base prefix as `pyvenv.cfg` spells it, maybe by a link of another name."""
    home = environment.config.get("home", "")
    if os.path.basename(home) == "bin":
        yield os.path.dirname(home)


def _spellings(folder: str | Path) -> tuple[str, str]:
    return str(folder), os.path.realpath(folder)


def _places(kind: str, folder: str) -> Iterator[Place]:
    """Yield a place as plain text, in a URL (RFC 3986) and in JSON."""
    if _ON_WINDOWS.match(folder):
        yield from _places_on_windows(kind, folder.replace("/", "\\").rstrip("\\"))
        return
    folder = folder.rstrip("/")
    names = None
    if folder.count("/") == 1:
        try:
            names = frozenset(os.listdir(os.fsencode(folder)))
        except OSError:
            return
    plain = os.fsencode(folder)
    in_url = quote(plain).encode()
    in_json = json.dumps(folder)[1:-1].encode()
    for path in dict.fromkeys((plain, in_url, in_json)):
        yield Place(kind=kind, path=path, names=names)


def _places_on_windows(kind: str, folder: str) -> Iterator[Place]:
    """Yield a place with either kind of slash, in a URL and in JSON or a string of Python."""
    slashes = folder.replace("\\", "/")
    spelled = (folder, folder.replace("\\", "\\\\"), slashes, quote(slashes, safe="/:"))
    for path in dict.fromkeys(spelled):
        yield Place(kind=kind, path=path.encode("utf-8", "surrogateescape"))
