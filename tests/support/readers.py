"""Archives read back by other programs' code, as what a plan holds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, TypeAlias

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.entries import DirectoryEntry, FileEntry, SymlinkEntry, mode_of
from hatch_pack_venv.plan.links import without_links

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan

Content: TypeAlias = list[tuple[str, str, int, bytes]]
"""Name, kind, mode, and bytes or link text, in the archive's order."""

_DECOMPRESS: dict[CompressionFormat, Callable[[bytes], bytes]] = {
    CompressionFormat.UNCOMPRESSED: bytes,
    CompressionFormat.BZIP2: bz2.decompress,
    CompressionFormat.GZIP: gzip.decompress,
    CompressionFormat.XZ: lzma.decompress,
    CompressionFormat.ZSTD: zstd.decompress,
}


def planned_content(plan: PackPlan, format: CompressionFormat) -> Content:
    """Return what an archive of a plan must hold, the manifest apart."""
    top = "" if plan.install_target == "." else f"{plan.install_target}/"
    found: Content = [(top[:-1], "folder", 0o755, b"")] if top else []
    entries = plan.entries if format.is_tar_format else without_links(plan.entries)
    for entry in entries:
        match entry:
            case FileEntry(content=bytes(data)):
                found.append((top + entry.arcname, "file", mode_of(entry), data))
            case DirectoryEntry():
                found.append((top + entry.arcname, "folder", 0o755, b""))
            case SymlinkEntry():
                text = entry.linkname.encode("utf-8", "surrogateescape")
                found.append((top + entry.arcname, "link", 0o777, text))
    return found


def read_archive(path: Path, format: CompressionFormat) -> Content:
    """Return what an archive holds, the manifest apart, as the standard library reads it."""
    if format is CompressionFormat.ZIP:
        return _read_zip(path)
    data = _DECOMPRESS[format](path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [_member(tar, member) for member in tar.getmembers()][:-1]


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[str, str, int, bytes]:
    if member.isdir():
        return member.name, "folder", member.mode, b""
    if member.issym():
        return member.name, "link", member.mode, member.linkname.encode("utf-8", "surrogateescape")
    stream = tar.extractfile(member)
    assert stream is not None
    return member.name, "file", member.mode, stream.read()


def _read_zip(path: Path) -> Content:
    found: Content = []
    with zipfile.ZipFile(path) as zipped:
        for info in zipped.infolist()[:-1]:
            kind = "folder" if stat.S_ISDIR(info.external_attr >> 16) else "file"
            mode = stat.S_IMODE(info.external_attr >> 16)
            found.append((info.filename.rstrip("/"), kind, mode, zipped.read(info)))
    return found
