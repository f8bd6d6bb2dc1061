"""Whatever ends the writing, nothing is left, and what was there before still stands."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.archives import every_output, write_output
from support.trees import Scene, lasting_state

from hatch_pack_venv import CompressionFormat, PackVenvError
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import OutputProblem, SourceProblem
from hatch_pack_venv.write import stream as content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_pack_venv.model.results import Reporter


FORMATS = list(CompressionFormat)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make an environment with a file of more than one block."""
    scene = Scene.make(tmp_path)
    (scene.env / "data/big").write_bytes(os.urandom(1_500_000))
    return scene


def silent_until(count: int, error: BaseException) -> Reporter:
    """Return a reporter that raises at the given call."""

    @contextmanager
    def report(_total: int) -> Iterator[Callable[[int], None]]:
        calls = []

        def advance(_: int) -> None:
            calls.append(1)
            if len(calls) == count:
                raise error

        yield advance

    return report


every_history = pytest.mark.parametrize("history", ["new", "earlier"])


some_outputs = pytest.mark.parametrize("output", ["GZIP", "ZIP", "several", "folder"])


def before(scene: Scene, output: str, history: str) -> tuple[Path, dict[str, tuple[object, ...]]]:
    """Make an earlier output, or leave even the folder to be made; return the state of all."""
    out = scene.root / "made/out"
    if history == "earlier":
        write_output(scene.plan(), out, output)
        (out / "neighbour").write_text("stays")
    return out, lasting_state(scene.root)


@every_history
@every_output
def test_an_error_while_reading(
    scene: Scene, output: str, history: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is there, and gives an input/output error: named, and nothing has changed."""
    out, state = before(scene, output, history)
    # Reading it from its beginning is EIO, since nothing is mapped there.
    scene.link("data/z-bad", "/proc/self/mem")
    planned = scene.plan()
    (scene.env / "data/z-bad").unlink()
    # It says that it is empty; as a file of eight bytes it is read.
    entries = [
        replace(entry, size=8)
        if isinstance(entry, FileEntry) and entry.arcname == "data/z-bad"
        else entry
        for entry in planned.entries
    ]
    planned = replace(planned, entries=tuple(entries))
    monkeypatch.setattr(
        content, "_state", lambda descriptor: (os.fstat(descriptor).st_size or 8, 0)
    )
    with pytest.raises(SourceProblem, match="/mem cannot be read: Input/output error"):
        write_output(planned, out, output)
    assert lasting_state(scene.root) == state


@every_history
@some_outputs
@pytest.mark.parametrize("change", ["shrinks", "grows", "goes"])
def test_a_file_that_changes(scene: Scene, output: str, history: str, change: str) -> None:
    """What is not any more as it was planned is named, and nothing is written."""
    path = scene.env / "data/sub/g"
    out, _ = before(scene, output, history)
    planned = scene.plan()
    if change == "goes":
        path.unlink()
    else:
        path.write_bytes(b"" if change == "shrinks" else b"inside g and more")
    state = lasting_state(scene.root)
    with pytest.raises(SourceProblem, match=r"data/sub/g (changed while|cannot be read)"):
        write_output(planned, out, output)
    assert lasting_state(scene.root) == state


@every_history
@some_outputs
@pytest.mark.parametrize("call", [1, 3, 6])
def test_ctrl_c(scene: Scene, output: str, history: str, call: int) -> None:
    """An interrupt at the beginning, in the middle and late comes through."""
    out, state = before(scene, output, history)
    with pytest.raises(KeyboardInterrupt):
        write_output(scene.plan(), out, output, report=silent_until(call, KeyboardInterrupt()))
    assert lasting_state(scene.root) == state


@pytest.mark.parametrize(
    ("history", "where", "call"),
    [("new", Path, "chmod"), ("earlier", Path, "chmod"), ("earlier", os, "fsync")],
)
@pytest.mark.parametrize("output", ["UNCOMPRESSED", "ZIP", "several"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_an_error_when_all_is_written(
    scene: Scene,
    output: str,
    history: str,
    where: object,
    call: str,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What goes wrong only at the end is in time: what a disk tells only when it has to write."""
    out, state = before(scene, output, history)
    planned = scene.plan()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, call, fail)
    with pytest.raises(
        KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputProblem
    ):
        write_output(planned, out, output)
    assert lasting_state(scene.root) == state


@every_history
def test_the_disk_has_what_replaces_an_earlier_archive(
    scene: Scene, history: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file before any is put in its place; a new archive is left to the system to write."""
    out, _ = before(scene, "several", history)
    calls: list[str] = []
    replaced, fsync = Path.replace, os.fsync

    def noted_fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(f"synced {name.rpartition('.')[0].rpartition('.')[0]}")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        calls.append(f"in place {target.name}")
        return replaced(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_output(scene.plan(), out, "several")
    names = ["app.tar", "app.tar.json", "app.zip", "app.zip.json"]
    synced = [f"synced .{name}" for name in names] if history == "earlier" else []
    assert calls == synced + [f"in place {name}" for name in names]


@every_history
@pytest.mark.parametrize("output", ["ZIP", "several"])
def test_what_a_format_cannot_hold_makes_no_folder(scene: Scene, output: str, history: str) -> None:
    """Links that a format cannot hold leave not even an empty folder."""
    out, _ = before(scene, output, history)
    scene.link("data/self", ".")
    state = lasting_state(scene.root)
    with pytest.raises(PackVenvError, match="data/self leads to a folder it lies in"):
        write_output(scene.plan(), out, output)
    assert lasting_state(scene.root) == state


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """Give a folder to a user without rights, and be that user for the test."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        root = os.geteuid() == 0
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


@every_history
@some_outputs
def test_an_unreadable_file(as_nobody: Path, output: str, history: str) -> None:
    """A file that this user may not read is named."""
    scene = Scene.make(as_nobody)
    path = scene.env / "data/sub/g"
    out, _ = before(scene, output, history)
    path.chmod(0)
    names = sorted(as_nobody.rglob("*"))
    earlier = [p.read_bytes() for p in names if p.is_relative_to(out) and p.is_file()]
    with pytest.raises(SourceProblem, match="data/sub/g cannot be read: Permission denied"):
        write_output(scene.plan(), out, output)
    assert sorted(as_nobody.rglob("*")) == names
    assert [p.read_bytes() for p in names if p.is_relative_to(out) and p.is_file()] == earlier


@every_output
def test_a_folder_that_cannot_be_written(as_nobody: Path, output: str) -> None:
    """An output folder of somebody else is one sentence, and no parent is made."""
    scene = Scene.make(as_nobody)
    closed = as_nobody / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(OutputProblem, match="cannot be written: Permission denied"):
        write_output(scene.plan(), closed / "a/b", output)
    assert list(closed.iterdir()) == []
