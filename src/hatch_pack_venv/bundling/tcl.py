"""Tcl's and Tk's own scripts, without which their libraries do not start.

Both look for them in `lib` beside the folder of the executable, after the place that was compiled
in (`info library`; measured in a system that has no Tcl).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..entries import DirectoryEntry
from ..links import copies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..binaries.elf import ElfFile
    from ..entries import ScannedEntry

_LIBRARY: Final = re.compile(r"lib(?:tcl9)?(tcl|tk)(\d+\.\d+)\.so.*")
_STARTS: Final = {"tcl": "init.tcl", "tk": "tk.tcl"}
_PLACES: Final = ("/usr/share/tcltk", "/usr/share", "/usr/lib", "/usr/lib64", "/usr/local/lib")

# Time zones are read from the system's own files where these are missing.
_LEFT_OUT: Final = {"demos", "images", "tzdata"}


def tcl_scripts(libraries: Mapping[str, ElfFile]) -> Iterator[ScannedEntry]:
    """Yield the scripts of the versions of Tcl and Tk that are among some libraries.

    Parameters:
        libraries: where each lies, by name.
    """
    for name, file in libraries.items():
        match = _LIBRARY.fullmatch(name)
        if match is None:
            continue
        part, version = match.groups()
        for place in (file.path.resolve().parent, *map(Path, _PLACES)):
            folder = place / f"{part}{version}"
            if (folder / _STARTS[part]).is_file():
                yield from _scripts(folder, f"lib/{folder.name}")
                break


def _scripts(folder: Path, arcname: str) -> Iterator[ScannedEntry]:
    for entry in copies_of(folder.resolve(), arcname):
        inside = entry.arcname.removeprefix(f"{arcname}/").split("/")
        if inside[0] not in _LEFT_OUT and not isinstance(entry, DirectoryEntry):
            yield entry
