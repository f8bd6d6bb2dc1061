"""Trees: written by names, and what they are, to compare them before and after."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TypeAlias

State: TypeAlias = dict[str, tuple[object, ...]]


def write(root: Path, *paths: str, **contents: str) -> Path:
    """Write files: empty ones by path, those with a content by a name in which `__` is `/`."""
    for path, content in {**dict.fromkeys(paths, ""), **contents}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return root


def tree_state(root: Path) -> State:
    """Return names, modes, times, link counts, link texts and hashes of a tree, by name."""
    found: State = {".": _facts(root)}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _facts(path)
    return found


def _facts(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content: object = None
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    return (status.st_mode, status.st_mtime_ns, status.st_nlink, status.st_ino, content)
