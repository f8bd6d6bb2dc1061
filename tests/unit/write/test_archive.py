"""Archives and folders, read back by other programs' code."""

from __future__ import annotations

import os
import stat
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.archives import FORMATS, open_tar
from support.fakes import file, folder, inputs, link, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.entries import FileEntry, Times
from hatch_pack_venv.model.errors import OutputProblem, SourceProblem
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.write.archive import write_archives, write_folder
from hatch_pack_venv.write.sinks import hashed_file as hashed
from hatch_pack_venv.write.sinks.zip import ZipSink

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan
LONG = "long/" + "/".join(["ä" * 60] * 4)


def example(time: int = 1_600_000_001, install_target: str = "app") -> PackPlan:
    return plan(
        file("data/f", b"content" * 1000),
        file("bin/run", b"#!/bin/sh\n", executable=True),
        file("empty"),
        file(f"{LONG}/name with\nnewline", b"1"),
        folder("hollow"),
        link("data/l", "f", "data/f"),
        inputs=inputs(times=Times(fixed=time, generated=time), install_target=install_target),
    )


def archive(tmp_path: Path, planned: PackPlan, format: CompressionFormat) -> Path:
    (result,) = write_archives(planned, tmp_path / "out" / "app", [format])
    assert result.path == tmp_path / "out" / f"app{format.suffix}"
    return result.path


@pytest.mark.parametrize("format", [f for f in FORMATS if f.is_tar_format])
def test_tars_hold_the_plan(tmp_path: Path, format: CompressionFormat) -> None:
    """Names, kinds, modes, times, owners, link texts and bytes are those of the plan."""
    planned = example()
    with open_tar(archive(tmp_path, planned, format)) as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == [
            "app",
            *(f"app/{entry.arcname}" for entry in planned.entries),
            "app/share/venv/metadata/pack-venv.json",
        ]
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {
            (0, 0, "", "", 1_600_000_001)
        }
        modes = {m.name: m.mode for m in members}
        assert (modes["app/bin/run"], modes["app/empty"], modes["app/hollow"]) == (
            0o755,
            0o644,
            0o755,
        )
        assert tar.getmember("app/data/l").linkname == "f"
        assert not any(m.islnk() for m in members)
        content = tar.extractfile("app/data/f")
        assert content is not None
        assert content.read() == b"content" * 1000


def test_zips_hold_copies_modes_and_utc_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip contains only files and folders, with Unix modes, and times in UTC in any time zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with zipfile.ZipFile(archive(tmp_path, example(), CompressionFormat.ZIP)) as zipped:
        assert zipped.testzip() is None
        infos = {info.filename: info for info in zipped.infolist()}
        assert infos["app/data/f"].date_time == (2020, 9, 13, 12, 26, 40)
        kinds = {stat.S_IFMT(info.external_attr >> 16) for info in infos.values()}
        assert kinds == {stat.S_IFREG, stat.S_IFDIR}
        assert infos["app/bin/run"].external_attr >> 16 & 0o777 == 0o755
        assert zipped.read("app/data/l") == b"content" * 1000
        assert next(iter(infos)) == "app/"
        assert list(infos)[-1] == "app/share/venv/metadata/pack-venv.json"


@pytest.mark.parametrize(
    ("time", "expected"),
    [(0, (1980, 1, 1, 0, 0, 0)), (5_000_000_000, (2107, 12, 31, 23, 59, 58))],
)
def test_zip_times_are_held_within_its_limits(
    tmp_path: Path, time: int, expected: tuple[int, ...]
) -> None:
    """Times before 1980 and after 2107 become the first or last one that zip can hold."""
    with zipfile.ZipFile(archive(tmp_path, example(time), CompressionFormat.ZIP)) as zipped:
        assert {info.date_time for info in zipped.infolist()} == {expected}


def test_gzip_header_holds_no_time_and_no_name(tmp_path: Path) -> None:
    """The flags and the time in a gzip header are zero."""
    header = archive(tmp_path, example(), CompressionFormat.GZIP).read_bytes()[:8]
    assert header == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_bytes_twice(
    tmp_path: Path, format: CompressionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another umask, time zone and place change nothing."""
    first = archive(tmp_path / "one", example(), format).read_bytes()
    monkeypatch.setenv("TZ", "America/Lima")
    mask = os.umask(0o077)
    try:
        second = archive(tmp_path / "two and more", example(), format).read_bytes()
    finally:
        os.umask(mask)
    assert first == second


@pytest.mark.parametrize("format", FORMATS)
def test_without_an_install_target_there_is_no_top_folder(
    tmp_path: Path, format: CompressionFormat
) -> None:
    """`"."` puts the entries at the archive's top."""
    path = archive(tmp_path, example(install_target="."), format)
    if format is CompressionFormat.OCI:
        return  # an image has its own folder
    if format is not CompressionFormat.ZIP:
        with open_tar(path) as tar:
            names = tar.getnames()
    else:
        with zipfile.ZipFile(path) as zipped:
            names = zipped.namelist()
    assert names[0].rstrip("/") == "bin"
    assert all(name.strip("./") for name in names)


def test_the_level_is_used(tmp_path: Path) -> None:
    """A higher level gives a smaller archive, except in bzip2, where it is only different."""
    data = b"".join(b"%d %d\n" % (i % 97, i * i % 1009) for i in range(100_000))
    planned = plan(file("a", data))
    for format in FORMATS:
        if format.levels is None:
            continue
        sizes = [
            write_archives(
                planned,
                tmp_path / "a",
                [format],
                compression=CompressionOptions(level=level),
            )[0].size
            for level in (format.levels.fastest, format.levels.smallest)
        ]
        if format is not CompressionFormat.BZIP2:
            assert sizes[0] > sizes[1], format
        assert len(set(sizes)) == 2, format


def failing_plan(tmp_path: Path) -> PackPlan:
    return plan(file("a"), FileEntry(arcname="b", content=str(tmp_path / "gone"), size=1))


@pytest.mark.parametrize("format", FORMATS)
def test_an_error_leaves_the_earlier_archive_and_nothing_else(
    tmp_path: Path, format: CompressionFormat
) -> None:
    """On an error nothing is left behind and the earlier archive still stands."""
    path = archive(tmp_path, example(), format)
    before = {child.name: child.read_bytes() for child in path.parent.iterdir()}
    with pytest.raises(SourceProblem):
        write_archives(failing_plan(tmp_path), tmp_path / "out" / "app", [format])
    assert {child.name: child.read_bytes() for child in path.parent.iterdir()} == before


def test_of_several_formats_all_appear_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the second format fails, the first is not left either; an interrupt is an error too."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ZipSink, "add_directory", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_archives(example(), tmp_path / "app", [CompressionFormat.GZIP, CompressionFormat.ZIP])
    assert list(tmp_path.iterdir()) == []


def test_archives_follow_the_umask(tmp_path: Path) -> None:
    """An archive has the permissions of any new file, not the 600 of a temporary one."""
    mask = os.umask(0o027)
    try:
        path = archive(tmp_path, example(), CompressionFormat.UNCOMPRESSED)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.with_name(f"{path.name}.json").stat().st_mode) == 0o640


def test_what_a_run_that_was_killed_has_renamed_is_ours(tmp_path: Path) -> None:
    """After SIGKILL between two renames, the `.json` that proves the archive lacks its name."""
    formats = [CompressionFormat.GZIP]
    (result,) = write_archives(example(), tmp_path / "app", formats, force=False)
    facts = result.path.with_name(f"{result.path.name}.json")
    partial = facts.rename(tmp_path / f".{facts.name}.abcd_123.partial")
    result.path.write_bytes(result.path.read_bytes() + b"x")
    with pytest.raises(OutputProblem, match=r"no .json next to it shows"):
        write_archives(example(), tmp_path / "app", formats, force=False)
    result.path.write_bytes(result.path.read_bytes()[:-1])
    write_archives(example(), tmp_path / "app", formats, force=False)
    assert facts.exists()
    assert not partial.exists()


def test_a_folder_of_the_archives_name_is_refused(tmp_path: Path) -> None:
    """An archive never replaces a folder."""
    (tmp_path / "app.tar").mkdir()
    with pytest.raises(OutputProblem, match="is a folder: remove it or choose another name"):
        write_archives(example(), tmp_path / "app", [CompressionFormat.UNCOMPRESSED])


def test_a_target_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    """A file in the place of the output folder is named."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputProblem, match=r"file/app\.tar cannot be written"):
        write_archives(example(), tmp_path / "file" / "app", [CompressionFormat.UNCOMPRESSED])


def test_a_folder_holds_the_plan(tmp_path: Path) -> None:
    """An export has the plan's names, modes, times, links and bytes, and shares no inode."""
    planned = example()
    target = write_folder(planned, tmp_path / "new" / "app").path
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*"))
    expected = [entry.arcname for entry in planned.entries]
    assert found == sorted([*expected, "share/venv/metadata/pack-venv.json"])
    for path in target.rglob("*"):
        assert int(path.lstat().st_mtime) == 1_600_000_001
        if not path.is_symlink():
            allowed = (0o755,) if path.is_dir() or path.name == "run" else (0o644,)
            assert stat.S_IMODE(path.stat().st_mode) in allowed
            assert path.is_dir() or path.stat().st_nlink == 1
    assert os.readlink(target / "data/l") == "f"
    assert [child.name for child in (tmp_path / "new").iterdir()] == ["app"]


def test_an_export_replaces_an_empty_folder_and_an_earlier_export(tmp_path: Path) -> None:
    """Exporting again gives the new tree; nothing of the old one is left."""
    target = tmp_path / "app"
    target.mkdir()
    write_folder(plan(file("old", b"1")), target)
    write_folder(plan(file("new", b"1")), target)
    assert (target / "new").is_file()
    assert not (target / "old").exists()
    assert [child.name for child in tmp_path.iterdir()] == ["app"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_an_export_never_replaces_anything_else(tmp_path: Path, kind: str) -> None:
    """A file, a folder with something in it and a link stay as they are."""
    target = tmp_path / "app"
    if kind == "file":
        target.write_bytes(b"1")
    elif kind == "folder":
        target.mkdir()
        (target / "mine").write_bytes(b"1")
    else:
        target.symlink_to(tmp_path)
    with pytest.raises(OutputProblem, match="remove it or choose another name"):
        write_folder(example(), target)
    assert [child.name for child in tmp_path.iterdir()] == ["app"]


def test_a_failed_export_leaves_the_earlier_one(tmp_path: Path) -> None:
    """On an error the target is unchanged, and nothing is next to it."""
    target = tmp_path / "app"
    write_folder(plan(file("old", b"1")), target)
    with pytest.raises(SourceProblem):
        write_folder(failing_plan(tmp_path), target)
    assert (target / "old").is_file()
    assert [child.name for child in tmp_path.iterdir()] == ["app"]


def test_a_disk_that_fails_while_more_is_written_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails early in its own thread is one error, and the earlier archive stays."""
    planned = plan(*(file(f"f{number}", os.urandom(1 << 20)) for number in range(12)))
    write_archives(planned, tmp_path / "app", [CompressionFormat.UNCOMPRESSED])
    earlier = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fsync(_: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashed, "_SYNC_EVERY", 1 << 20)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputProblem, match=r"app\.tar cannot be written: Input/output error"):
        write_archives(planned, tmp_path / "app", [CompressionFormat.UNCOMPRESSED])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == earlier
