"""The activation scripts shipped with an environment.

They replace those written by the environment's creator, which name the folder it was created in: if
that folder still exists, a moved environment would silently activate it. Ours name no folder. Each
finds its own when it is sourced; the texts are in `injected/activation/`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from ...model.entries import FileEntry

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
