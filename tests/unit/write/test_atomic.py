"""Whatever interrupts writing, nothing is left behind, and what existed before stays."""

from __future__ import annotations

import errno
import importlib.readers  # noqa: F401 - tests become users who may not read this Python's library
import os
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.archives import every_output, write_output
from support.trees import Scene, lasting_state

from hatch_pack_venv import PackVenvError
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import OutputProblem, SourceProblem
from hatch_pack_venv.write import atomic
from hatch_pack_venv.write import stream as content
from hatch_pack_venv.write.atomic import (
    Interrupted,
    PendingFile,
    scratch_folder,
    terminable,
    uninterrupted,
)
from hatch_pack_venv.write.sinks.directory import can_hold_links

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_pack_venv.model.results import Reporter


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
    """Make an earlier output, or not even its folder; return the folder and everything's state."""
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
    """A file that gives an input/output error is named, and nothing has changed."""
    out, state = before(scene, output, history)
    # Reading it from its beginning is EIO, since nothing is mapped there.
    scene.link("data/z-bad", "/proc/self/mem")
    planned = scene.plan()
    (scene.env / "data/z-bad").unlink()
    # It claims to be empty; as a file of eight bytes it is read.
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
    """A file that no longer is as it was planned is named, and nothing is written."""
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
    """An interrupt at the beginning, in the middle or late is passed on."""
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
    """Errors that a disk reports only at the end, when it has to write, still come in time."""
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
    """Each file is synced before any is put in place; a new archive is left to the system."""
    out, _ = before(scene, "several", history)
    calls: list[str] = []
    commit, fsync = PendingFile.commit, os.fsync

    def noted_fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(f"synced {name.rpartition('.')[0].rpartition('.')[0]}")
        fsync(descriptor)

    def noted_commit(self: PendingFile) -> None:
        calls.append(f"in place {self.path.name}")
        commit(self)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(PendingFile, "commit", noted_commit)
    write_output(scene.plan(), out, "several")
    names = ["app.tar", "app.tar.json", "app.zip", "app.zip.json"]
    synced = [f"synced .{name}" for name in names] if history == "earlier" else []
    assert calls == synced + [f"in place {name}" for name in names]


def no_exchange(_one: Path, _other: Path) -> bool:
    """Behave like a file system that cannot exchange two files."""
    return False


every_file_system = pytest.mark.parametrize("can_exchange", [True, False])


@every_history
@every_file_system
@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_files_are_replaced_together(
    scene: Scene, history: str, failing: int, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one of two archives and their `.json` files cannot be replaced, none is."""
    out, _ = before(scene, "several", history)
    (scene.env / "new").write_text("new")
    state = lasting_state(scene.root)
    commit = PendingFile.commit
    calls: list[PendingFile] = []

    def failing_commit(self: PendingFile) -> None:
        calls.append(self)
        if len(calls) == failing:
            raise OutputProblem("no luck")
        commit(self)

    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", no_exchange)
    monkeypatch.setattr(PendingFile, "commit", failing_commit)
    with pytest.raises(OutputProblem, match="no luck"):
        write_output(scene.plan(), out, "several")
    assert lasting_state(scene.root) == state


@every_history
@every_file_system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("output", ["several", "folder"])
def test_a_signal_while_files_are_replaced_comes_too_late(
    scene: Scene,
    output: str,
    number: signal.Signals,
    history: str,
    can_exchange: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are new, each with its own `.json`, nothing else is left, and the run succeeds."""
    out, _ = before(scene, output, history)
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", no_exchange)
    raised: list[int] = []

    def raising(path: Path, *arguments: object, real: Callable[..., object]) -> object:
        if not raised and ".json" not in path.name:
            raised.append(number)
            signal.raise_signal(number)
        return real(path, *arguments)

    real_exchange, real_replace, real_rename = atomic.exchange, Path.replace, Path.rename
    monkeypatch.setattr(
        atomic, "exchange", lambda one, two: bool(raising(one, two, real=real_exchange))
    )
    monkeypatch.setattr(Path, "replace", lambda one, two: raising(one, two, real=real_replace))
    monkeypatch.setattr(Path, "rename", lambda one, two: raising(one, two, real=real_rename))
    with terminable():
        write_output(scene.plan(), out, output)
        with pytest.raises(Interrupted, match="after the output was put in place"):
            signal.raise_signal(number)
    assert raised
    names = [path.name for path in (scene.root / "made").rglob("*") if "partial" in path.name]
    assert names == []


def test_a_caller_without_handlers_is_interrupted_afterwards() -> None:
    """Python's own reaction to Ctrl-C follows when the block has ended."""
    reached = []

    def work() -> None:
        with uninterrupted(settles=True):
            signal.raise_signal(signal.SIGINT)
            reached.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Raising:
    """Raises a signal while the class that it is an attribute of is created."""

    def __set_name__(self, owner: type, name: str) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_while_a_class_is_made() -> None:
    """CPython before 3.12 turns it into a `RuntimeError`; other such errors are not affected."""
    with pytest.raises(Interrupted), terminable():
        type("Made", (), {"attribute": Raising()})
    with pytest.raises(RuntimeError, match="mine"), terminable():
        raise RuntimeError("mine")


@pytest.mark.parametrize(("number", "holds"), [(errno.EPERM, False), (errno.EIO, None)])
def test_what_fails_does_not_tell_that_a_folder_holds_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, holds: bool | None
) -> None:
    """A file system without links refuses to make one; a disk that fails says nothing."""

    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "symlink_to", failing)
    if holds is None:
        with pytest.raises(OSError, match=os.strerror(number)):
            can_hold_links(tmp_path)
    else:
        assert can_hold_links(tmp_path) == holds
    assert list(tmp_path.iterdir()) == []


def test_ignored_signals_and_others_handlers_stay() -> None:
    """`nohup` ignores SIGHUP; a server has its own handler for SIGTERM."""
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    try:
        with terminable():
            signal.raise_signal(signal.SIGHUP)
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
                assert seen == []
            assert seen == [signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@every_history
@pytest.mark.parametrize("output", ["ZIP", "several"])
def test_what_a_format_cannot_hold_makes_no_folder(scene: Scene, output: str, history: str) -> None:
    """Links that a format cannot hold do not leave even an empty folder behind."""
    out, _ = before(scene, output, history)
    scene.link("data/self", ".")
    state = lasting_state(scene.root)
    with pytest.raises(PackVenvError, match="data/self leads to a folder that contains it"):
        write_output(scene.plan(), out, output)
    assert lasting_state(scene.root) == state


@pytest.mark.parametrize("when", ["made", "removed"])
def test_a_signal_leaves_no_scratch_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """One that comes while the folder is made or removed waits until that is done."""
    with monkeypatch.context() as patched:
        module, name = (tempfile, "mkdtemp") if when == "made" else (os, "unlink")
        real = getattr(module, name)

        def interrupted(*arguments: Any, **options: Any) -> Any:
            done = real(*arguments, **options)
            signal.raise_signal(signal.SIGTERM)
            return done

        patched.setattr(module, name, interrupted)
        with pytest.raises(Interrupted), terminable(), scratch_folder(tmp_path / "app") as folder:
            (folder / "file").touch()
    assert [*tmp_path.iterdir()] == []


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """Give a folder to an unprivileged user, and be that user for the test."""
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
    """Somebody else's output folder is one error, and no parent is created."""
    scene = Scene.make(as_nobody)
    closed = as_nobody / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(OutputProblem, match="cannot be written: Permission denied"):
        write_output(scene.plan(), closed / "a/b", output)
    assert list(closed.iterdir()) == []
