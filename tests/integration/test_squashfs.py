"""Squashfs images, made by mksquashfs: they contain the plan, and always have the same bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.archives import compressible, large_plan, planned_content, read_archive, written
from support.fakes import file, folder, inputs, link, plan
from support.machine import needs
from unit.write.test_any_tree import trees

from hatch_pack_venv import CompressionFormat, PackOptions, PackVenvError
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.entries import FileEntry, Times
from hatch_pack_venv.model.errors import OutputProblem, SourceProblem
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.read.contents import read_members
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives
from hatch_pack_venv.write.sinks import squashfs

if TYPE_CHECKING:
    from hatch_pack_venv.model.plan import PackPlan

pytestmark = needs("mksquashfs", "unsquashfs")
SQUASHFS = CompressionFormat.SQUASHFS
LONG = "long/" + "/".join(["ä" * 60] * 4)
TIME = 1_600_000_001


def example(time: int = TIME, install_target: str = "app") -> PackPlan:
    return plan(
        file("data/f", b"content" * 1000),
        file("data/twin", b"content" * 1000),
        file("data/hole", bytes(1 << 20) + b"end"),
        file("bin/run", b"#!/bin/sh\n", executable=True),
        file("empty"),
        file(f"{LONG}/name with\nnewline", b"1"),
        folder("hollow"),
        link("data/l", "f", "data/f"),
        inputs=inputs(times=Times(fixed=time, generated=time), install_target=install_target),
    )


def image(folder: Path, planned: PackPlan, **how: Any) -> Path:
    compression = CompressionOptions(**{"level": 1, **how})
    (result,) = write_archives(planned, folder / "app", [SQUASHFS], compression=compression)
    return result.path


@pytest.mark.parametrize("install_target", ["app", "."])
def test_an_image_holds_the_plan(tmp_path: Path, install_target: str) -> None:
    """As `unsquashfs` unpacks it, and as it is read here: names, kinds, modes, texts and bytes."""
    planned = example(install_target=install_target)
    path = image(tmp_path, planned)
    expected = planned_content(planned, SQUASHFS)
    found = read_archive(path, SQUASHFS)
    assert [row for row in found if row[1] != "folder"] == sorted(
        row for row in expected if row[1] != "folder"
    )
    folders = {row[0]: row[2] for row in found if row[1] == "folder"}
    assert {row[0] for row in expected if row[1] == "folder"} <= folders.keys()
    assert set(folders.values()) == {0o755}
    assert verify(path).findings == ()
    listed = subprocess.run(
        ["unsquashfs", "-lln", "-UTC", path], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=5) for line in listed.splitlines() if line[:1] in "-dl"]
    assert rows[0][:2] == ["drwxr-xr-x", "0/0"]
    assert {row[1] for row in rows} == {"0/0"}
    assert {tuple(row[3:5]) for row in rows} == {("2020-09-13", "12:26")}


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(planned=trees())
def test_any_tree_is_read_back_as_planned(planned: PackPlan) -> None:
    """Whatever the names, the depth and the sizes; and what is packed verifies."""
    with tempfile.TemporaryDirectory() as work:
        path = image(Path(work), planned)
        found = {}
        for member, chunks in read_members(path, lambda _count: None):
            data = b"".join(chunks) or os.fsencode(member.linkname)
            kind = {"directory": "folder"}.get(member.kind, member.kind)
            found[member.name] = (kind, member.mode, data)
        for name, *row in planned_content(planned, SQUASHFS):
            assert found[name] == tuple(row)
        assert verify(path).findings == ()


def test_always_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads, the time zone, SOURCE_DATE_EPOCH and the umask change nothing."""
    planned = large_plan()
    first = written(planned, tmp_path / "one", SQUASHFS, 1).read_bytes()
    assert written(planned, tmp_path / "two", SQUASHFS, 2).read_bytes() == first
    monkeypatch.setenv("TZ", "America/Lima")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    mask = os.umask(0o077)
    try:
        again = written(planned, tmp_path / "more", SQUASHFS, 7)
    finally:
        os.umask(mask)
    assert again.read_bytes() == first
    assert again.stat().st_mode & 0o777 == 0o600


def instead(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program be found first, which may start the real one."""
    real = shutil.which("mksquashfs")
    folder.mkdir()
    (folder / "mksquashfs").write_text(f"#!/bin/sh\n{script.replace('REAL', str(real))}\n")
    (folder / "mksquashfs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@needs("namespaces")
def test_who_packs_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user makes the same image, the root of it included."""
    first = image(tmp_path, example()).read_bytes()
    instead(
        tmp_path / "bin",
        '[ "$(id -u)" != 65534 ] && exec unshare -U "$0" "$@"\nexec REAL "$@"',
        monkeypatch,
    )
    assert image(tmp_path / "more", example()).read_bytes() == first


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_an_interrupted_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose start was interrupted does not create its file afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            if self.stdin is not None:  # as when the interrupted call's objects are collected
                self.stdin.close()
            raise KeyboardInterrupt

    instead(tmp_path / "bin", 'sleep 0.3; : >"$2"', monkeypatch)  # opens its file late
    monkeypatch.setattr(squashfs, "find_mksquashfs", lambda: "mksquashfs")
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        image(tmp_path / "out", example())
    for process in started:
        assert process.wait(30) == 0
    assert not (tmp_path / "out").exists()


def test_times_are_kept_where_they_are_to_be(tmp_path: Path) -> None:
    """Each file has its own time, and the image the newest; times beyond the limit are capped."""
    times = {"old": 5, "new": 1_700_000_000, "beyond": 1 << 33}
    entries = []
    for name, time in times.items():
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time, time))
        entries.append(FileEntry(arcname=name, content=str(tmp_path / name), size=1, mtime=time))
    for newest, chosen in ((1_700_000_000, entries[:2]), ((1 << 32) - 1, entries)):
        planned = replace(plan(), entries=tuple(chosen))
        data = image(tmp_path, planned).read_bytes()
        assert int.from_bytes(data[8:12], "little") == newest
        found = subprocess.run(
            ["unsquashfs", "-lln", "-UTC", tmp_path / "app.squashfs"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        rows = {line.rpartition("/")[2]: line for line in found.splitlines()}
        assert "1970-01-01 00:00" in rows["old"]
        assert "2023-11-14 22:13" in rows["new"]
    assert "2106-02-07" in rows["beyond"]


def test_the_level_is_used(tmp_path: Path) -> None:
    """A higher level gives a smaller image."""
    planned = plan(file("a", compressible(1 << 20, 5)))
    sizes = [image(tmp_path, planned, level=level).stat().st_size for level in (1, 19)]
    assert sizes[0] > sizes[1]


def test_an_error_leaves_the_earlier_image_and_nothing_else(tmp_path: Path) -> None:
    """And no process."""
    path = image(tmp_path, example())
    before = {child.name: child.read_bytes() for child in tmp_path.iterdir()}
    gone = FileEntry(arcname="b", content=str(tmp_path / "gone"), size=1)
    with pytest.raises(SourceProblem):
        write_archives(plan(file("a"), gone), tmp_path / "app", [SQUASHFS])
    assert {child.name: child.read_bytes() for child in tmp_path.iterdir()} == before
    assert path.name in before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    assert not children.strip()


def test_a_user_with_many_pipes_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user at the limit for pipes, which all containers of root share, can pack: see pipe(7)."""

    real = fcntl.fcntl

    def refuse(file: int, command: int, argument: int = 0) -> int:
        if command != fcntl.F_SETPIPE_SZ:
            return real(file, command, argument)
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    expected = image(tmp_path / "one", example()).read_bytes()
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert image(tmp_path / "other", example()).read_bytes() == expected


def test_a_process_without_standard_input_packs(tmp_path: Path) -> None:
    """The image is correct even if its file gets descriptor 0, which is the program's input."""
    expected = image(tmp_path / "one", example()).read_bytes()
    kept = os.dup(0)
    os.close(0)
    try:
        found = image(tmp_path / "other", example()).read_bytes()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert found == expected


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo FATAL ERROR: Out of luck >&2; exit 1", "FATAL ERROR: Out of luck"),
        ("cat >/dev/null; echo >&2 'FATAL ERROR: No luck'; exit 3", "FATAL ERROR: No luck"),
        ("kill -9 $$", "it exited with status -9"),
        ("head -c 100000 >/dev/null; exit 1", "it exited with status 1"),
    ],
)
def test_a_program_that_fails_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """The error has its last line or its exit status, whenever it ends; nothing is left."""
    script = f"case $1 in -version) exec REAL -version ;; esac\n{script}"
    instead(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(OutputProblem, match=f"mksquashfs cannot write the image: {said}$"):
        image(tmp_path / "out", large_plan())
    assert not (tmp_path / "out").exists()


def test_what_the_program_leaves_out_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an entry is missing, packing fails even if the program succeeds."""
    # The fourth member is an empty folder.
    script = """case $1 in -version) exec REAL -version ;; esac
        dd bs=512 count=4 iflag=fullblock of=/dev/null status=none; exec REAL "$@" """
    instead(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(OutputProblem, match=r"mksquashfs put \d+ files and folders into"):
        image(tmp_path / "out", example())
    assert not (tmp_path / "out").exists()


def test_without_the_program_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing program, or one too old to read a tar, is reported first."""
    options = PackOptions.from_mapping({"format": "squashfs"})
    with monkeypatch.context() as patch:
        instead(tmp_path / "bin", "echo 'mksquashfs version 4.4 (2019/08/29)'", patch)
        with pytest.raises(PackVenvError) as found:
            Source.read(Path(sys.prefix), options)
        assert str(found.value) == (
            "the format 'squashfs' needs mksquashfs 4.5 or later, but"
            f" {tmp_path}/bin/mksquashfs is 4.4: install squashfs-tools (the package's name on"
            " Debian, Ubuntu and Fedora), or choose another format"
        )
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(PackVenvError, match="which is not on PATH: install squashfs-tools"):
        Source.read(Path(sys.prefix), options)
    with pytest.raises(PackVenvError, match="which is not on PATH: install squashfs-tools"):
        image(tmp_path, example())
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]
