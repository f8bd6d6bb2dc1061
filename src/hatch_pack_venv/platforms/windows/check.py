"""Problems with an archive for Windows: names, path lengths, foreign modules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ...model import manifest
from ...model.entries import DirectoryEntry, FileEntry, collisions
from ...model.plan import Findings
from .requirements import read_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...model.entries import Entry
    from ...model.environment import Environment
    from ...model.plan import PackPlan


# "Naming Files, Paths, and Namespaces" of the Win32 documentation; like `ntpath.isreserved`.
_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"]
)
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f<>:"|?*\\]')
_NAME_LIMIT: Final = 255  # UTF-16 units of one name, on NTFS, exFAT and FAT with long names
_WAY_OUT: Final = "rename or exclude it"


def units(text: str) -> int:
    """Return the length of a text as counted by Windows, in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def upper_case(name: str) -> str:
    """Return the form that NTFS compares: upper case, character by character, one to one.

    A character whose upper case is two characters (`ß`), or that of another character (dotless i),
    equals only itself.
    """
    return "".join(map(_upper, name)) if not name.isascii() else name.upper()


def _upper(character: str) -> str:
    upper = character.upper()
    in_table = len(upper) == 1 and ord(character) < 0x10000 and upper.lower() == character
    return upper if in_table else character


def name_problem(name: str) -> str | None:
    """Return why Windows cannot store a path component, or `None` if it can."""
    found = _FORBIDDEN.search(name)
    if found:
        return f"contains {found[0]!r}, which Windows does not allow in names"
    if name.endswith((".", " ")):
        return f"ends in {name[-1]!r}, which Windows drops"
    device = name.partition(".")[0].rstrip(" ").upper()
    if device in _DEVICES:
        return f"is the device {device} on Windows, whatever its extension"
    if units(name) > _NAME_LIMIT:
        return f"has a name of {units(name)} characters, and Windows allows {_NAME_LIMIT}"
    return None


def name_problems(arcnames: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each name that Windows cannot store, and for names it treats as one.

    A folder is reported once, not again for its contents.

    Parameters:
        arcnames: those of all files and folders.
    """
    names = sorted(set(arcnames))
    seen: set[str] = set()
    for arcname in names:
        path = ""
        for part in arcname.split("/"):
            path = f"{path}/{part}" if path else part
            problem = None if path in seen else name_problem(part)
            seen.add(path)
            if problem is not None:
                yield f"{path if path.isprintable() else repr(path)} {problem}: {_WAY_OUT}"
    for group in collisions(names, fold=upper_case):
        yield f"{' and '.join(group)} are the same name on Windows: rename or exclude all but one"


MAX_PATH: Final = 260
"""UTF-16 units of a path, including its drive and its NUL."""
_SHORT_NAME: Final = 12  # an 8.3 name, which every folder must leave room for


@dataclass(frozen=True, slots=True, kw_only=True)
class PathBudget:
    """The path length that the longest member leaves for the environment's folder.

    Parameters:
        longest: arcname of the member that leaves the least room.
        length: its length in UTF-16 units.
        deepest: UTF-16 units available for the path of the environment's own folder, including the
            drive.
    """

    longest: str
    length: int
    deepest: int

    @classmethod
    def of(cls, entries: Iterable[Entry], *more: str) -> Self:
        """Find the member that leaves the least room.

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
        """Return what the manifest records about it."""
        return {
            "longest_member": self.longest,
            "longest_member_length": self.length,
            "deepest_prefix_length": self.deepest,
            "limit": MAX_PATH,
        }


def foreign_modules(plan: PackPlan, environment: Environment) -> list[str]:
    """Return a sentence for each extension module that the interpreter cannot load."""
    machine = environment.interpreter.machine
    modules = [
        (entry.arcname, headers.machine)
        for entry in plan.entries
        if isinstance(entry, FileEntry)
        and entry.arcname.endswith(".pyd")
        and (headers := read_headers(entry.content)) is not None
    ]
    return [
        f"{name} is built for {other}, but the interpreter is for {machine}, so it cannot be"
        f" imported: install the wheel for {machine}"
        for name, other in modules
        if other != machine
    ]


def check(entries: Iterable[str]) -> Findings:
    """Return problems with the names of planned entries, including the manifest's."""
    return Findings(problems=tuple(name_problems([*entries, manifest.ARCNAME])))
