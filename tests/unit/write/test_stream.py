"""Writing: each file once, hashed; the manifest last; sinks that cannot hold links."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.binaries import DT_RUNPATH, make_elf
from support.fakes import ListSink, file, folder, link, names, plan

from hatch_pack_venv.binary.patch import patched_file
from hatch_pack_venv.model.build_paths import BASE, BuildPath, LeakPolicy
from hatch_pack_venv.model.entries import FileEntry, Patch, PatchedFile, SymlinkEntry
from hatch_pack_venv.model.errors import LinkError, SourceProblem
from hatch_pack_venv.model.manifest import ARCNAME
from hatch_pack_venv.plan.links import without_links
from hatch_pack_venv.write.stream import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan


_LARGE = 64 << 20  # bytes


def written(planned: PackPlan, **changes: Any) -> tuple[ListSink, dict[str, Any]]:
    sink = ListSink(**changes)
    write(planned, sink, lambda _: None)
    return sink, json.loads(sink.contents[ARCNAME])


def on_disk(path: Path, arcname: str = "a", size: int | None = None) -> FileEntry:
    return FileEntry(arcname=arcname, content=str(path), size=size or path.stat().st_size)


def test_the_manifest_is_last_and_true(tmp_path: Path) -> None:
    """The manifest lists every file with the hash of the bytes that were written."""
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    sink, manifest = written(plan(on_disk(tmp_path / "a"), file("b", b"1", executable=True)))
    assert sink.entries[-1].arcname == ARCNAME
    assert sink.closed
    listed = {each["path"]: each for each in manifest["files"]}
    assert listed.keys() == sink.contents.keys() - {ARCNAME}
    for name, content in sink.contents.items():
        if name != ARCNAME:
            assert listed[name]["sha256"] == hashlib.sha256(content).hexdigest()
            assert listed[name]["size"] == len(content)
    assert (listed["a"]["mode"], listed["b"]["mode"]) == ("644", "755")


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    """The bytes reported are those of the plan and the manifest."""
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    planned = plan(on_disk(tmp_path / "a"))
    seen: list[int] = []
    sink = ListSink()
    write(planned, sink, seen.append)
    assert sum(seen) == planned.size + len(sink.contents[ARCNAME])


def test_the_digest_is_the_same_with_and_without_links() -> None:
    """The content digest does not depend on whether a format holds links."""
    planned = plan(file("data/a", b"1"), link("data/b", "a", "data/a"))
    with_links, first = written(planned)
    without, second = written(planned, holds_links=False)
    assert first["content_digest"] == second["content_digest"]
    assert first["links"] == [{"path": "data/b", "target": "a"}]
    assert second["links"] == []
    assert without.contents["data/b"] == b"1"
    assert "data/b" not in with_links.contents


@pytest.mark.parametrize(
    "other",
    [
        [file("a", b"2")],
        [file("b", b"1")],
        [file("a", b"1", executable=True)],
        [file("a", b"1"), folder("d")],
        [file("a", b"1"), link("l", "a", "a")],
    ],
    ids=["bytes", "name", "mode", "folder", "link"],
)
def test_the_digest_sees_every_difference(other: list[Any]) -> None:
    """Names, kinds, modes, link texts and bytes all count; times do not."""
    _, base = written(plan(file("a", b"1", mtime=1)))
    _, same = written(plan(file("a", b"1", mtime=2)))
    _, changed = written(plan(*other))
    assert base["content_digest"] == same["content_digest"]
    assert base["content_digest"] != changed["content_digest"]


@pytest.mark.parametrize("is_patched", [False, True])
def test_a_large_library_is_never_held_as_a_whole(tmp_path: Path, is_patched: bool) -> None:
    """It is not held for patching, nor for a second look if it contains a build path."""
    path = tmp_path / "large.so"
    path.write_bytes(make_elf((DT_RUNPATH, "/opt/python/lib")))
    os.truncate(path, _LARGE)
    tracemalloc.start()
    try:
        entry = on_disk(path)
        if is_patched:
            content = patched_file(str(path), (Patch(offset=_LARGE - 1, replacement=b"x"),))
            entry = replace(entry, content=content)
        build_paths = (BuildPath(kind=BASE, path=b"/opt/python"),)
        planned = replace(plan(entry), leak_policy=LeakPolicy(build_paths=build_paths))
        result = write(planned, ForgettingSink(), lambda _: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [finding.arcname for finding in result.findings] == ["a"]
    assert peak < _LARGE // 4


class ForgettingSink(ListSink):
    def add_file(self, entry: FileEntry, stream: Any) -> None:
        self.entries.append(entry)
        while stream.read(1 << 20):
            pass


@pytest.mark.parametrize("planned_size", [2, 4])
def test_a_file_that_changed_is_one_error(tmp_path: Path, planned_size: int) -> None:
    """A file longer or shorter than planned stops writing, and is named."""
    (tmp_path / "a").write_bytes(b"123")
    with pytest.raises(SourceProblem, match=r"/a changed while it was being packed: pack again"):
        written(plan(on_disk(tmp_path / "a", size=planned_size)))


@pytest.mark.parametrize("size", [3, 3 << 20])
def test_a_file_written_to_while_it_is_read_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It is found even if the size is unchanged, in small files and in large ones that stream."""
    path = tmp_path / "a"
    path.write_bytes(bytes(size))
    entry = on_disk(path)
    real = os.fstat
    seen: list[int] = []

    def fstat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        seen.append(descriptor)
        os.utime(path, (len(seen), len(seen)))  # as a write would
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(SourceProblem, match=r"/a changed while it was being packed: pack again"):
        written(plan(entry))
    assert len(seen) == 2


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("size", [0, 3, 3 << 20])
@pytest.mark.parametrize("become", [become_fifo, become_endless, become_folder])
@pytest.mark.parametrize("writer", [False, True])
def test_a_file_that_is_none_any_more_is_one_error(
    tmp_path: Path, size: int, become: Callable[[Path], None], writer: bool
) -> None:
    """A file that became a FIFO, device or folder since the scan is named and not waited for."""
    path = tmp_path / "a"
    path.write_bytes(bytes(size))
    entry = on_disk(path)
    become(path)
    held = os.open(path, os.O_RDWR) if writer and become is become_fifo else None
    try:
        with pytest.raises(SourceProblem, match=r"/a (changed|cannot be read)"):
            written(plan(entry))
        patches = (Patch(offset=0, replacement=b""),)
        content = PatchedFile(path=str(path), patches=patches)
        with pytest.raises(SourceProblem, match=r"/a (changed|cannot be read)"):
            written(plan(replace(entry, content=content)))
    finally:
        if held is not None:
            os.close(held)


def test_a_file_that_vanished_is_one_error(tmp_path: Path) -> None:
    """A file that is gone when its turn comes is named."""
    with pytest.raises(SourceProblem, match=r"/gone cannot be read: No such file or directory"):
        written(plan(on_disk(tmp_path / "gone", size=1)))


def test_patches_are_applied_as_the_file_streams(tmp_path: Path) -> None:
    """Patched bytes appear in the copy, across read boundaries, and never in the file."""
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    patches = (Patch(offset=2, replacement=b"AB"), Patch(offset=9, replacement=b"Z"))
    entry = FileEntry(arcname="a", content=PatchedFile(path=str(path), patches=patches), size=10)

    class SmallReads(ListSink):
        def add_file(self, entry: FileEntry, stream: Any) -> None:
            blocks = iter(lambda: stream.read(3), b"")
            self.contents[entry.arcname] = b"".join(blocks)

    sink = SmallReads()
    write(plan(entry), sink, lambda _: None)
    assert sink.contents["a"] == b"01AB45678Z"
    assert path.read_bytes() == b"0123456789"


def test_links_become_copies_through_other_links() -> None:
    """Files, folders and chains are copied; `lib64` is left out."""
    lib64 = SymlinkEntry(arcname="lib64", linkname="lib", optional=True)
    copied = without_links(
        [
            folder("d"),
            file("d/f", b"1"),
            folder("lib"),
            lib64,
            link("to-d", "d", "d"),
            link("to-f", "to-d/f", "d/f"),
            link("via", "to-f", "d/f"),
        ]
    )
    contents = {e.arcname: e.content for e in copied if isinstance(e, FileEntry)}
    assert contents == {"d/f": b"1", "to-d/f": b"1", "to-f": b"1", "via": b"1"}
    assert names(copied) == ["d", "lib", "to-d", "d/f", "to-d/f", "to-f", "via"]


@pytest.mark.parametrize(
    ("arcname", "linkname", "reason"),
    [
        ("d/up", "..", "a copy would never end"),
        ("d/self", ".", "a copy would never end"),
        ("d/round", "round", "leads nowhere"),
        ("d/gone", "nothing", "leads nowhere"),
    ],
)
def test_links_that_cannot_be_copied_are_refused(arcname: str, linkname: str, reason: str) -> None:
    """A loop or a link to nowhere is one error with its name."""
    with pytest.raises(LinkError, match=rf"the link {arcname} .*{reason}"):
        without_links([folder("d"), file("d/f"), SymlinkEntry(arcname=arcname, linkname=linkname)])
