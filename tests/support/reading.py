"""Archives of every format, read by code that is not ours."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What an archive says of one of its members."""

    kind: str
    mode: int
    mtime: int
    link: str = ""
    content: bytes = b""
    owner: tuple[object, ...] = (0, 0, "", "")


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar, zstandard included."""
    if path.suffix != ".zst":
        return tarfile.open(path)
    from backports import zstd

    return tarfile.open(fileobj=io.BytesIO(zstd.decompress(path.read_bytes())))


def members(path: Path) -> dict[str, Member]:
    """Return the members of an archive by name, without a `/` at the end."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as zipped:
            return {info.filename.rstrip("/"): _zipped(zipped, info) for info in zipped.infolist()}
    with open_tar(path) as tar:
        return {info.name: _tarred(tar, info) for info in tar.getmembers()}


def _zipped(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    moment = datetime(*info.date_time, tzinfo=UTC)
    kind = "folder" if info.is_dir() else "file" if stat.S_ISREG(mode) else "other"
    extra = (0, 0, "", "") if not info.extra else (info.extra,)
    return Member(
        kind=kind,
        mode=stat.S_IMODE(mode),
        mtime=int(moment.timestamp()),
        content=zipped.read(info),
        owner=extra,
    )


def _tarred(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kinds = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}
    stream = tar.extractfile(info) if info.isreg() else None
    return Member(
        kind=kinds.get(info.type, "other"),
        mode=info.mode,
        mtime=int(info.mtime),
        link=info.linkname,
        content=stream.read() if stream else b"",
        owner=(info.uid, info.gid, info.uname, info.gname),
    )
