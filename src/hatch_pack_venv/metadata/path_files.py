"""`.pth` files and `direct_url.json`: bytes to bytes."""

from __future__ import annotations

import json
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def names_a_local_path(direct_url: bytes) -> bool:
    """Whether a `direct_url.json` (PEP 610) tells a path of the machine it was installed on.

    One that cannot be read is taken to tell it.
    """
    try:
        url = json.loads(direct_url)["url"]
    except (ValueError, KeyError, TypeError):
        return True
    return not isinstance(url, str) or url.startswith("file:")


def with_changed_lines(content: bytes, change: Callable[[str], str]) -> bytes:
    """Return a `.pth` file with each line's path changed; what follows the path stays.

    Parameters:
        change: takes a line without trailing white space.
    """
    lines = content.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    changed = (change(path := line.rstrip()) + line[len(path) :] for line in lines)
    return "".join(changed).encode("utf-8", "surrogateescape")


def relocate_path_file(content: bytes, site: str, prefix_aliases: Sequence[str]) -> bytes:
    """Make a `.pth` file's absolute lines that point into the environment relative.

    `site` takes a relative line from the folder the file lies in.

    Parameters:
        site: arcname of that folder.
        prefix_aliases: the paths by which the environment may be named.
    """

    def relocated(path: str) -> str:
        for prefix in prefix_aliases:
            if path == prefix or path.startswith(f"{prefix}/"):
                return posixpath.relpath(posixpath.relpath(path, prefix), site)
        return path

    return with_changed_lines(content, relocated)


def relative_path_lines(content: bytes, folder: Path, boundary: Path) -> bytes:
    """Make a `.pth` file's absolute lines that lead into a boundary relative, as `site` reads them.

    Parameters:
        folder: the real folder that the file lies in.
        boundary: a real path.
    """

    def relative(path: str) -> str:
        inside = os.path.isabs(path) and Path(os.path.normpath(path)).is_relative_to(boundary)
        return os.path.relpath(path, folder) if inside else path

    return with_changed_lines(content, relative)


def path_lines(text: str) -> list[str]:
    """Return the lines of a `.pth` file that add to `sys.path`, as `site` reads them."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]


def foreign_paths(path_file: bytes, site: str) -> list[str]:
    """Return the folders outside that a (relocated) `.pth` file adds to `sys.path`.

    Parameters:
        site: arcname of the folder that the file lies in, from which `site` takes relative lines.
    """
    lines = path_lines(path_file.decode("utf-8", "surrogateescape"))
    return [
        line
        for line in lines
        if os.path.isabs(line) or f"{posixpath.normpath(f'{site}/{line}')}/".startswith("../")
    ]
