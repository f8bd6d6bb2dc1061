"""The files of distributions that have no RECORD: Debian's, conda's, `setup.py install`'s."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODULES: Final = (".py", ".so", ".pyd")


def files_without_record(metadata: Path, site: str, prefix: Path) -> Iterator[str]:
    """Yield the arcnames of a distribution's files, as far as its metadata tell them.

    `installed-files.txt` lists them (pip, for `setup.py install`). Else they are the modules and
    the regular packages that `top_level.txt` names. A namespace package may hold others' files, so
    that it tells nothing.

    Parameters:
        metadata: the `.dist-info` or `.egg-info`, a folder or a file.
        site: arcname of the folder it lies in.
    """
    listed = _lines(metadata / "installed-files.txt")
    if listed:
        folder = f"{site}/{metadata.name}"
        for line in listed:
            arcname = posixpath.normpath(posixpath.join(folder, line))
            if not arcname.startswith(("../", "/")):
                yield arcname
        return
    tops = _lines(metadata / "top_level.txt")
    found = [name for top in tops for name in _files_of(prefix / site, top)]
    if found:
        yield from (f"{site}/{name}" for name in sorted(found))
        yield from (f"{site}/{metadata.name}/{name}" for name in sorted(os.listdir(metadata)))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError:  # not there, or the metadata are one file
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _files_of(site: Path, top: str) -> Iterator[str]:
    """Yield the files of a top-level module or regular package, relative to site-packages."""
    package = site / top
    if not package.is_symlink() and (package / "__init__.py").is_file():
        for folder, _, names in os.walk(package):
            relative = os.path.relpath(folder, site)
            yield from (posixpath.join(relative, name) for name in names)
    for path in site.glob(f"{top}.*"):
        if path.name.endswith(_MODULES) and path.is_file():
            yield path.name
