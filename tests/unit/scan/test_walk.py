"""The walk of an environment: its entries, and what they carry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import fake_interpreter
from support.trees import make_wheel

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.pack import pack_project
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.entries import (
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    TargetKind,
    UnsupportedEntry,
)
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.walk import own_archives, scan

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.environment import Environment


SITE = "lib/python3.11/site-packages"


def read(prefix: Path) -> Environment:
    return read_environment(prefix, ask=fake_interpreter)


def scanned(prefix: Path) -> dict[str, ScannedEntry]:
    return {entry.arcname: entry for entry in scan(read(prefix))}


def test_the_scan_carries_small_rewritable_files_and_paths_of_others(prefix: Path) -> None:
    """Scripts, `.pth` and `direct_url.json` carry their bytes; all others stay a path."""
    (prefix / "bin" / "tool").write_text("#!/x/python\n")
    (prefix / "bin" / "tool").chmod(0o755)
    (prefix / "bin" / "elf").write_bytes(b"\x7fELF")
    (prefix / SITE / "a.pth").write_text("../x\n")
    (prefix / SITE / "mod.py").write_text("1\n")
    found = scanned(prefix)
    contents = {n: e.content for n, e in found.items() if isinstance(e, FileEntry)}
    assert contents["bin/tool"] == b"#!/x/python\n"
    assert contents[f"{SITE}/a.pth"] == b"../x\n"
    assert contents["bin/elf"] == str(prefix / "bin/elf")
    assert contents[f"{SITE}/mod.py"] == str(prefix / SITE / "mod.py")
    executable = {n for n, e in found.items() if isinstance(e, FileEntry) and e.executable}
    assert executable == {"bin/tool"}


def test_the_scan_is_in_order_parents_first(prefix: Path) -> None:
    """A folder comes before what it holds, names in order."""
    for name in ("b", "a", "c"):
        (prefix / SITE / name).mkdir()
        (prefix / SITE / name / "f").write_bytes(b"")
    found = [entry.arcname for entry in scan(read(prefix)) if entry.arcname.startswith(SITE)]
    assert found == [SITE, *(f"{SITE}/{n}" for n in ("a", "a/f", "b", "b/f", "c", "c/f"))]


def test_a_file_that_goes_during_the_scan_is_named(prefix: Path) -> None:
    """A file that has gone since its folder was listed is reported without a traceback."""
    (prefix / "share").mkdir()
    for name in ("a", "b"):
        (prefix / "share" / name).write_text("x")
    found = {}
    for entry in scan(read(prefix)):
        found[entry.arcname] = entry
        if entry.arcname == "share/a":
            (prefix / "share" / "b").unlink()
    gone = found["share/b"]
    assert isinstance(gone, UnsupportedEntry)
    assert gone.reason == "cannot be read (No such file or directory)"


def test_links_are_judged_by_where_they_lead(prefix: Path) -> None:
    """Links carry what they resolve to; internal ones a relative text; `lib64` is optional."""
    (prefix / "share").mkdir()
    (prefix / "share" / "in").symlink_to(prefix / "bin" / "python")
    (prefix / "share" / "site").symlink_to(prefix / SITE)
    (prefix / "share" / "gone").symlink_to("nothing")
    found = {n: e for n, e in scanned(prefix).items() if isinstance(e, SymlinkEntry)}
    kinds = {name: entry.target.kind for name, entry in found.items() if entry.target}
    assert kinds == {
        "bin/python": TargetKind.EXTERNAL_FILE,
        "bin/python3.11": TargetKind.EXTERNAL_FILE,
        "lib64": TargetKind.INTERNAL,
        "share/gone": TargetKind.DANGLING,
        "share/in": TargetKind.EXTERNAL_FILE,
        "share/site": TargetKind.INTERNAL,
    }
    assert found["share/site"].linkname == f"../{SITE}"
    assert [name for name, entry in found.items() if entry.optional] == ["lib64"]


def test_external_folders_carry_their_copies(prefix: Path) -> None:
    """A link to a folder outside carries its files, links followed; loops are unsupported."""
    outside = prefix.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "f").write_bytes(b"12")
    (outside / "deep" / "loop").symlink_to(outside)
    (outside / "to-f").symlink_to("deep/f")
    (outside / "dangling").symlink_to("nothing")
    (prefix / "data").symlink_to(outside)
    entry = scanned(prefix)["data"]
    assert isinstance(entry, SymlinkEntry)
    copies = {copy.arcname: copy for copy in entry.copies}
    assert list(copies) == [
        "data",
        "data/dangling",
        "data/deep",
        "data/deep/f",
        "data/deep/loop",
        "data/to-f",
    ]
    assert isinstance(copies["data"], DirectoryEntry)
    assert isinstance(copies["data/deep/loop"], UnsupportedEntry)
    assert isinstance(copies["data/dangling"], UnsupportedEntry)
    to_f = copies["data/to-f"]
    assert isinstance(to_f, FileEntry)
    assert (to_f.content, to_f.size) == (str(outside / "deep" / "f"), 2)


def test_what_stands_in_a_links_place_carries_its_bytes_too(prefix: Path) -> None:
    """Path files and scripts that are links into a cache can be rewritten like others."""
    outside = prefix.parent / "cache"
    outside.mkdir()
    (outside / "x.pth").write_bytes(b"/somewhere\n")
    (outside / "tool").write_bytes(b"#!/bin/sh\n")
    (prefix / SITE / "x.pth").symlink_to(outside / "x.pth")
    (prefix / "bin" / "tool").symlink_to(outside / "tool")
    found = scanned(prefix)
    for arcname, content in ((f"{SITE}/x.pth", b"/somewhere\n"), ("bin/tool", b"#!/bin/sh\n")):
        entry = found[arcname]
        assert isinstance(entry, SymlinkEntry)
        assert [copy.content for copy in entry.copies if isinstance(copy, FileEntry)] == [content]


def test_special_files_and_links_to_folders_above_are_unsupported(prefix: Path) -> None:
    """A FIFO, and a link to a folder that holds the environment, are yielded for refusal."""
    os.mkfifo(prefix / "pipe")
    (prefix / "up").symlink_to("..")
    found = scanned(prefix)
    assert isinstance(found["pipe"], UnsupportedEntry)
    assert isinstance(found["up"], UnsupportedEntry)


@pytest.mark.parametrize("folder", ["dist-venv", "a/deep/folder", "share", "."])
def test_an_archive_holds_none_that_was_packed_before(
    prefix: Path, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the output in the environment, each run gives the same bytes, with a note."""
    (prefix / "share").mkdir()
    (prefix / "share" / "data.tar").write_bytes(b"no archive of ours")
    (prefix / "share" / "data.tar.json").write_text("{}")
    options = PackOptions.from_mapping({"interpreter": "target", "format": ["tar", "zip"]})
    digests = set()
    for _ in range(3):
        source = Source.of(read(prefix), options)
        caplog.clear()
        results = pack_project(source, prefix / folder, Project(name="app", version="1"))
        digests.add(tuple(result.sha256 for result in results))
    assert len(digests) == 1
    names = scanned(prefix)
    assert "share/data.tar" in names
    left = [record.message for record in caplog.records if "was left out" in record.message]
    assert len(left) == 2
    assert "choose an output folder outside the environment" in left[0]


def test_an_archive_that_was_changed_is_no_longer_ours(prefix: Path) -> None:
    """It is packed like any file; only archives that match their size and hash are left out."""
    options = PackOptions.from_mapping({"interpreter": "target", "format": "tar"})
    project = Project(name="app", version="1")
    (result,) = pack_project(Source.of(read(prefix), options), prefix / "out", project)
    with result.path.open("ab") as archive:
        archive.write(b"more")
    found = [*scan(read(prefix))]
    assert own_archives(found, read(prefix), prefix / "out") == frozenset()


@pytest.mark.parametrize("name", ["etc/app/settings.toml", "conf.d/db.yaml", "pip.conf"])
def test_a_password_in_settings_is_refused_by_file_and_key(prefix: Path, name: str) -> None:
    """The secret is never shown; `pip.conf` is packed only on request; patterns exclude either."""
    (prefix / name).parent.mkdir(parents=True, exist_ok=True)
    (prefix / name).write_text("[a]\nindex-url = https://ci:s3cr3t@pypi.corp.test/simple\n")
    table = {"interpreter": "target", "format": "tar"}
    if name == "pip.conf":
        planned = plan_source(Source.of(read(prefix), PackOptions.from_mapping(table)), None)
        assert name not in [entry.arcname for entry in planned.entries]
        table["include-files"] = [name]  # type: ignore[assignment]
    with pytest.raises(PlanError) as caught:
        plan_source(Source.of(read(prefix), PackOptions.from_mapping(table)), None)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name} contains a URL with a password or token (index-url) ")
    assert "s3cr3t" not in problem
    without = PackOptions.from_mapping({"interpreter": "target", "exclude-files": [name]})
    assert not plan_source(Source.of(read(prefix), without), None).notes


REQUIRING = b"Requires-Dist: inner @ git+https://ci:s3cr3t@git.corp.test/inner.git\n"


def refused(prefix: Path, own: Project | None = None, **table: object) -> tuple[str, ...]:
    options = PackOptions.from_mapping({"interpreter": "target", "check": "off", **table})
    try:
        plan_source(Source.of(read(prefix), options), own)
    except PlanError as error:
        return error.problems
    return ()


def test_a_password_in_a_requirement_is_refused_by_file_and_name(prefix: Path) -> None:
    """As in `direct_url.json`, the secret is never shown, and files left out are not refused."""
    of_extra = REQUIRING.replace(b"\n", b" ; extra == 'more'\n")  # still reported once
    make_dist_info(
        prefix, "outer", REQUIRING + of_extra + b"Requires-Dist: y @ https://ci:${T}@h.test/y.whl\n"
    )
    (problem,) = refused(prefix)
    name = f"{SITE}/outer-1.0.dist-info/METADATA"
    assert problem.startswith(
        f"{name} contains a URL with a password or token (Requires-Dist: inner) "
    )
    assert "s3cr3t" not in problem
    assert refused(prefix, None, **{"exclude-files": [f"/{name}"]}) == ()
    assert refused(prefix, distributions="required", keep=["inner"]) == ()
    assert refused(prefix, Project(name="outer"), project="exclude") == ()


def test_the_wheel_counts_and_not_what_it_replaces(prefix: Path, tmp_path: Path) -> None:
    """The new wheel's requirements are packed and checked, and the replaced ones are not."""
    make_dist_info(prefix, "my_app", REQUIRING)
    clean = make_wheel(tmp_path, {"my_app.py": b""})
    assert refused(prefix, wheels=[str(clean)]) == ()
    (tmp_path / "new").mkdir()
    leaking = make_wheel(tmp_path / "new", {"my_app.py": b""}, metadata=REQUIRING)
    (problem,) = refused(prefix, wheels=[str(leaking)])
    assert problem.startswith(f"{SITE}/my_app-2.0.dist-info/METADATA contains a URL with a ")
    assert "rebuild and reinstall the package" in problem


def make_dist_info(prefix: Path, name: str, metadata: bytes) -> None:
    """Write the metadata of an installed distribution, and that of `inner`."""
    for each, more in ((name, metadata), ("inner", b"")):
        info = prefix / SITE / f"{each}-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_bytes(f"Name: {each}\nVersion: 1.0\n".encode() + more)
        info.joinpath("RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
