"""Blocks of earlier builds: the same bytes with them, and never an error because of them."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import threading
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.archives import FORMATS, compressible, planned_content, read_archive
from support.fakes import file, plan

from hatch_pack_venv import CompressionFormat, filesystem
from hatch_pack_venv.filesystem import cache_folder
from hatch_pack_venv.model.errors import OutputProblem
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.write import block_cache, stream
from hatch_pack_venv.write.archive import write_archives
from hatch_pack_venv.write.block_cache import BlockCache
from hatch_pack_venv.write.sinks import compressors, deflate, xz
from hatch_pack_venv.write.sinks import zip as zip_sink
from hatch_pack_venv.write.sinks.blocks import Sizes

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from hatch_pack_venv.model.plan import PackPlan

COMPRESSED = [format for format in FORMATS if format.levels]
LEVELS = {CompressionFormat.XZ: 0, CompressionFormat.BZIP2: 1, CompressionFormat.ZSTD: 1}
_DEFLATE = 5  # the fastest level uses no memory


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the cache into a folder of the test, and return the folder of its blocks."""
    monkeypatch.setenv("HATCH_PACK_VENV_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "blocks"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few hundred kilobytes enough for many blocks."""
    sizes = Sizes(least=12_000, most=20_000)
    monkeypatch.setattr(compressors, "_GZIP_SIZES", sizes)
    monkeypatch.setattr(compressors, "_ZSTD_SIZES", sizes)
    monkeypatch.setattr(xz, "MIB", 8192)
    monkeypatch.setattr(zip_sink, "_BATCH", 12_000)
    monkeypatch.setattr(zip_sink, "_BATCHES_START", (1 << 32) // 8)
    monkeypatch.setattr(zip_sink, "_WHOLE", 20_000)
    monkeypatch.setattr(stream, "_AT_ONCE", 10_000)
    monkeypatch.setattr(zip_sink, "BLOCK", 10_000)


def packed(planned: PackPlan, base: Path, format: CompressionFormat, *, cache: bool) -> bytes:
    options = CompressionOptions(level=LEVELS.get(format, _DEFLATE), threads=2, cache=cache)
    return write_archives(planned, base, [format], compression=options)[0].path.read_bytes()


@cache
def tree() -> dict[str, bytes]:
    """Return files of many sizes, machine code among them."""
    files = {f"p/{n:03}.py": compressible(n * 41, n) for n in range(120)}
    return {**files, "lib/a.so": compressible(50_000, 1), "lib/b.so": compressible(21_000, 2)}


def planned(files: dict[str, bytes]) -> PackPlan:
    return plan(*(file(name, data) for name, data in files.items()))


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 121), st.binary(max_size=300)),
        st.tuples(st.just("grow"), st.integers(0, 121), st.integers(1, 40_000)),
        st.tuples(st.just("remove"), st.integers(0, 121), st.none()),
        st.tuples(st.just("add"), st.integers(0, 999), st.binary(max_size=5000)),
    ),
    max_size=5,
)


def edited(files: dict[str, bytes], edits: list[tuple[str, int, object]]) -> dict[str, bytes]:
    files = dict(files)
    for what, number, value in edits:
        name = list(files)[number % len(files)]
        match what, value:
            case "change", bytes(data):
                files[name] = data + files[name][len(data) :]
            case "grow", int(size):
                files[name] += compressible(size, size)
            case "remove", _:
                del files[name]
            case "add", bytes(data):
                files[f"p/{number}_.py"] = data
    return files


@pytest.mark.parametrize("format", COMPRESSED)
@pytest.mark.usefixtures("small_blocks")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=EDITS)
def test_the_cache_does_not_show(
    tmp_path: Path, format: CompressionFormat, edits: list[tuple[str, int, object]]
) -> None:
    """After any edits, packing with the earlier blocks gives the same bytes as without them."""
    packed(planned(tree()), tmp_path / "a", format, cache=True)
    after = planned(edited(tree(), edits))
    with_cache = packed(after, tmp_path / "b", format, cache=True)
    assert with_cache == packed(after, tmp_path / "c", format, cache=False)
    path = (tmp_path / "b").with_name(f"b{format.suffix}")
    assert read_archive(path, format) == planned_content(after, format)


@pytest.mark.parametrize("format", COMPRESSED)
@pytest.mark.usefixtures("small_blocks")
def test_what_stands_before_a_block_counts(tmp_path: Path, format: CompressionFormat) -> None:
    """Some start with earlier data as a dictionary; with another one, the block is different."""
    rest, first = compressible(60_000, 1), 20_000 - 512  # a whole block, with the header in a tar
    packed(planned({"large": rest[:first] + rest}), tmp_path / "a", format, cache=True)
    after = planned({"large": compressible(first, 2) + rest})
    with_cache = packed(after, tmp_path / "b", format, cache=True)
    assert with_cache == packed(after, tmp_path / "c", format, cache=False)


def told(caplog: pytest.LogCaptureFixture) -> str:
    (line,) = [each for each in caplog.messages if each.startswith("cache:")]
    caplog.clear()
    return line


@pytest.mark.parametrize("format", COMPRESSED)
@pytest.mark.usefixtures("small_blocks")
def test_hits_are_told(
    tmp_path: Path, format: CompressionFormat, caplog: pytest.LogCaptureFixture
) -> None:
    """At first there are none, then all; after a change, most of what is compressed in blocks."""
    caplog.set_level(logging.INFO, "hatch_pack_venv")
    files = dict(tree())
    packed(planned(files), tmp_path / "a", format, cache=True)
    first = told(caplog)
    assert first.startswith("cache: 0 of ")
    packed(planned(files), tmp_path / "a", format, cache=True)
    total = int(first.split()[3])
    assert total >= 6
    assert told(caplog).startswith(f"cache: {total} of {total} compressed blocks")
    files["p/060.py"] = b"changed"
    packed(planned(files), tmp_path / "a", format, cache=True)
    found, _, blocks = told(caplog).split()[1:4]
    assert int(found) < int(blocks)
    # The manifest differs, and so does the block with the file and, for gzip, the one after it.
    # Blocks of xz are large because of their dictionaries; here few files are where one may end.
    assert int(blocks) - int(found) <= (20 if format is CompressionFormat.XZ else 5)


@pytest.mark.parametrize(
    ("format", "module", "name", "value"),
    [
        (CompressionFormat.GZIP, deflate, "_MEMORY", 1),
        (CompressionFormat.ZIP, deflate, "_MEMORY", 1),
        (CompressionFormat.ZSTD, compressors, "_ZSTD_WINDOW", 20),
        (CompressionFormat.XZ, xz, "_LITERALS", {"lc": 3}),
        (CompressionFormat.XZ, xz, "_DICTIONARIES", (2,)),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_every_parameter_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    format: CompressionFormat,
    module: ModuleType,
    name: str,
    value: object,
) -> None:
    """A release that compresses differently does not use the blocks of this one."""
    large = planned({"large": compressible(90_000, 1)})
    before = packed(large, tmp_path / "a", format, cache=True)
    caplog.set_level(logging.INFO, "hatch_pack_venv")
    monkeypatch.setattr(module, name, value)
    after = packed(large, tmp_path / "b", format, cache=True)
    # Small members of a zip are compressed by libdeflate, which has only a level.
    assert told(caplog).startswith("cache: 0 of ") or format is CompressionFormat.ZIP
    assert before != after == packed(large, tmp_path / "c", format, cache=False)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "swapped"])
def test_a_damaged_block_is_made_again(tmp_path: Path, folder: Path, damage: str) -> None:
    """Whatever has happened to a block, it is noticed, and a good one replaces the block."""
    files = planned(tree())
    good = packed(files, tmp_path / "a", CompressionFormat.ZIP, cache=True)
    blocks = {path: path.read_bytes() for path in folder.iterdir()}
    for path, data in blocks.items():
        spoilt = {
            "flipped": data[:-1] + bytes([data[-1] ^ 1]),
            "cut": data[: len(data) // 2],
            "empty": b"",
            "swapped": data[32:] + data[:32],
        }[damage]
        path.write_bytes(spoilt)
    assert packed(files, tmp_path / "a", CompressionFormat.ZIP, cache=True) == good
    assert {path: path.read_bytes() for path in folder.iterdir()} == blocks


def test_a_block_under_the_name_of_another_is_made_again(folder: Path) -> None:
    """Even an intact one is, since a disk or a tool that restores files may misplace it."""
    cache = BlockCache.opened(0)
    assert cache is not None
    assert made(cache, "a")
    assert made(cache, "b")
    one, other = folder.iterdir()
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert made(cache, "a")
    assert made(cache, "b")
    assert not made(cache, "a")


def test_builds_at_once_share_a_cache(tmp_path: Path, folder: Path) -> None:
    """Builds that write the same blocks at the same time write the same archive."""
    archives: dict[int, bytes] = {}

    def build(number: int) -> None:
        base = tmp_path / f"a{number}"
        archives[number] = packed(planned(tree()), base, CompressionFormat.GZIP, cache=True)

    threads = [threading.Thread(target=build, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(archives) == 4
    assert len(set(archives.values())) == 1
    assert not list(folder.glob("*.partial"))


def made(cache: BlockCache, text: str) -> bool:
    """Request a block, and return whether it was made."""
    asked = []

    def make() -> bytes:
        asked.append(text)
        return text.encode() * 100

    assert cache.remembered(make, [text.encode()], "how") == text.encode() * 100
    return bool(asked)


def test_a_block_depends_on_all_that_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes, other parameters and other libraries give other blocks."""
    cache = BlockCache.opened(0)
    assert cache is not None
    assert cache.remembered(lambda: b"1", [b"ab", b"c"], "level 1") == b"1"
    assert cache.remembered(lambda: b"2", [b"ab", b"c"], "level 1") == b"1"
    assert cache.remembered(lambda: b"2", [b"a", b"bc"], "level 1") == b"2"
    assert cache.remembered(lambda: b"2", [b"abc"], "level 2") == b"2"
    assert cache.remembered(lambda: b"3", [b"abd"], "level 1") == b"3"
    monkeypatch.setattr(block_cache, "LIBRARIES", "zlib-ng 9")
    other = BlockCache.opened(0)
    assert other is not None
    assert other.remembered(lambda: b"4", [b"abc"], "level 1") == b"4"


def test_what_was_not_used_longest_goes(folder: Path) -> None:
    """After a build the blocks are within the limit; a block that was read counts as used."""
    cache = BlockCache.opened(0)
    assert cache is not None
    for number, text in enumerate("abcd"):
        assert made(cache, text)
        newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (number, number))
    assert not made(cache, "a")  # used now
    cache.limit = 2 * 132
    cache.close()
    assert len(list(folder.iterdir())) == 2
    assert not made(cache, "a")
    assert not made(cache, "d")
    assert made(cache, "b")


@pytest.mark.parametrize("name", ["world.dat", "download.partial", "ab"])
def test_files_of_others_stay(folder: Path, name: str) -> None:
    """A user whose cache folder already has a folder of this name loses nothing there."""
    cache = BlockCache.opened(0)
    assert cache is not None
    assert made(cache, "a")
    (folder / name).write_bytes(b"x")
    os.utime(folder / name, (1, 1))
    cache.limit = 0
    cache.close()
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_build_that_fails_keeps_no_more_than_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a build that is tried again and again would fill the disk."""
    monkeypatch.setattr(block_cache, "_LIMIT", 0)

    def check(_plan: PackPlan, _archives: object) -> None:
        assert list(folder.iterdir())
        raise OutputProblem("it does not run")

    options = CompressionOptions(threads=1, cache=True)
    with pytest.raises(OutputProblem):
        write_archives(
            planned(tree()),
            tmp_path / "a",
            [CompressionFormat.ZIP],
            compression=options,
            check=check,
        )
    assert list(folder.iterdir()) == []


def test_partial_files_of_killed_builds_go(folder: Path) -> None:
    """After a day nobody writes to them any more; those of today are left alone."""
    cache = BlockCache.opened(0)
    assert cache is not None
    old, new = (folder / f"{letter * 64}.a1_b2_c3.partial" for letter in "ab")
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    cache.close()
    assert [path.name for path in folder.iterdir()] == [new.name]


def refused(path: Path) -> str | None:
    raise PermissionError(errno.EACCES, "Permission denied", path)


@pytest.mark.parametrize("way", ["mode", "owner", "file", "parent", "unreadable"])
def test_a_folder_of_others_is_not_used(
    folder: Path,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Blocks cannot be trusted where others can write; with -v a line says so."""
    caplog.set_level(logging.INFO, "hatch_pack_venv")
    match way:
        case "mode":
            folder.mkdir(parents=True)
            folder.chmod(0o770)
        case "parent":
            folder.mkdir(parents=True)
            folder.parent.chmod(0o777)
        case "unreadable":
            monkeypatch.setattr(filesystem, "check_cache_folder", refused)
        case "owner":
            monkeypatch.setattr(os, "geteuid", lambda: 4711)
        case "file":
            folder.parent.write_bytes(b"")
    assert BlockCache.opened(0) is None
    (line,) = caplog.messages
    assert line.startswith(f"no blocks are cached for the next build: {folder.parent}")


def test_the_folder_is_the_users_alone(folder: Path) -> None:
    """Whatever the umask, nobody else can write or read there."""
    before = os.umask(0)
    try:
        cache = BlockCache.opened(0)
        assert cache is not None
        made(cache, "a")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder)]
    assert modes == [0o700, 0o700]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_room_is_left_for_the_archive(folder: Path) -> None:
    """No block is kept if it would take space that the archive may need."""
    cache = BlockCache.opened(1 << 62)
    assert cache is not None
    assert made(cache, "a")
    assert made(cache, "a")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("formats", "kept"), [(["tar.gz"], True), (["tar.gz", "zip"], False)])
def test_room_is_left_for_every_archive(
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    formats: list[str],
    *,
    kept: bool,
) -> None:
    """Room is also left for the files of one archive, which is unpacked to be proved."""
    files = planned(tree())
    usage = shutil.disk_usage(tmp_path)._replace(free=files.size * 5 // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    options = CompressionOptions(threads=1, cache=True)
    chosen = map(CompressionFormat.get_format, formats)
    write_archives(files, tmp_path / "a", chosen, compression=options)
    assert bool(list(folder.iterdir())) == kept


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable of this project, then XDG's where it is absolute, then the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("x") == tmp_path / "cache/x"
    monkeypatch.setenv("HATCH_PACK_VENV_CACHE_DIR", "~/own")  # as in a file that no shell reads
    assert cache_folder("x") == tmp_path / "own/x"
    monkeypatch.delenv("HATCH_PACK_VENV_CACHE_DIR")
    assert cache_folder("x") == tmp_path / "xdg/hatch-pack-venv/x"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder("x") == tmp_path / ".cache/hatch-pack-venv/x"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert BlockCache.opened(0) is None
