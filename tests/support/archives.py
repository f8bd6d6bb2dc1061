"""Archives: packed for a test, and read back by code other than ours."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import re
import stat
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hatch_pack_venv import CompressionFormat, PackOptions, create_archive
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model import manifest
from hatch_pack_venv.model.entries import DirectoryEntry, FileEntry, SymlinkEntry, mode_of
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.plan.links import without_links
from hatch_pack_venv.write.archive import write_archives, write_folder
from support.fakes import file, folder, inputs, link, plan
from support.machine import has, needs
from support.trees import make_wheel

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan
    from hatch_pack_venv.model.results import Reporter


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
    """Return what an archive of a plan must contain, except for the manifest."""
    top = "" if plan.install_target == "." else f"{plan.install_target}/"
    if format is CompressionFormat.OCI:
        top = "venv/"
    found: Content = [(top[:-1], "folder", 0o755, b"")] if top else []
    is_zip = format is CompressionFormat.ZIP
    entries = without_links(plan.entries) if is_zip else plan.entries
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
    """Return what an archive contains, without the manifest, as the standard library reads it."""
    if format is CompressionFormat.ZIP:
        return _read_zip(path)
    if format is CompressionFormat.SQUASHFS:
        return _read_squashfs(path)[:-1]
    data = path.read_bytes()
    if format is CompressionFormat.OCI:
        return [row for layer in own_layers(path) for row in _read_layer(layer)][:-1]
    if format is CompressionFormat.RUN:
        data, format = payload(path), CompressionFormat.GZIP
    data = _DECOMPRESS[format](data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [_member(tar, member) for member in tar.getmembers()][:-1]


def read_image(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Return an image's manifest, its configuration and its blobs by digest, all verified."""
    with tarfile.open(path, mode="r:") as tar:
        files = {m.name: _member(tar, m)[3] for m in tar.getmembers() if m.isreg()}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    blobs = {}
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
            blobs[name.removeprefix("blobs/").replace("/", ":")] = data
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(blobs[descriptor["digest"]])
    return manifest, json.loads(blobs[manifest["config"]["digest"]]), blobs


def own_layers(path: Path) -> list[bytes]:
    """Return the layers of an image's environment, decompressed."""
    manifest, config, blobs = read_image(path)
    found = []
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        assert len(blobs[layer["digest"]]) == layer["size"]
        data = gzip.decompress(blobs[layer["digest"]])
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff_id
        if "annotations" in layer:
            found.append(data)
    return found


def _read_layer(data: bytes) -> Content:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [_member(tar, member) for member in tar.getmembers()]


def _read_squashfs(path: Path) -> Content:
    """Return what `unsquashfs` unpacks from an image, sorted by name, the manifest last."""
    with TemporaryDirectory() as scratch:
        root = os.fsencode(scratch) + b"/root"
        command = ["unsquashfs", "-quiet", "-no-progress", "-dest", os.fsdecode(root), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found: Content = []
        for above, folders, files in os.walk(root):
            for each in [*folders, *files]:
                name = os.path.join(above, each)
                mode = os.lstat(name).st_mode
                kind, data = "folder", b""
                if stat.S_ISLNK(mode):
                    kind, data = "link", os.readlink(name)
                elif stat.S_ISREG(mode):
                    with open(name, "rb") as stream:
                        kind, data = "file", stream.read()
                shown = os.fsdecode(name[len(root) + 1 :])
                found.append((shown, kind, stat.S_IMODE(mode), data))
    return sorted(found, key=lambda row: (row[0].endswith(manifest.ARCNAME), row))


def payload(path: Path) -> bytes:
    """Return what follows the script of a run file: the bytes from the offset that it names."""
    data = path.read_bytes()
    (offset,) = re.findall(rb"^_pv_offset=(\d+) *$", data[:2000], re.MULTILINE)
    return data[int(offset) - 1 :]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What an archive records about one of its members."""

    kind: str
    mode: int
    mtime: int
    link: str = ""
    content: bytes = b""
    owner: tuple[object, ...] = (0, 0, "", "")


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar, including one compressed with Zstandard."""
    if path.suffix == ".run":
        return tarfile.open(fileobj=io.BytesIO(payload(path)))
    if path.suffix != ".zst":
        return tarfile.open(path)
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


FORMAT_NAMES = ("tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip", "run", "oci")
SQUASHFS = pytest.param("squashfs", marks=needs("mksquashfs"))
every_name = pytest.mark.parametrize("format", [*FORMAT_NAMES, SQUASHFS])


def make_packed(folder: Path, **options: Any) -> dict[str, Path]:
    """Pack an environment with one package in every format; return the archives by format."""
    environment = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (environment / "share" / "empty").mkdir(parents=True)
    (environment / "share" / "data").write_bytes(b"data\n" * 400)
    (environment / "share" / "alias").symlink_to("data")
    files = {
        "my_app/__init__.py": b"def main():\n    print('hello')\n",
        "my_app/big.bin": bytes(range(256)) * 400,
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
    }
    wheel = make_wheel(folder, files)
    table = {
        "interpreter": "target",
        "wheels": [str(wheel)],
        **options,
    }
    planned = plan_source(Source.read(environment, PackOptions.from_mapping(table)), None)
    names = [*FORMAT_NAMES, *(["squashfs"] if has("mksquashfs") else [])]
    formats = [CompressionFormat.get_format(name) for name in names]
    results = write_archives(planned, folder / "app", formats)
    return dict(zip(names, (result.path for result in results), strict=True))


FORMATS = [each for each in CompressionFormat if each is not CompressionFormat.SQUASHFS]
"""The formats that are written without another program."""
FORMATS_HERE = [
    *FORMATS,
    pytest.param(CompressionFormat.SQUASHFS, marks=needs("mksquashfs")),
]


every_format = pytest.mark.parametrize(
    "format",
    [each for each in FORMATS if not each.runs_where_it_is],
    ids=lambda format: format.name,
)
"""Of those that `create_archive` writes."""


def packed(source: Path, format: CompressionFormat | str | None = None, **more: object) -> Path:
    """Pack an environment into `out`, two folders above it, without showing progress."""
    arguments: dict[str, object] = {"show_progress": False, "format": format, **more}
    return create_archive(source, source.parents[1] / "out/app", **arguments)  # type: ignore[arg-type]


def contents(path: Path) -> dict[str, Member]:
    """Return the members of an archive by name."""
    return members(path)


def compressible(size: int, seed: int) -> bytes:
    """Return bytes that compress to about half."""
    source = random.Random(seed)  # noqa: S311 - no secret
    words = [source.randbytes(source.randint(2, 9)) for _ in range(4000)]
    parts = source.choices(words, k=size // 5 + 1)
    return b"".join(parts)[:size]


def large_plan() -> PackPlan:
    """Plan more than a few blocks for every compressor, including machine code."""
    return plan(
        file("lib/a.so", compressible(3_300_000, 1)),
        file("lib/b.so.1", compressible(1 << 20, 2)),
        file("a.py", compressible(4_500_001, 3)),
        *(file(f"small/{number}.py", compressible(number * 37, number)) for number in range(150)),
        file("empty"),
        file("noise", hashlib.shake_128(b"1").digest(70_000)),
        folder("hollow"),
        link("l", "a.py", "a.py"),
        inputs=inputs(install_target="app"),
    )


def written(planned: PackPlan, base: Path, format: CompressionFormat, threads: int) -> Path:
    level = format.levels.fastest if format.levels else None
    if format in (CompressionFormat.GZIP, CompressionFormat.ZIP):
        level = 1  # 0 only stores
    compression = CompressionOptions(level=level, threads=threads)
    return write_archives(planned, base, [format], compression=compression)[0].path


OUTPUTS = [*(format.name for format in FORMATS), "several", "folder"]


every_output = pytest.mark.parametrize("output", OUTPUTS)


def write_output(plan: PackPlan, out: Path, output: str, report: Reporter = silent) -> None:
    """Write a plan as one of `OUTPUTS`."""
    if output == "folder":
        write_folder(plan, out / "app", report=report)
    else:
        several = [CompressionFormat.UNCOMPRESSED, CompressionFormat.ZIP]
        chosen = several if output == "several" else [CompressionFormat[output]]
        write_archives(plan, out / "app", chosen, report=report)


def facts_below(folder: Path) -> list[dict[str, Any]]:
    """Return the contents of the JSON files with the hashes of the archives in a folder."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [each for each in found if "archive" in each]
