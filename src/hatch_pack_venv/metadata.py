"""Small text files that know where they live: bytes to bytes."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def names_a_local_path(direct_url: bytes) -> bool:
    """Whether a `direct_url.json` (PEP 610) tells a path of the machine it was installed on.

    One that cannot be read is taken to tell it.
    """
    try:
        url = json.loads(direct_url)["url"]
    except (ValueError, KeyError, TypeError):
        return True
    return not isinstance(url, str) or url.startswith("file:")


def relocate_path_file(content: bytes, site: str, spellings: Sequence[str]) -> bytes:
    """Make a `.pth` file's absolute lines that point into the environment relative.

    `site` takes a relative line from the folder the file lies in.

    Parameters:
        site: arcname of that folder.
        spellings: the paths by which the environment may be named.
    """
    lines = content.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    relocated = (_relocated_line(line, site, spellings) for line in lines)
    return "".join(relocated).encode("utf-8", "surrogateescape")


def _relocated_line(line: str, site: str, spellings: Sequence[str]) -> str:
    path = line.rstrip()
    for prefix in spellings:
        if path == prefix or path.startswith(f"{prefix}/"):
            inside = posixpath.relpath(path, prefix)
            return posixpath.relpath(inside, site) + line[len(path) :]
    return line


def foreign_paths(path_file: bytes, site: str) -> list[str]:
    """Return the folders outside that a (relocated) `.pth` file adds to `sys.path`.

    Parameters:
        site: arcname of the folder the file lies in.
    """
    lines = map(str.strip, path_file.decode("utf-8", "surrogateescape").splitlines())
    paths = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
    return [path for path in paths if os.path.isabs(path) or _leaves(posixpath.join(site, path))]


def _leaves(arcname: str) -> bool:
    return posixpath.normpath(arcname).split("/")[0] == ".."


def activated_paths(activate: bytes) -> list[str]:
    """Return the absolute paths that a POSIX `activate` script sets `VIRTUAL_ENV` to.

    venv, virtualenv and uv write the path by which they were asked to make the environment, and
    pip and uv spell it that way in launchers.
    """
    text = activate.decode("utf-8", "surrogateescape")
    values = re.findall(r"^[ \t]*(?:export[ \t]+)?VIRTUAL_ENV=(.*)$", text, re.MULTILINE)
    return [path for value in values for path in _words(value) if os.path.isabs(path)]


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return []


def bundled_config(version: str) -> bytes:
    """Return the `pyvenv.cfg` of a bundled interpreter.

    Without `home`, so that nothing in it depends on the place (measured on CPython 3.8 to 3.13);
    with the file, user site-packages stay out. `relocatable` makes uv write relative launchers.
    """
    lines = ["include-system-site-packages = false", "relocatable = true", f"version = {version}"]
    return ("\n".join(lines) + "\n").encode()
