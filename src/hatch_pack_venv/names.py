"""Names that a file system would take for one: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def collisions(
    names: Iterable[str], *, fold: Callable[[str], str] = str.casefold
) -> list[tuple[str, ...]]:
    """Return the groups of names that are one to a file system, each sorted, in order.

    A folder counts as a name of its own, so that of two folders which collide only they are told,
    and what lies in them only where it collides too.

    Parameters:
        names: arcnames of files and folders; one that comes twice counts once.
        fold: what the file system compares: it gives one text for all names that are the same.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[fold(name)].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
