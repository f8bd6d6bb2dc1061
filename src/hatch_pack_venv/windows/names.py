"""Names that Windows cannot hold: pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..names import collisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# "Naming Files, Paths, and Namespaces" of the Win32 documentation; `ntpath.isreserved` is alike.
_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"]
)
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f<>:"|?*\\]')
_NAME_LIMIT: Final = 255  # UTF-16 units of one name, on NTFS, exFAT and FAT with long names
_WAY_OUT: Final = "rename or exclude it"


def units(text: str) -> int:
    """Return the length of a text as Windows counts it, in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def upper_case(name: str) -> str:
    """Return what NTFS compares: upper case, character by character, one for one.

    A character whose upper case is two (`ß`), or that of another (dotless i), is only like itself.
    """
    return "".join(map(_upper, name)) if not name.isascii() else name.upper()


def _upper(character: str) -> str:
    upper = character.upper()
    in_table = len(upper) == 1 and ord(character) < 0x10000 and upper.lower() == character
    return upper if in_table else character


def name_problem(name: str) -> str | None:
    """Return why Windows cannot hold a name of one part; `None` if it can."""
    found = _FORBIDDEN.search(name)
    if found:
        return f"holds {found[0]!r}, which no name on Windows can"
    if name.endswith((".", " ")):
        return f"ends in {name[-1]!r}, which Windows drops"
    device = name.partition(".")[0].rstrip(" ").upper()
    if device in _DEVICES:
        return f"is the device {device} on Windows, whatever its ending"
    if units(name) > _NAME_LIMIT:
        return f"has a name of {units(name)} characters, and Windows holds {_NAME_LIMIT}"
    return None


def problems(arcnames: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each name that Windows cannot hold, and for names that are one to it.

    A folder is told of once, not again for what lies in it.

    Parameters:
        arcnames: of all files and folders.
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
        yield f"{' and '.join(group)} are one name on Windows: rename or exclude all but one"
