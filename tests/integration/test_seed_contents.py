"""What the seed API's archives hold, promise by promise, in every format."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

import pytest
from support.archives import FORMATS, contents, every_format, packed
from support.machine import require
from support.trees import tree_state

from hatch_pack_venv import CompressionFormat, export_venv
from hatch_pack_venv.api import venvstacks as seed
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from support.interpreters import Python

OLD: Final = 1_500_000_000  # 2017-07-14 02:40:00 UTC
LATE: Final = 4_000_000_000  # 2096-10-02 07:06:40 UTC


@pytest.fixture
def site(python: Python) -> str:
    """Give the arcname of site-packages below the top folder."""
    return f"env/lib/python{python.minor}/site-packages"


@every_format
def test_the_source_is_only_read(source: Path, format: CompressionFormat, python: Python) -> None:
    """Nothing in the environment, its parent or its interpreter's bin folder changes."""
    linked = source / "share/linked"
    linked.hardlink_to(source / "share/data")
    roots = [source, source.parents[1] / "source", python.prefix / "bin"]
    before = [tree_state(root) for root in roots]
    packed(source, format)
    export_venv(source, source.parents[1] / "exported")
    assert [tree_state(root) for root in roots] == before


@every_format
def test_what_goes_in_and_what_stays_out(
    source: Path, site: str, format: CompressionFormat
) -> None:
    """Bytecode, RECORD and pyvenv.cfg are left out; the post-install script is added."""
    found = contents(packed(source, format))
    names = set(found)
    script = (files("hatch_pack_venv.injected") / "postinstall.py").read_bytes()
    assert found["env/postinstall.py"].content == script
    assert f"{site}/pkg/__init__.py" in names
    assert f"{site}/pkg-1.0.dist-info/METADATA" in names
    assert f"{site}/pkg-1.0.dist-info/RECORD" not in names
    assert "env/share/RECORD" in names
    assert not [name for name in names if "__pycache__" in name]
    assert not [name for name in names if name.endswith("pyvenv.cfg")]
    assert f"{site}/pkg/sitecustomize.py" in names
    assert {name.split("/")[0] for name in names} == {"env"}


@every_format
def test_sitecustomize_is_left_out_and_named(
    source: Path, site: str, format: CompressionFormat, caplog: pytest.LogCaptureFixture
) -> None:
    """One directly in site-packages is left out with a warning; without one, nothing is logged."""
    packed(source, format)
    assert caplog.messages == []
    arcname = f"{site}/sitecustomize.py"
    (source.parent / arcname).write_text("import sys\n")
    assert arcname not in contents(packed(source, format))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name.startswith("hatch_pack_venv")
    assert arcname.removeprefix("env/") in record.getMessage()


@every_format
def test_links(source: Path, python: Python, format: CompressionFormat) -> None:
    """Tars keep links, `bin/python`'s own included; zip files hold copies of what they lead to."""
    found = contents(packed(source, format))
    kinds = {name: found[f"env/{name}"].kind for name in ("share/inner", "share/outer")}
    python_links = [found[f"env/bin/{name}"] for name in ("python", "python3")]
    if format is CompressionFormat.ZIP:
        assert kinds == {"share/inner": "file", "share/outer": "file"}
        assert found["env/share/inner"].content == b"data\n"
        assert found["env/share/outer"].content == b"outside\n"
        assert {each.content for each in python_links} == {python.path.read_bytes()}
        assert {each.mode for each in python_links} == {0o755}
        return
    assert kinds == {"share/inner": "link", "share/outer": "link"}
    assert found["env/share/inner"].link == "data"
    assert found["env/share/outer"].link == os.readlink(source / "share/outer")
    assert python_links[0].link == os.readlink(source / "bin/python")
    assert os.path.isabs(python_links[0].link)
    assert {each.kind for each in python_links} == {"link"}


@every_format
def test_on_windows_all_links_are_copies(
    source: Path, python: Python, format: CompressionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, a tar holds copies, too."""
    monkeypatch.setattr(seed, "os", SimpleNamespace(name="nt", path=os.path))
    found = contents(packed(source, format))
    assert {each.kind for each in found.values()} == {"file", "folder"}
    assert found["env/share/inner"].content == b"data\n"
    assert found["env/share/outer"].content == b"outside\n"
    assert found["env/bin/python"].content == python.path.read_bytes()


def test_the_content_digest_is_the_same_in_every_format(source: Path) -> None:
    """It is taken before a format turns links into copies."""
    digests = {
        json.loads(Path(f"{packed(source, format)}.json").read_text())["content_digest"]
        for format in FORMATS
        if not format.runs_where_it_is
    }
    assert len(digests) == 1


@every_format
def test_modes_and_owners(source: Path, format: CompressionFormat) -> None:
    """No setuid, setgid, sticky, group-write or other-write bit, none added; no owner."""
    strange = source / "share/strange"
    strange.mkdir()
    for name, mode in {
        "setuid": 0o4777,
        "setgid": 0o2775,
        "sticky": 0o1666,
        "group": 0o664,
        "private": 0o600,
        "mine": 0o700,
        "frozen": 0o444,
    }.items():
        (strange / name).write_text(name)
        if os.geteuid() == 0:
            os.chown(strange / name, 12345, 54321)
        (strange / name).chmod(mode)
    strange.chmod(0o3770)
    found = contents(packed(source, format))
    modes = {
        name.rpartition("/")[2]: each.mode
        for name, each in found.items()
        if name.startswith("env/share/strange/")
    }
    assert modes == {
        "setuid": 0o755,
        "setgid": 0o755,
        "sticky": 0o644,
        "group": 0o644,
        "private": 0o600,
        "mine": 0o700,
        "frozen": 0o444,
    }
    assert found["env/share/strange"].mode == 0o750
    for each in found.values():
        assert each.kind == "link" or not each.mode & 0o7022
        assert each.owner == (0, 0, "", "")


@every_format
def test_times_are_kept_and_clamped(source: Path, format: CompressionFormat) -> None:
    """Earlier times stay, later ones become the limit, to the second; links and folders, too."""
    times = {"data": OLD, "RECORD": OLD + 10, "inner": OLD + 20, "outer": OLD + 30}
    for name, moment in times.items():
        os.utime(source / "share" / name, (moment, moment), follow_symlinks=False)
    outside = Path(os.readlink(source / "share/outer"))
    os.utime(outside, (OLD + 40, OLD + 40))
    os.utime(source / "share", (LATE, LATE))
    limit = OLD + 15
    late = datetime.fromtimestamp(limit, UTC) + timedelta(milliseconds=700)

    def share(**more: object) -> dict[str, int]:
        found = contents(packed(source, format, **more))
        return {
            name.removeprefix("env/share").removeprefix("/"): each.mtime
            for name, each in found.items()
            if name.startswith("env/share") and "venv" not in name
        }

    if format is CompressionFormat.ZIP:
        # A copy has the time of the original file.
        times |= {"inner": times["data"], "outer": OLD + 40}
    exact = 2 if format is CompressionFormat.ZIP else 1
    kept = {"": LATE, **times}
    assert share() == {name: moment // exact * exact for name, moment in kept.items()}
    clamped = {name: min(moment, limit) // exact * exact for name, moment in kept.items()}
    assert share(clamp_mtime=late) == clamped


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "XYZ+3:30"])
def test_a_naive_time_is_local(source: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `datetime` without a time zone is local time; one with a time zone is in that zone."""
    if "/" in zone:
        require("time zones")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        naive = datetime(2017, 7, 14, 2, 40)  # noqa: DTZ001 - that is what is tested
        local = int(naive.timestamp())
        offset = {"UTC": 0, "Asia/Tokyo": -9 * 3600, "XYZ+3:30": 12600}[zone]
        assert local == OLD + offset
        found = contents(packed(source, "tar", clamp_mtime=naive))
        assert found["env/share/data"].mtime == local
        found = contents(packed(source, "tar", clamp_mtime=datetime.fromtimestamp(OLD, UTC)))
        assert found["env/share/data"].mtime == OLD
    finally:
        monkeypatch.undo()
        time.tzset()


@every_format
def test_clamped_archives_are_the_same_bytes(source: Path, format: CompressionFormat) -> None:
    """A second archive of a copy with later times does not differ."""
    limit = datetime.fromtimestamp(OLD, UTC)
    first = packed(source, format, clamp_mtime=limit).read_bytes()
    other = source.parents[1] / "other/place/env"
    shutil.copytree(source, other, symlinks=True, copy_function=shutil.copy)
    assert packed(other, format, clamp_mtime=limit).read_bytes() == first


def test_kept_modes_are_verified(source: Path) -> None:
    """The manifest has those of files and of folders, and an export has them, too."""
    (source / "share/data").chmod(0o400)
    (source / "share").chmod(0o550)
    path = packed(source, "tar")
    assert verify(path, external_links=True).is_whole
    exported = export_venv(source, source.parents[1] / "exported")
    assert verify(exported, external_links=True).is_whole
    (exported / "share").chmod(0o755)
    found = verify(exported, external_links=True).findings
    assert [finding.path for finding in found] == ["share"]


@pytest.mark.parametrize("target", ["app", "with space é", "."])
@every_format
def test_the_install_target_is_the_top_folder(
    source: Path, format: CompressionFormat, target: str
) -> None:
    """It may be named, or left out by `.`."""
    names = set(contents(packed(source, format, install_target=target)))
    wanted = "share/data" if target == "." else f"{target}/share/data"
    assert wanted in names
    if target != ".":
        assert {name.split("/")[0] for name in names} == {target}


@pytest.mark.parametrize("target", ["", "..", "a/b", "/abs", "a\\b"])
def test_an_install_target_that_leaves_is_refused(source: Path, target: str) -> None:
    """It is a folder's name and no path."""
    with pytest.raises(ValueError, match="install_target must be a folder name"):
        packed(source, install_target=target)
    assert not (source.parents[1] / "out").exists()
