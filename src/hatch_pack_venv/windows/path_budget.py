"""How deep a folder an archive can be unpacked in on Windows: pure.

Where long paths are not enabled, a path that ends in a NUL has room in 260 UTF-16 units
(`MAX_PATH`), and that of a folder has to leave 12 of them for a short file name in it ("Maximum
Path Length Limitation" of the Win32 documentation). The launchers of distlib and setuptools hold
their own path in a buffer of that size, long paths or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ..entries import DirectoryEntry
from .names import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..entries import Entry

MAX_PATH: Final = 260
"""UTF-16 units of a path, its drive and its NUL included."""

_SHORT_NAME: Final = 12  # a name of the form 8.3, which every folder must leave room for


@dataclass(frozen=True, slots=True, kw_only=True)
class PathBudget:
    """What the longest member leaves for the folder that an environment lies in.

    Parameters:
        longest: arcname of the member that leaves least.
        length: its UTF-16 units.
        deepest: those that the path of the environment's own folder may have, drive included.
    """

    longest: str
    length: int
    deepest: int

    @classmethod
    def of(cls, entries: Iterable[Entry], *more: str) -> Self:
        """Find the member that leaves least.

        Parameters:
            more: arcnames of further files.
        """
        rooms = dict.fromkeys(more, MAX_PATH - 1)
        for entry in entries:
            is_folder = isinstance(entry, DirectoryEntry)
            rooms[entry.arcname] = MAX_PATH - 1 - (_SHORT_NAME if is_folder else 0)
        left = {name: room - 1 - units(name) for name, room in rooms.items()}  # 1: the separator
        longest = min(left, key=lambda name: (left[name], name))
        return cls(longest=longest, length=units(longest), deepest=left[longest])

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "longest_member": self.longest,
            "longest_member_length": self.length,
            "deepest_prefix_length": self.deepest,
            "limit": MAX_PATH,
        }


def told(facts: Mapping[str, Any]) -> str:
    """Return a manifest's path budget in words."""
    return (
        f"a folder whose path has at most {facts.get('deepest_prefix_length')} characters, or long"
        f" paths enabled ({facts.get('longest_member')} has"
        f" {facts.get('longest_member_length')} of {facts.get('limit')})"
    )
