"""Reading an environment: what it is, and one clear error where it is none."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fakes import INTERPRETER

from hatch_pack_venv.metadata.installed import installed_distributions
from hatch_pack_venv.model.entries import (
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    TargetKind,
    UnsupportedEntry,
)
from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.walk import scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.environment import Environment
    from hatch_pack_venv.model.interpreter import Interpreter

SITE = "lib/python3.11/site-packages"


def asked(_: Path) -> Interpreter:
    return INTERPRETER


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Make the skeleton of a virtual environment."""
    prefix = tmp_path / "env"
    (prefix / SITE).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "lib64").symlink_to("lib")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "python3.11").write_bytes(b"\x7fELF")
    (prefix / "bin" / "python3.11").symlink_to(tmp_path / "base" / "python3.11")
    (prefix / "bin" / "python").symlink_to("python3.11")
    (prefix / "pyvenv.cfg").write_text("Home = /opt/python/bin\nversion=3.11.7\n")
    return prefix


def read(prefix: Path) -> Environment:
    return read_environment(prefix, ask=asked)


def scanned(prefix: Path) -> dict[str, ScannedEntry]:
    return {entry.arcname: entry for entry in scan(read(prefix))}


def test_an_environment_is_read(prefix: Path) -> None:
    """Prefix, configuration and layout are found; `lib64` is not a second site-packages."""
    environment = read(prefix)
    assert environment.prefix == prefix
    assert environment.config == {"home": "/opt/python/bin", "version": "3.11.7"}
    assert environment.site_packages == (SITE,)
    assert not environment.include_system_site_packages


def test_an_environment_is_read_through_a_link(prefix: Path) -> None:
    """The real path is the prefix; both spellings are known."""
    alias = prefix.parent / "alias"
    alias.symlink_to("env")
    environment = read(alias)
    assert environment.prefix == prefix
    assert environment.spellings == (str(alias), str(prefix))


@pytest.mark.parametrize(
    "form", ['VIRTUAL_ENV="{}"', "VIRTUAL_ENV='{}'", "    VIRTUAL_ENV={}", "export VIRTUAL_ENV={}"]
)
def test_the_path_it_was_made_by_is_known(prefix: Path, form: str) -> None:
    """Launchers name it; a path that leads to another place, or nowhere, is none of its own."""
    (prefix.parent / "alias").symlink_to("env")
    alias = prefix.parent / "alias"
    others = [prefix.parent / "base", prefix.parent / "gone", "$(cygpath -u x)", "'"]
    lines = [form.format(path) for path in (*others, alias)]
    (prefix / "bin" / "activate").write_text("\n".join(lines))
    assert read(prefix).spellings == (str(prefix), str(alias))


def test_a_real_lib64_is_a_second_site_packages(prefix: Path) -> None:
    """Platform-specific packages in a `lib64` of its own are seen."""
    (prefix / "lib64").unlink()
    (prefix / "lib64/python3.11/site-packages").mkdir(parents=True)
    assert read(prefix).site_packages == (SITE, "lib64/python3.11/site-packages")


def broken(prefix: Path) -> Iterator[tuple[str, str]]:
    """Break an environment in every way, one after the other."""
    yield "missing", r"there is no environment at .*/env: create it with"
    prefix.write_bytes(b"")
    yield "a file", r"/env is a file, not an environment's folder"


def test_no_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    """What is not there, or no folder, is said to be so."""
    for _, message in broken(tmp_path / "env"):
        with pytest.raises(EnvironmentProblem, match=message):
            read(tmp_path / "env")


def test_a_folder_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    """Without pyvenv.cfg it is no environment."""
    with pytest.raises(EnvironmentProblem, match=r"has no pyvenv\.cfg: create it with"):
        read(tmp_path)


def test_a_config_that_is_no_text_is_refused(prefix: Path) -> None:
    """A damaged pyvenv.cfg is named."""
    (prefix / "pyvenv.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EnvironmentProblem, match=r"pyvenv\.cfg cannot be read"):
        read(prefix)


def test_a_half_deleted_environment_is_refused(prefix: Path) -> None:
    """Without site-packages or without bin/python it is incomplete."""
    (prefix / "bin" / "python").unlink()
    with pytest.raises(EnvironmentProblem, match="incomplete, it has no bin/python"):
        read(prefix)
    (prefix / SITE).rmdir()
    with pytest.raises(EnvironmentProblem, match=r"incomplete, it has no lib/python3\.\*"):
        read(prefix)


def test_a_lost_interpreter_is_named(prefix: Path) -> None:
    """When the base interpreter is gone, the error says where the link leads."""
    (prefix.parent / "base" / "python3.11").unlink()
    with pytest.raises(EnvironmentProblem, match=r"bin/python leads to .*/base/python3\.11, which"):
        read(prefix)


def test_two_pythons_are_refused(prefix: Path) -> None:
    """Packages of two Pythons in one environment are an error that names both."""
    (prefix / "lib/python3.12/site-packages").mkdir(parents=True)
    with pytest.raises(EnvironmentProblem, match=r"two Pythons, python3\.11 and python3\.12"):
        read(prefix)


def test_packages_of_another_python_are_refused(prefix: Path) -> None:
    """The interpreter and the packages must be of one version."""
    other = replace(INTERPRETER, minor="3.12", version="3.12.1")
    with pytest.raises(EnvironmentProblem, match=r"holds packages for python3\.11, but its bin/py"):
        read_environment(prefix, ask=lambda _: other)


def test_an_interpreter_that_does_not_run_is_refused(prefix: Path) -> None:
    """An interpreter that fails is told with its last words."""
    script = prefix.parent / "base" / "python3.11"
    script.write_text("#!/bin/sh\necho first >&2\necho no luck >&2\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=r"does not run \(exit status 3: no luck\)"):
        read_environment(prefix)
    script.chmod(0o644)
    with pytest.raises(EnvironmentProblem, match="cannot be started"):
        read_environment(prefix)


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
    """What has gone since its folder was listed is told of, and no traceback."""
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


def install(prefix: Path, name: str, **files: str) -> Path:
    folder = prefix / SITE / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, text in files.items():
        (folder / file.replace("_txt", ".txt").replace("_json", ".json")).write_text(text)
    return folder


def test_distributions_are_read_and_never_imported(prefix: Path) -> None:
    """Name, version, files, entry points and editable sources come from the metadata."""
    install(
        prefix,
        "My_Tool",
        RECORD=f"my/a.py,,\n../../../bin/tool,,\n{prefix}/share/x,,\n/etc/elsewhere,,\n",
        entry_points_txt="[console_scripts]\ntool = my.a:main\n[other]\nx = y\n",
        direct_url_json='{"url": "file:///home/me/my%20tool", "dir_info": {"editable": true}}',
    )
    (found,) = installed_distributions(prefix, (SITE,))
    assert (found.name, found.key, found.version) == ("My_Tool", "my-tool", "1.0")
    assert found.files == {f"{SITE}/my/a.py", "bin/tool", "share/x"}
    assert [(point.name, point.module, point.attr) for point in found.entry_points] == [
        ("tool", "my.a", "main")
    ]
    assert found.editable_source == "/home/me/my tool"
    assert found.metadata_dir == f"{SITE}/My_Tool-1.0.dist-info"


def test_a_description_is_no_metadata(prefix: Path) -> None:
    """Core metadata end at the first empty line; what follows may look like more of them."""
    headers = "Name: tool\nVersion: 1.0\nRequires-Python: >=3.9\nRequires-Dist: real\n"
    described = f"{headers}\nRequires-Dist: told\n\nProvides-Extra: told\nRequires-Python: <3\n"
    (install(prefix, "tool") / "METADATA").write_text(described)
    (found,) = installed_distributions(prefix, (SITE,))
    assert found.requires == ("real",)
    assert found.requires_python == ">=3.9"
    assert found.extras == ()


def test_leftovers_of_installers_are_passed_over_or_named(prefix: Path) -> None:
    """pip's `~ame` folders are no distributions; one without a name is an error that names it."""
    install(prefix, "~ool")
    assert list(installed_distributions(prefix, (SITE,))) == []
    (prefix / SITE / "half-1.0.dist-info").mkdir()
    (prefix / SITE / "half-1.0.dist-info" / "METADATA").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"half-1\.0\.dist-info has no name or version"):
        list(installed_distributions(prefix, (SITE,)))
