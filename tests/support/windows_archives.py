"""Archives of Windows environments, read back: their files, manifest and launchers."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from hatch_pack_venv import PackOptions
from hatch_pack_venv.binary.pe import PeFile

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.results import PackResult

MANIFEST = "share/venv/metadata/pack-venv.json"


def one(results: list[PackResult]) -> dict[str, bytes]:
    """Return what the one zip archive of a pack holds, below its top folder."""
    (result,) = results
    assert result.path.suffix == ".zip"
    return members(result.path)


def members(path: Path) -> dict[str, bytes]:
    """Return the files of a zip archive, of which none is a link."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert not [i for i in archive.infolist() if i.external_attr >> 28 == 0xA]
        return {name.partition("/")[2]: archive.read(name) for name in names}


def options(**table: Any) -> PackOptions:
    """Return options from a table whose keys have underscores."""
    return PackOptions.from_mapping({key.replace("_", "-"): value for key, value in table.items()})


def shebang(launcher: bytes) -> str:
    """Return what a launcher of distlib's kind starts."""
    program = PeFile.from_bytes(launcher)
    assert program is not None
    return launcher[program.end :].partition(b"\n")[0].decode()


def facts(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the manifest."""
    found: dict[str, Any] = json.loads(files[MANIFEST])
    return found
