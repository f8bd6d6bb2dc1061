"""Compressors: the same bytes with any number of threads, read by other programs."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
import threading
import time
import zipfile
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import FORMATS, compressible, planned_content, read_archive, written
from support.fakes import file, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.write.archive import write_archives
from hatch_pack_venv.write.sinks import deflate
from hatch_pack_venv.write.sinks.blocks import Chunker
from hatch_pack_venv.write.sinks.tar import header
from hatch_pack_venv.write.sinks.thread_pool import Cancelled, OrderedPool
from hatch_pack_venv.write.sinks.zip import Member, central_header, end_records, local_header

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan


COMPRESSED = [format for format in FORMATS if format.levels]


@pytest.mark.parametrize("format", FORMATS)
def test_the_number_of_threads_does_not_show(
    tmp_path: Path, large: PackPlan, format: CompressionFormat
) -> None:
    """With 1, 2 and 7 threads the archive has the same bytes, and they hold the plan."""
    archives = [written(large, tmp_path / str(n), format, n) for n in (1, 2, 7)]
    assert len({path.read_bytes() for path in archives}) == 1
    assert read_archive(archives[0], format) == planned_content(large, format)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_levels_of_deflate_are_read_back(tmp_path: Path, large: PackPlan, level: int) -> None:
    """Blocks with a dictionary are one good stream at any level."""
    for format in (CompressionFormat.GZIP, CompressionFormat.ZIP):
        compression = CompressionOptions(level=level, threads=2)
        (result,) = write_archives(large, tmp_path / "a", [format], compression=compression)
        assert read_archive(result.path, format) == planned_content(large, format)


def test_members_of_a_zip_are_whole_or_in_blocks(tmp_path: Path) -> None:
    """A member too large to be compressed at once is read back, whatever the number of threads."""
    half = compressible(1 << 20, 4)
    planned = plan(file("large", half * 33), file("next", half * 31))
    archives = [written(planned, tmp_path / str(n), CompressionFormat.ZIP, n) for n in (1, 3)]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    for archive in archives:
        assert read_archive(archive, CompressionFormat.ZIP) == planned_content(
            planned, CompressionFormat.ZIP
        )


def test_a_stored_member_is_never_larger(tmp_path: Path, large: PackPlan) -> None:
    """What deflate would enlarge is stored."""
    with zipfile.ZipFile(written(large, tmp_path / "a", CompressionFormat.ZIP, 2)) as zipped:
        assert zipped.getinfo("app/noise").compress_type == zipfile.ZIP_STORED
        assert all(i.compress_size <= i.file_size for i in zipped.infolist())
        assert all(not i.extra and i.extract_version == 20 for i in zipped.infolist())


@pytest.mark.slow
def test_a_file_of_four_gib_in_a_zip(tmp_path: Path) -> None:
    """A member that needs ZIP64 uses it and is complete; small members do not use it."""
    size = (4 << 30) + 1
    sparse = tmp_path / "zeros"
    with sparse.open("wb") as stream:
        stream.truncate(size)
    planned = plan(FileEntry(arcname="z", content=str(sparse), size=size), file("a", b"1"))
    compression = CompressionOptions(level=1)
    (result,) = write_archives(
        planned, tmp_path / "out", [CompressionFormat.ZIP], compression=compression
    )
    with zipfile.ZipFile(result.path) as zipped:
        assert zipped.getinfo("app/z").file_size == size
        assert zipped.getinfo("app/z").extract_version == 45
        assert zipped.getinfo("app/a").extract_version == 20
        with zipped.open("app/z") as stream:
            read = sum(len(block) for block in iter(lambda: stream.read(1 << 24), b""))
        assert read == size  # and zipfile has compared its CRC


def test_zip64_where_a_number_needs_it() -> None:
    """Only sizes and offsets from 2**32 - 1, and counts from 65,535, make ZIP64 records."""
    small = Member(name=b"a", mode=0o100644, time=(0, 33), size=(1 << 32) - (1 << 24))
    assert len(local_header(small)) == 31
    assert len(central_header(small)) == 47
    far = Member(name=b"a", mode=0o100644, time=(0, 33), offset=(1 << 32) - 1)
    assert len(local_header(far)) == 31
    assert len(central_header(far)) == 47 + 12
    assert len(end_records(65_534, 1, 1)) == 22
    assert len(end_records(65_535, 1, 1)) == 98


def test_more_members_than_sixteen_bits_count(tmp_path: Path) -> None:
    """zipfile finds all of 70,000 members."""
    path = tmp_path / "many.zip"
    with path.open("wb") as output:
        members = [Member(name=b"%d" % n, mode=0o100644, time=(0, 33)) for n in range(70_000)]
        for member in members:
            member.offset = output.tell()
            output.write(local_header(member))
        start = output.tell()
        directory = b"".join(map(central_header, members))
        output.write(directory + end_records(len(members), len(directory), start))
    with zipfile.ZipFile(path) as zipped:
        assert len(zipped.namelist()) == 70_000
        assert zipped.read("69999") == b""


def test_results_come_in_order_and_reading_waits() -> None:
    """Whatever ends first, results are taken in order, with a bounded number under way."""
    taken: list[int] = []
    running, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal running
        time.sleep(0.02 if number % 3 == 0 else 0)
        with lock:
            running -= 1
        return number

    pool = OrderedPool[int](3, taken.append, ahead=2)
    for number in range(30):
        with lock:
            running += 1
            most = max(most, running)
        pool.put(lambda number=number: work(number))  # type: ignore[misc]
    pool.close()
    assert taken == list(range(30))
    assert most <= 3 + 2 + 1


def test_heavy_work_counts_for_more() -> None:
    """Work that holds much memory waits until little of it is under way."""
    taken: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.005)
        return number

    pool = OrderedPool[int](2, taken.append, ahead=2)
    held = 0
    for number in range(8):
        pool.put(partial(work, number), weight=4)
        held = max(held, number + 1 - len(taken))
    pool.close()
    assert taken == list(range(8))
    assert held == 1


def test_long_work_ends_when_it_is_given_up() -> None:
    """Cancelling ends work that checks whether it is still wanted."""
    pool = OrderedPool[None](1, lambda _: None, ahead=0)
    started = threading.Event()
    ended: list[type] = []

    def work() -> None:
        started.set()
        try:
            while True:
                pool.check()
                time.sleep(0.001)
        except Cancelled as error:
            ended.append(type(error))
            raise

    pool.put(work)
    started.wait()
    pool.cancel()
    assert ended == [Cancelled]


def test_a_call_that_cannot_be_ended_is_left_behind() -> None:
    """Cancelling does not wait for it; otherwise its result or error reaches the work."""
    taken: list[int] = []
    pool = OrderedPool[int](1, taken.append, ahead=3)
    pool.put(lambda: pool.call(lambda: 7))
    pool.drain()
    assert taken == [7]

    def fail() -> int:
        raise MemoryError("no room")

    pool.put(lambda: pool.call(fail))
    with pytest.raises(MemoryError, match="no room"):
        pool.drain()

    started, wanted = threading.Event(), threading.Event()

    def wait() -> int:
        started.set()
        return int(wanted.wait(60))

    pool.put(lambda: pool.call(wait))
    started.wait()
    before = time.monotonic()
    pool.cancel()
    assert time.monotonic() - before < 30
    wanted.set()


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    """What work raises is raised where its result would be taken."""
    pool = OrderedPool[int](2, lambda _: None, ahead=0)

    def fail() -> int:
        raise OSError(28, "No space left on device")

    def use() -> None:
        pool.put(fail)
        pool.close()

    with pytest.raises(OSError, match="No space left"):
        use()
    pool.cancel()


@pytest.mark.parametrize("steps", [[1] * 25, [10, 10, 5], [25], [9, 11, 0, 5], [30]])
def test_blocks_do_not_depend_on_the_writes(steps: list[int]) -> None:
    """However a stream is written, it is cut at the same places."""
    stream = bytes(range(sum(steps)))
    blocks: list[bytes] = []
    cutter, start = Chunker(10), 0
    for step in steps:
        blocks += cutter.cut(stream[start : start + step])
        start += step
    assert [len(block) for block in blocks] == [10] * (len(stream) // 10)
    assert b"".join(blocks) + cutter.rest() == stream


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
@given(
    name=st.one_of(
        st.text("ab./ -", min_size=1, max_size=300),
        st.lists(st.text("abc", min_size=1, max_size=160), min_size=1, max_size=4).map("/".join),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
    ),
    numbers=st.tuples(*[st.one_of(st.just(8**11 - 1), st.integers(0, 1 << 40))] * 2),
    link=st.one_of(st.just(""), st.text("l/.", max_size=120)),
)
def test_headers_are_those_of_tarfile(
    kind: bytes, name: str, numbers: tuple[int, int], link: str
) -> None:
    """A header is what tarfile writes: ustar if that can hold it, otherwise pax."""
    name = name.strip("/").replace("\0", "") or "a"
    size, mtime = numbers
    made = header(name, kind, 0o644, mtime, size=size, link=link)
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size, info.linkname = kind, 0o644, mtime, size, link
    try:
        expected = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:
        expected = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    read = tarfile.TarInfo.frombuf(made[:512], "utf-8", "strict")
    assert (made == expected) or (read.name == name and len(made) == len(expected) == 512)


@pytest.fixture
def zlib_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the deflate module as if there were no wheels of the faster libraries."""
    monkeypatch.setitem(sys.modules, "deflate", None)
    spec = importlib.util.spec_from_file_location("without_wheels", deflate.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("_whole", "_streaming"):
        monkeypatch.setattr(deflate, name, getattr(module, name))
    monkeypatch.setattr("hatch_pack_venv.write.archive.REPLACED", module.REPLACED)


@pytest.mark.usefixtures("zlib_alone")
@pytest.mark.parametrize("format", [CompressionFormat.GZIP, CompressionFormat.ZIP])
def test_zlib_takes_the_place_of_faster_deflates(
    format: CompressionFormat, tmp_path: Path, large: PackPlan, caplog: pytest.LogCaptureFixture
) -> None:
    """Python reads it, threads make no difference, and a note says that the bytes differ."""
    one = written(large, tmp_path / "one", format, 1)
    two = written(large, tmp_path / "two", format, 2)
    assert one.read_bytes() == two.read_bytes()
    assert sorted(read_archive(one, format)) == sorted(planned_content(large, format))
    assert ["zlib is used instead" in message for message in caplog.messages] == [True, True]
