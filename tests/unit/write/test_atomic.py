"""Whatever ends the writing, nothing is left, and what was there before still stands."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import make_environment, tool
from support.interpreters import newest_of_each
from support.scenes import Scene
from support.signals import unmeasured
from support.trees import tree_state

from hatch_pack_venv import CompressionFormat, PackVenvError
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import OutputProblem, SourceProblem
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.write import stream as content
from hatch_pack_venv.write.archive import write_archives, write_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_pack_venv.model.plan import PackPlan
    from hatch_pack_venv.model.results import Reporter

FORMATS = list(CompressionFormat)
TESTS: Final = Path(__file__).parents[2]


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


OUTPUTS = [*(format.name for format in FORMATS), "several", "folder"]
every_output = pytest.mark.parametrize("output", OUTPUTS)
every_history = pytest.mark.parametrize("history", ["new", "earlier"])


some_outputs = pytest.mark.parametrize("output", ["GZIP", "ZIP", "several", "folder"])


def state_of(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what a tree is; only the times of folders may change and change back."""
    return {
        name: (mode, inode, content)
        if isinstance(mode, int) and stat.S_ISDIR(mode)
        else (mode, mtime, links, inode, content)
        for name, (mode, mtime, links, inode, content) in tree_state(root).items()
    }


def write(plan: PackPlan, out: Path, output: str, report: Reporter = silent) -> None:
    if output == "folder":
        write_folder(plan, out / "app", report=report)
    else:
        several = [CompressionFormat.UNCOMPRESSED, CompressionFormat.ZIP]
        chosen = several if output == "several" else [CompressionFormat[output]]
        write_archives(plan, out / "app", chosen, report=report)


def before(scene: Scene, output: str, history: str) -> tuple[Path, dict[str, tuple[object, ...]]]:
    """Make an earlier output, or leave even the folder to be made; return the state of all."""
    out = scene.root / "made/out"
    if history == "earlier":
        write(scene.plan(), out, output)
        (out / "neighbour").write_text("stays")
    return out, state_of(scene.root)


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
        write(planned, out, output)
    assert state_of(scene.root) == state


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
    state = state_of(scene.root)
    with pytest.raises(SourceProblem, match=r"data/sub/g (changed while|cannot be read)"):
        write(planned, out, output)
    assert state_of(scene.root) == state


@every_history
@some_outputs
@pytest.mark.parametrize("call", [1, 3, 6])
def test_ctrl_c(scene: Scene, output: str, history: str, call: int) -> None:
    """An interrupt at the beginning, in the middle and late comes through."""
    out, state = before(scene, output, history)
    with pytest.raises(KeyboardInterrupt):
        write(scene.plan(), out, output, report=silent_until(call, KeyboardInterrupt()))
    assert state_of(scene.root) == state


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
        write(planned, out, output)
    assert state_of(scene.root) == state


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
    write(scene.plan(), out, "several")
    names = ["app.tar", "app.tar.json", "app.zip", "app.zip.json"]
    synced = [f"synced .{name}" for name in names] if history == "earlier" else []
    assert calls == synced + [f"in place {name}" for name in names]


@every_history
@pytest.mark.parametrize("output", ["ZIP", "several"])
def test_what_a_format_cannot_hold_makes_no_folder(scene: Scene, output: str, history: str) -> None:
    """Links that a format cannot hold leave not even an empty folder."""
    out, _ = before(scene, output, history)
    scene.link("data/self", ".")
    state = state_of(scene.root)
    with pytest.raises(PackVenvError, match="data/self leads to a folder it lies in"):
        write(scene.plan(), out, output)
    assert state_of(scene.root) == state


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
        write(scene.plan(), out, output)
    assert sorted(as_nobody.rglob("*")) == names
    assert [p.read_bytes() for p in names if p.is_relative_to(out) and p.is_file()] == earlier


@every_output
def test_a_folder_that_cannot_be_written(as_nobody: Path, output: str) -> None:
    """An output folder of somebody else is one sentence, and no parent is made."""
    scene = Scene.make(as_nobody)
    closed = as_nobody / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(OutputProblem, match="cannot be written: Permission denied"):
        write(scene.plan(), closed / "a/b", output)
    assert list(closed.iterdir()) == []


# real processes

# Arguments: the tests' folder, a scene, an output, sizes of the file system; in a namespace of its
# own. Prints, for each size, whether it succeeded and what is there then.
ON_SMALL_DISKS: Final = """
import json, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.scenes import Scene
from unit.test_atomic_output import write
from hatch_pack_venv import PackVenvError
scene, output, sizes = Scene(root=Path(sys.argv[2])), sys.argv[3], json.loads(sys.argv[4])
disk = scene.root / "disk"
found = []
for size in sizes:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
    subprocess.run(mount, check=True)
    for name in ("app.tar", "app.tar.gz", "app.zip", "app.tar.json"):
        (disk / name).write_text("earlier")
    message = "done"
    try:
        write(scene.plan(), disk, output)
    except PackVenvError as error:
        message = str(error)
    names = {str(p.relative_to(disk)): p.is_file() and p.stat().st_size for p in disk.rglob("*")}
    found.append((message, names))
    subprocess.run(["umount", str(disk)], check=True)
print(json.dumps(found))
"""
EARLIER: Final = {"app.tar": 7, "app.tar.gz": 7, "app.zip": 7, "app.tar.json": 7}


def on_small_disks(
    scene: Scene, output: str, sizes: list[int]
) -> list[tuple[str, dict[str, object]]]:
    prefix = hiding.namespace()
    assert prefix is not None, "mount namespaces are not allowed here"
    (scene.root / "disk").mkdir()
    command = [*prefix, sys.executable, "-c", ON_SMALL_DISKS, TESTS, scene.root, output]
    done = subprocess.run(
        [*map(str, command), json.dumps(sizes)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(message, names) for message, names in json.loads(done.stdout)]


@every_output
def test_a_full_disk(scene: Scene, output: str) -> None:
    """No space for half of it: one sentence; the archives that were there are all that is there."""
    ((message, names),) = on_small_disks(scene, output, [700_000])
    assert "cannot be written: No space left on device" in message
    assert names == EARLIER


def test_a_disk_that_is_full_just_before_the_end(scene: Scene) -> None:
    """Page by page, with room for the archive but not for its facts, too: all of it or nothing."""
    for number in range(80):
        # Many distributions make the facts longer than what Python buffers.
        folder = scene.env / f"lib/python3.11/site-packages/p{number}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: p{number}\nVersion: 1\nSummary: {'x' * 90}\n")
    (result,) = write_archives(
        scene.plan(), scene.root / "out/app", [CompressionFormat.UNCOMPRESSED]
    )
    page = os.sysconf("SC_PAGE_SIZE")
    pages = -(-result.size // page) + len(EARLIER)
    found = on_small_disks(scene, "UNCOMPRESSED", [page * (pages + n) for n in range(-1, 5)])
    outcomes = [message == "done" for message, _ in found]
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {True, False}
    assert outcomes[1] is False, "there was room for the archive only"
    for message, names in found:
        if message == "done":
            assert names["app.tar"] == result.size
            assert names.keys() == EARLIER.keys()
        else:
            assert "No space left on device" in message
            assert names == EARLIER


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a real environment that takes a while to compress."""
    env = make_environment(tmp_path_factory.mktemp("slow") / "env", newest_of_each()[-1], by="uv")
    (env / "data").write_bytes(os.urandom(40_000_000))
    return env


@pytest.mark.parametrize("command", ["pack", "export"])
def test_sigint_to_the_command(environment: Path, tmp_path: Path, command: str) -> None:
    """Ctrl-C ends with one line and status 1; the earlier output is all that is there."""
    out = tmp_path / "out"
    target = out / "app"
    arguments = [str(environment), "--interpreter", "target"]
    if command == "pack":
        out.mkdir()
        (out / "app.tar.xz").write_text("earlier")
        call = [tool("pack-venv"), "pack", *arguments, "-o", str(target)]
    else:
        (target / "share/venv/metadata").mkdir(parents=True)
        (target / "share/venv/metadata/pack-venv.json").write_text("earlier")
        call = [tool("pack-venv"), "export", arguments[0], str(target), *arguments[1:]]
    state = state_of(out)
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=unmeasured()) as process:
        end = time.monotonic() + 60
        while not any(path.name.endswith(".partial") for path in out.iterdir()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
        process.send_signal(signal.SIGINT)
        _, message = process.communicate()
    assert process.returncode == 1
    assert message == "pack-venv: error: interrupted, nothing was written\n"
    assert state_of(out) == state
