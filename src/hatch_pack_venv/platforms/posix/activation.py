"""The activation scripts that an environment is shipped with.

They take the place of those that its maker wrote, which name the folder it was made in: where that
folder still exists, a moved environment would activate it without a word. Ours name no folder.
Each finds its own when it is sourced; the texts lie in `injected/activation/`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from ...model.entries import FileEntry

# "activate.ps1" would be the same file as "Activate.ps1" on a disk that ignores case.
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
        scripts: the arcname of the folder that holds the environment's interpreter or launchers;
            the environment is the folder around it. `Scripts`, as it is called on Windows, gets
            the batch files of cmd.exe too.
    """
    names = [*NAMES, *(_BATCH_NAMES if scripts == "Scripts" else ())]
    return [FileEntry.from_bytes(f"{scripts}/{name}", _text(name)) for name in names]


def _text(name: str) -> bytes:
    content = (files("hatch_pack_venv") / "injected" / "activation" / name).read_bytes()
    # cmd.exe loses its place in a file with plain line feeds.
    return content.replace(b"\n", b"\r\n") if name.endswith(".bat") else content
