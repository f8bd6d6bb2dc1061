"""The activation scripts shipped with an environment.

They replace those written by the environment's creator, which name the folder it was created in: if
that folder still exists, a moved environment would silently activate it. Ours name no folder. Each
finds its own when it is sourced; the texts are in `injected/activation/`.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from ...model.entries import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

# "activate.ps1" would be the same file as "Activate.ps1" on a case-insensitive file system.
NAMES: Final = (
    "Activate.ps1",
    "activate",
    "activate.csh",
    "activate.fish",
    "activate.nu",
    "activate_this.py",
)
_BATCH_NAMES: Final = ("activate.bat", "deactivate.bat")


def activation_scripts(scripts: str) -> list[FileEntry]:
    """Return the scripts for POSIX shells, fish, csh, Nushell, PowerShell and Python.

    Parameters:
        scripts: the arcname of the folder with the environment's interpreter or launchers; the
            environment is its parent folder. `Scripts`, the name on Windows, also gets batch files
            for cmd.exe.
    """
    names = [*NAMES, *(_BATCH_NAMES if scripts == "Scripts" else ())]
    return [FileEntry.from_bytes(f"{scripts}/{name}", _text(name)) for name in names]


def _text(name: str) -> bytes:
    content = (files("hatch_pack_venv") / "injected" / "activation" / name).read_bytes()
    # cmd.exe loses track of its position in a file with plain line feeds.
    return content.replace(b"\n", b"\r\n") if name.endswith(".bat") else content


# The variables that venv, virtualenv and uv set.
_OWN_VARIABLES: Final = (
    r"_\w*|VIRTUAL_ENV\w*|PATH|PS1|PYTHONHOME|(?:TCL|TK)_LIBRARY|PKG_CONFIG_PATH|SCRIPT_PATH"
    r"|CURRENT_(?:PATH|DIR|ENV)|IFS|LC_ALL"
)
_SETS: Final = {
    "activate": re.compile(
        rf"\s*(?:(?:export\s+)?(?!(?:{_OWN_VARIABLES})=)[A-Z][A-Z\d_]*=|(?:source|\.)\s+\S)"
    ),
    "activate.csh": re.compile(rf"\s*setenv\s+(?!(?:{_OWN_VARIABLES})\s)\w"),
    "activate.fish": re.compile(rf"\s*set\s+-\w*x\w*\s+(?!(?:{_OWN_VARIABLES})\s)\w"),
}
_LAST_LINE: Final = re.compile(r"\s*hash -r\b")  # of every creator's `activate`, except for `fi`


def first_edit(name: str, content: bytes) -> int | None:
    """Return the number of the first line that somebody added to an activation script.

    It looks for what people and tools add: lines after the end, variables that no environment
    creator sets, and files that are sourced. A comment does not count.

    Parameters:
        name: the file's, such as `activate.fish`.
    """
    sets = _SETS.get(name)
    if sets is None:
        return None
    own = _text(name)
    start = own.count(b"\n") if content.startswith(own) else 0
    lines = content.decode("utf-8", "replace").splitlines()
    edits = [number for number in range(start, len(lines)) if sets.match(lines[number])]
    if name == "activate":
        edits += _behind_the_end(lines, start)
    return min(edits) + 1 if edits else None


def _behind_the_end(lines: list[str], start: int) -> Iterator[int]:
    """Yield the indexes of lines that follow what environment creators write."""
    ends = [number for number in range(start, len(lines)) if _LAST_LINE.match(lines[number])]
    if not (start or ends):
        return
    for number in range(ends[-1] + 1 if ends else start, len(lines)):
        if lines[number].strip() not in ("", "fi") and not lines[number].lstrip().startswith("#"):
            yield number
