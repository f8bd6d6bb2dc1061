"""Names on macOS: what its Finder leaves behind, and names that its file systems take for one."""

from __future__ import annotations

import posixpath
import unicodedata
from typing import TYPE_CHECKING, Final

from ..names import collisions

if TYPE_CHECKING:
    from collections.abc import Iterable

_FINDER: Final = {".DS_Store", ".AppleDouble", "__MACOSX", ".Spotlight-V100", ".Trashes"}


def is_left_by_finder(arcname: str) -> bool:
    """Whether a name is of the Finder's own files.

    `._name` holds the attributes of `name` where a file system has none (AppleDouble); no module
    can be imported by such a name.
    """
    parts = arcname.split("/")
    return posixpath.basename(arcname).startswith("._") or not _FINDER.isdisjoint(parts)


def fold(name: str) -> str:
    """Return one text for all names that APFS, as it comes, takes for the same.

    It is insensitive to case and to how letters with marks are composed.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def problems(names: Iterable[str]) -> list[str]:
    """Return a sentence for each group of names that would be one file.

    What lies below folders that collide is told with them only where it collides itself.
    """
    return [
        f"{' and '.join(group)} are one name on macOS, whose file system knows no difference:"
        " exclude all but one"
        for group in collisions(names, fold=fold)
    ]
