"""Archives that tools would read differently, or that would fill the memory, are refused."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import file, folder, link, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.cli.render import Style, inspection_lines, verification_lines
from hatch_pack_venv.model.errors import ArchiveProblem, PackVenvError
from hatch_pack_venv.model.manifest import ARCNAME, own_digest, render
from hatch_pack_venv.read.contents import Contents
from hatch_pack_venv.read.inspect import inspect
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def packed(tmp_path: Path, format: CompressionFormat) -> Path:
    """Pack a small tree, without the facts next to it."""
    planned = plan(
        file("bin/demo", b"#!python\n", executable=True),
        file("lib/a.py", b"x = 1\n" * 50),
        folder("empty"),
        link("lib64", "lib", "lib"),
        file("lib/n\u00e4me", b"1"),
    )
    (result,) = write_archives(planned, tmp_path / "app", [format])
    result.path.with_name(f"{result.path.name}.json").unlink()
    return result.path


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return packed(tmp_path, CompressionFormat.UNCOMPRESSED)


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    return packed(tmp_path, CompressionFormat.ZIP)


def block(header: bytes, data: bytes = b"") -> bytes:
    return header + data + bytes(-len(data) % 512)


def gnu_name(kind: bytes, name: str) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, len(name) + 1
    return block(info.tobuf(tarfile.GNU_FORMAT), name.encode() + b"\0")


def pax(*records: tuple[str, str]) -> bytes:
    data = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body) + len(str(len(body)))
        length = len(body) + len(str(length))
        data += str(length).encode() + body
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(data)
    return block(info.tobuf(tarfile.USTAR_FORMAT), data)


def with_before_first_file(archive: Path, inserted: bytes) -> None:
    """Insert headers before the member `app/lib/a.py` of a tar."""
    with tarfile.open(archive) as tar:
        offset = tar.getmember("app/lib/a.py").offset
    data = archive.read_bytes()
    archive.write_bytes(data[:offset] + inserted + data[offset:])


def changed_header(archive: Path, name: str, start: int, new: bytes) -> None:
    """Change a field of a header, and correct its checksum."""
    with tarfile.open(archive) as tar:
        offset = tar.getmember(name).offset
    data = bytearray(archive.read_bytes())
    data[offset + start : offset + start + len(new)] = new
    data[offset + 148 : offset + 156] = b" " * 8
    checksum = sum(data[offset : offset + 512])
    data[offset + 148 : offset + 156] = b"%06o\0 " % checksum
    archive.write_bytes(data)


NAMES: dict[str, bytes] = {
    "L L": gnu_name(b"L", "app/lib/a.py") + gnu_name(b"L", "app/evil"),
    "K K": gnu_name(b"K", "lib") + gnu_name(b"K", "/etc"),
    "L pax": gnu_name(b"L", "app/lib/a.py") + pax(("path", "app/evil")),
    "pax L": pax(("path", "app/lib/a.py")) + gnu_name(b"L", "app/evil"),
    "pax pax": pax(("path", "app/lib/a.py")) + pax(("path", "app/evil")),
    "one key twice": pax(("path", "app/lib/a.py"), ("path", "app/evil")),
    "an unknown key": pax(("GNU.sparse.name", "app/evil")),
    "another character set": pax(("hdrcharset", "UTF-16")),
    "a size that is none": pax(("size", "-1")),
    "a size with a sign": pax(("size", "+300")),
    "no records": block(tarfile.TarInfo("x").tobuf(), b"")[:156] + b"x" + bytes(355),
}


@pytest.mark.parametrize("case", NAMES)
def test_entries_with_two_names_are_refused(tar: Path, case: str) -> None:
    """Some tools use the first header that names an entry, others the last."""
    with_before_first_file(tar, NAMES[case])
    with pytest.raises(ArchiveProblem):
        verify(tar)


@pytest.mark.parametrize(
    "named", [gnu_name(b"K", "..\0z"), pax(("linkpath", "..\0z"))], ids=["GNU", "pax"]
)
def test_a_link_s_text_that_ends_early_is_refused(tar: Path, named: bytes) -> None:
    """The system reads the text up to its first NUL, so tools create a link that leads upwards."""
    with tarfile.open(tar) as opened:
        offset = opened.getmember("app/lib64").offset
    data = tar.read_bytes()
    tar.write_bytes(data[:offset] + named + data[offset:])
    with pytest.raises(ArchiveProblem, match="'app/lib64' is a link to a name that no file"):
        verify(tar)


def test_a_link_s_text_that_ends_early_is_refused_in_a_zip_file(tmp_path: Path) -> None:
    """Info-ZIP ends it there as well."""
    info = zipfile.ZipInfo("app/l")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    info.create_version = info.extract_version = 20
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, b"..\0z")
    with pytest.raises(ArchiveProblem, match="'app/l' is a link to a name that no file can have"):
        verify(tmp_path / "a.zip")


def test_a_header_behind_one_block_of_zeros_is_refused(tar: Path) -> None:
    """BusyBox reads on there, and GNU tar warns; only two blocks of zeros end it for all tools."""
    with tarfile.open(tar) as opened:
        end = opened.getmember(f"app/{ARCNAME}")
        offset = end.offset_data + end.size + -end.size % 512
        evil = tarfile.TarInfo("app/bin/demo")
    evil.type, evil.linkname = tarfile.SYMTYPE, "/bin/sh"
    data = tar.read_bytes()
    assert not data[offset:].strip(b"\0")
    tar.write_bytes(data[:offset] + bytes(512) + evil.tobuf(tarfile.USTAR_FORMAT) + bytes(2048))
    (finding,) = verify(tar).findings
    assert finding.what == "damaged"
    assert finding.detail.endswith(": there is data after the end")


def test_one_header_that_names_an_entry_is_read(tar: Path) -> None:
    """GNU tar and Python each write long names in their own way; both are accepted."""
    for names in (gnu_name(b"L", "app/lib/a.py"), pax(("path", "app/lib/a.py"), ("mtime", "1.5"))):
        with_before_first_file(tar, names)
        assert [finding.what for finding in verify(tar).findings] == []
        tar.write_bytes(tar.read_bytes().replace(names, b"", 1))


NUMBERS = {
    "negative": b"\xff" * 12,
    "far below nothing": b"\xff" + bytes(11),
    "beyond all disks": b"\x80" + b"\xff" * 11,
    "with a sign": b"-0000000300\0",
    "as Python writes it": b"0o00000300\0\0",
    "with an underscore": b"0000_000300\0",
}


@pytest.mark.parametrize("case", NUMBERS)
def test_sizes_that_are_none_are_refused(tar: Path, case: str) -> None:
    """No data is read for such a size."""
    changed_header(tar, "app/lib/a.py", 124, NUMBERS[case])
    with pytest.raises(ArchiveProblem):
        verify(tar)


FIELDS: dict[str, tuple[str, int, bytes]] = {
    "a prefix that GNU tar does not read": (
        "app/lib/a.py",
        257,
        b"ustar  \0" + bytes(80) + b"evil",
    ),
    "a header without a kind": ("app/lib/a.py", 257, bytes(8)),
    "a file that ends in a slash": ("app/lib/a.py", 0, b"app/lib/a.py/\0"),
    "a folder with contents": ("app/empty", 124, b"00000001000\0"),
    "a link with contents": ("app/lib64", 124, b"00000001000\0"),
    "an old kind of file": ("app/lib/a.py", 156, b"\0"),
    "a contiguous file": ("app/lib/a.py", 156, b"7"),
    "a kind of the future": ("app/lib/a.py", 156, b"Z"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_headers_that_tools_read_differently_are_refused(tar: Path, case: str) -> None:
    """Another tool would see a different name, kind or size."""
    name, start, new = FIELDS[case]
    changed_header(tar, name, start, new)
    with pytest.raises(ArchiveProblem):
        verify(tar)


def flips(data: bytes) -> list[bytes]:
    found = []
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            found.append(bytes(changed))
    return found


def is_accepted(path: Path) -> bool:
    try:
        return verify(path).is_whole
    except PackVenvError:
        return False


def test_a_zip_files_entry_says_what_kind_of_file_it_is(zipped: Path) -> None:
    """Every bit of an entry's kind counts: tools interpret an entry without a kind as they like."""
    data = zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        place, count = archive.start_dir, len(archive.infolist())
    for _ in range(count):
        names = struct.unpack_from("<3H", data, place + 28)
        kind = place + 41  # the high byte of the mode in the external attributes
        for bit in (0x10, 0x20, 0x40, 0x80):
            zipped.write_bytes(data[:kind] + bytes([data[kind] ^ bit]) + data[kind + 1 :])
            assert not is_accepted(zipped), (place, bit)
        place += 46 + sum(names)


def test_every_flipped_bit_of_a_zip_files_headers_is_found(zipped: Path) -> None:
    """One bit flips in each byte of local headers, directory and end; each has a meaning."""
    data = zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        headers = [
            place
            for info in archive.infolist()
            for place in range(info.header_offset, info.header_offset + 30 + len(info.filename))
        ]
        headers += range(archive.start_dir, len(data))
    accepted = []
    for at in headers:
        bit = 1 << at % 8
        zipped.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        if is_accepted(zipped):
            accepted.append((at, bit))
    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"junk" + data,
        lambda data: data + b"junk",
        lambda data: data[:-2] + b"\4\0junk",
        lambda data: data[:-22],
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"app/bin/demo", b"app/bin/evil", 1),
        lambda data: data[::-1].replace(b"app/bin/demo"[::-1], b"app/bin/evil"[::-1], 1)[::-1],
    ],
)
def test_what_is_around_a_zip_files_members_is_refused(
    zipped: Path, change: Callable[[bytes], bytes]
) -> None:
    """Data before, after or between them, or another name in the directory, is refused."""
    zipped.write_bytes(change(zipped.read_bytes()))
    assert not is_accepted(zipped)


def test_a_zip_entry_without_a_name(tmp_path: Path) -> None:
    """It is refused like any other, and does not raise another exception."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 0, 0)
    central = struct.pack(
        "<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    (tmp_path / "a.zip").write_bytes(local + central + end)
    with pytest.raises(ArchiveProblem, match="does not have a valid name"):
        verify(tmp_path / "a.zip")


def test_a_member_that_unfolds_beyond_its_size_is_refused(zipped: Path) -> None:
    """A deflated member that claims a few bytes but yields 64 MiB stops at the first excess one."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(64 << 20)) + bomb.flush()
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(data), 10, 1, 0) + b"a"
    central = struct.pack(
        "<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 8, 0, 33, 0, len(data), 10, 1, 0, 0, 0, 0,
        0o100644 << 16, 0,
    )  # fmt: skip
    central += b"a"
    start = len(local) + len(data)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), start, 0)
    zipped.write_bytes(local + data + central + end)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveProblem, match="longer than its header says"):
            verify(zipped)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": bz2.compress,
    "gz": gzip.compress,
}


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("junk", [b"junk", b"\0" * 8 + b"x", b"#!/bin/sh\n" * 1000])
def test_junk_behind_a_compressed_stream_is_refused(tar: Path, name: str, junk: bytes) -> None:
    """It is refused even without the `.json`; two consecutive streams are accepted."""
    data = tar.read_bytes()
    compress = COMPRESS[name]
    whole = compress(data[:5000]) + compress(data[5000:])
    tar.write_bytes(whole)
    assert is_accepted(tar)
    tar.write_bytes(whole + junk)
    assert not is_accepted(tar)
    tar.write_bytes(whole[:-6])
    assert not is_accepted(tar)


def test_a_dictionary_of_gigabytes_is_refused(tar: Path) -> None:
    """An .xz file may claim 4 GiB for its decoder."""
    data = bytearray(lzma.compress(tar.read_bytes() + bytes(1 << 20), preset=0))
    size = (data[12] + 1) * 4
    header = data[12 : 12 + size]
    header[header.index(b"\x21\x01") + 2] = 40
    header[-4:] = struct.pack("<I", zlib.crc32(bytes(header[:-4])))
    data[12 : 12 + size] = header
    tar.write_bytes(data)
    with pytest.raises(ArchiveProblem, match="emory"):
        verify(tar)


def with_manifest(archive: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a tar's manifest, and correct its own digest if possible."""
    with tarfile.open(archive) as tar:
        held = [(m, tar.extractfile(m).read() if m.isreg() else b"") for m in tar]  # type: ignore[union-attr]
    data = json.loads(held[-1][1])
    change(data)
    data.pop("manifest_sha256")
    try:
        body = render({**data, "manifest_sha256": own_digest(data)})
    except (TypeError, ValueError, KeyError, UnicodeError, AttributeError):
        body = json.dumps(data).encode()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in held[:-1]:
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
        info = tarfile.TarInfo(f"app/{ARCNAME}")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))


WRONG: list[Any] = [None, 5, -1, 1.5, True, "x", "\ud800", [], {}, [None], [{}], {"x": []}, 10**400]
PLACES = [
    ("format_version",), ("name",), ("version",), ("interpreter",), ("python",),
    ("python", "version"), ("python", "pointer_bits"), ("platform",), ("platform", "tag"),
    ("platform", "glibc"), ("platform", "glibc", "version"), ("platform", "seldom"),
    ("platform", "path_budget"), ("layout",), ("layout", "site_packages"), ("layout", "prompt"),
    ("layout", "scripts"), ("distributions",), ("content_digest",), ("directories",), ("links",),
    ("copied_links",), ("files",), ("neighbours",), ("neighbours", "layers"),
    ("neighbours", "linked"), ("neighbours", "base_runtime"), ("interpreter_path",),
    ("manifest_sha256",), ("files", 0, "size"), ("files", 0, "sha256"), ("files", 0, "mode"),
    ("files", 0, "path"), ("links", 0, "target"), ("distributions", 0, "name"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_manifest_of_wrong_types_is_a_result_or_a_sentence(
    tar: Path, place: tuple[Any, ...]
) -> None:
    """Whatever replaces a value, both commands report something, and nothing else is raised."""
    original = tar.read_bytes()
    for wrong in WRONG:
        tar.write_bytes(original)

        def change(data: dict[str, Any], wrong: Any = wrong) -> None:
            holder: Any = data
            for key in place[:-1]:
                if isinstance(key, str) and key not in holder:
                    holder[key] = {}
                if isinstance(key, int) and not holder:
                    holder.append({})
                holder = holder[key]
            holder[place[-1]] = wrong

        with_manifest(tar, change)
        with suppress(PackVenvError):
            list(verification_lines(verify(tar), Style()))
        with suppress(PackVenvError):
            list(inspection_lines(inspect(tar), Style()))


def tar_with(archive: Path, *members: tuple[str, int, bytes]) -> None:
    """Write members of many equal bytes before those of an archive."""
    with tarfile.open(archive) as tar:
        rest = [(m, tar.extractfile(m).read() if m.isreg() else b"") for m in tar]  # type: ignore[union-attr]
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        for name, size, letter in members:
            info = tarfile.TarInfo(name)
            info.size = size
            stream.write(info.tobuf(tarfile.PAX_FORMAT))
            for _ in range(size >> 20):
                stream.write(letter * (1 << 20))
        for info, content in rest:
            stream.write(block(info.tobuf(tarfile.PAX_FORMAT), content))
        stream.write(bytes(1024))


@pytest.mark.parametrize("read", [verify, inspect])
@pytest.mark.parametrize(
    "members",
    [
        [(f"t{number}/{ARCNAME}", 16 << 20, b"\0") for number in range(4)],
        [(f"app/p{number}.dist-info/RECORD", 32 << 20, b"\n") for number in range(2)],
        [("app/" + "a/" * 4000 + "b", 0, b"")],
    ],
    ids=["manifests", "RECORDs", "a deep name"],
)
def test_what_is_kept_is_bounded(
    tar: Path, members: list[tuple[str, int, bytes]], read: Callable[[Path], object]
) -> None:
    """Many manifests, long RECORDs and names with thousands of folders take less than 64 MiB."""
    tar_with(tar, *members)
    tracemalloc.start()
    try:
        with contextlib.suppress(PackVenvError):
            read(tar)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_manifest_that_unfolds_is_refused(tar: Path) -> None:
    """A list of a million empty lists is three megabytes, and sixty-four when it is parsed."""
    body = b"[" + b"[]," * (1 << 20) + b"[]]"
    info = tarfile.TarInfo(f"app/{ARCNAME}")
    info.size = len(body)
    tar.write_bytes(block(info.tobuf(), body) + bytes(1024))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveProblem, match="it is not JSON"):
            verify(tar)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def sidecar_fifo(path: Path) -> None:
    os.mkfifo(path)


def sidecar_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sidecar_nested(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def sidecar_huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 30)


@pytest.mark.parametrize("make", [sidecar_fifo, sidecar_endless, sidecar_nested, sidecar_huge])
def test_odd_facts_beside_an_archive_are_a_finding(tar: Path, make: Callable[[Path], None]) -> None:
    """Nothing is waited for, and the archive itself is verified."""
    make(tar.with_name(f"{tar.name}.json"))
    assert [finding.what for finding in verify(tar).findings] == ["facts"]


FACTS: dict[str, object] = {
    "archive": "other.tar",
    "sha256": "0" * 64,
    "size": 1,
    "content_digest": "0" * 64,
    "entry_count": 1,
    "unpacked_size": 1,
}


@pytest.mark.parametrize("key", FACTS)
def test_every_fact_that_the_archive_tells_too_is_compared(tmp_path: Path, key: str) -> None:
    """A reader of the `.json` alone is not misled."""
    (result,) = write_archives(plan(file("a", b"1")), tmp_path / "a", [CompressionFormat.ZIP])
    facts = result.path.with_name("a.zip.json")
    assert verify(result.path).is_whole
    facts.write_text(json.dumps({**json.loads(facts.read_text()), key: FACTS[key]}))
    (finding,) = verify(result.path).findings
    assert finding.what == "facts"
    assert key in finding.detail


def test_an_archive_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    """It is not waited for."""
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(ArchiveProblem, match="it is a FIFO"):
        Contents.from_path(tmp_path / "a.tar")
