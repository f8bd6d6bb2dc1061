"""The paths of the build machine that no packed file may depend on."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..metadata.files import open_file
from ..model.build_paths import (
    _ON_WINDOWS,
    BASE,
    CONTAINING,
    ENVIRONMENT,
    HOME,
    PROJECT,
    BuildPath,
    is_tellable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..model.environment import Environment


def build_paths_of(
    environment: Environment, *, project: Path | None = None, home: str | None = None
) -> tuple[BuildPath, ...]:
    """Return the paths of the build machine to look for in an environment's files, longest first.

    Parameters:
        project: the folder of the project that the environment belongs to.
        home: the home folder of the user who packs.
    """
    base = environment.interpreter.base_prefix
    named: list[tuple[str, Iterable[str]]] = [
        (ENVIRONMENT, environment.prefix_aliases),
        (BASE, (str(base), *_spelled_home_of(environment))),
        (CONTAINING, () if environment.containing is None else (str(environment.containing),)),
        (PROJECT, () if project is None else _spellings(project)),
        (HOME, () if home is None else _spellings(home)),
    ]
    found: dict[bytes, BuildPath] = {}
    for kind, folders in named:
        for folder in filter(is_tellable, folders):
            for place in _spelled_paths(kind, folder):
                found.setdefault(place.path, place)
    return tuple(sorted(found.values(), key=lambda place: (-len(place.path), place.path)))


def _spelled_home_of(environment: Environment) -> Iterator[str]:
    """Yield the base prefix as spelled in `pyvenv.cfg`, which may be a link with another name."""
    home = environment.config.get("home", "")
    if os.path.basename(home) == "bin":
        yield os.path.dirname(home)


def _spellings(folder: str | Path) -> tuple[str, str]:
    return str(folder), os.path.realpath(folder)


def _spelled_paths(kind: str, folder: str) -> Iterator[BuildPath]:
    """Yield a path as it is spelled in plain text, in a URL (RFC 3986) and in JSON."""
    if _ON_WINDOWS.match(folder):
        yield from _spelled_paths_on_windows(kind, folder.replace("/", "\\").rstrip("\\"))
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
        yield BuildPath(kind=kind, path=path, names=names)


def _spelled_paths_on_windows(kind: str, folder: str) -> Iterator[BuildPath]:
    """Yield a path with either kind of slash, and as spelled in a URL, in JSON or in Python."""
    slashes = folder.replace("\\", "/")
    spelled = (folder, folder.replace("\\", "\\\\"), slashes, quote(slashes, safe="/:"))
    for path in dict.fromkeys(spelled):
        yield BuildPath(kind=kind, path=path.encode("utf-8", "surrogateescape"))


# In the first lines of a script: `#!/PREFIX/bin/python`, `'''exec' "/PREFIX/bin/python" …`.
_SCRIPT_INTERPRETER: Final = re.compile(rb"""(?<=[!"' ])(/[^\n\0"']*?)/bin/python""")
_ACTIVATED: Final = re.compile(rb"""VIRTUAL_ENV=["']?(/[^\n\0"']*)""")
_HEAD: Final = 8192  # bytes; activation scripts name the prefix within the first 3,000


def prefix_aliases(prefix: Path, scripts: str) -> tuple[str, ...]:
    """Return the paths in an environment's scripts that lead to the environment itself.

    Parameters:
        prefix: the environment's real path, which is not among them.
        scripts: the name of its scripts folder.
    """
    named = sorted({path for head in _heads(prefix / scripts) for path in _named_prefixes(head)})
    real = str(prefix)
    return tuple(path for path in named if path != real and os.path.realpath(path) == real)


def _heads(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.iterdir()):
        # The scan reports files that cannot be read here.
        if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
            with open_file(path) as stream:
                head = stream.read(_HEAD)
            if head.startswith(b"#") or path.name.startswith("activate"):
                yield head


def _named_prefixes(head: bytes) -> Iterator[str]:
    for pattern in (_SCRIPT_INTERPRETER, _ACTIVATED):
        for match in pattern.finditer(head):
            yield os.fsdecode(match[1])
