"""Files that users have, or others plant: the outcome is a result or one error, at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import fake_interpreter

from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.filesystem import resolve_link
from hatch_pack_venv.model.entries import SymlinkEntry, UnsupportedEntry
from hatch_pack_venv.model.errors import PackVenvError
from hatch_pack_venv.scan import walk
from hatch_pack_venv.scan.probe import read_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_pack_venv.model.entries import LinkTarget
    from hatch_pack_venv.model.plan import PackPlan


SITE = "lib/python3.11/site-packages"
INFO = f"{SITE}/demo-1.0.dist-info"


@pytest.fixture
def demo(prefix: Path) -> Path:
    """Make an environment with one distribution."""
    write(prefix, f"{INFO}/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    write(prefix, f"{INFO}/RECORD", b"demo/__init__.py,,\ndemo-1.0.dist-info/METADATA,,\n")
    write(prefix, f"{SITE}/demo/__init__.py", b"")
    return prefix


def write(prefix: Path, name: str, content: bytes) -> None:
    (prefix / name).parent.mkdir(parents=True, exist_ok=True)
    (prefix / name).write_bytes(content)


def planned(prefix: Path) -> PackPlan | str:
    """Return the plan or the one error; any other exception fails the test."""
    options = PackOptions.from_mapping({"interpreter": "target", "editables": "copy"}, "test")
    try:
        environment = read_environment(prefix, ask=fake_interpreter)
        return plan_source(Source.of(environment, options), None)
    except PackVenvError as error:
        return str(error)


EDITABLE = b'{"url": "file://%s", "dir_info": {"editable": true}}'
ODD_FILES: dict[str, tuple[str, bytes]] = {
    "RECORD in Latin-1": (f"{INFO}/RECORD", b"caf\xe9.txt,,\n"),
    "RECORD with a long field": (f"{INFO}/RECORD", b"x" * 200_000 + b",,\n"),
    "RECORD with an open quote": (f"{INFO}/RECORD", b'"' + b"xy\n" * 100_000),
    "RECORD with a NUL": (f"{INFO}/RECORD", b"a\0b,,\n"),
    "METADATA in Latin-1": (
        f"{INFO}/METADATA",
        b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nAuthor: Andr\xe9\n",
    ),
    "direct_url.json no UTF-8": (f"{INFO}/direct_url.json", b"\xff"),
    "direct_url.json nested": (f"{INFO}/direct_url.json", b"[" * 100_000),
    "direct_url.json with a broken URL": (f"{INFO}/direct_url.json", EDITABLE % b"[v6"),
    "direct_url.json with a NUL": (f"{INFO}/direct_url.json", EDITABLE % b"/a%00b"),
    "direct_url.json of a list": (f"{INFO}/direct_url.json", b"[1]"),
    "top_level.txt absolute": (f"{INFO}/top_level.txt", b"/etc\n"),
    "top_level.txt upwards": (f"{INFO}/top_level.txt", b"../../../..\n..\n.\n"),
    "top_level.txt with a pattern": (f"{INFO}/top_level.txt", b"**\n[\n"),
    "top_level.txt too long": (f"{INFO}/top_level.txt", b"x" * 300 + b"\n"),
    "top_level.txt with a NUL": (f"{INFO}/top_level.txt", b"a\0b\n"),
    "entry_points.txt no UTF-8": (f"{INFO}/entry_points.txt", b"[console_scripts]\n\xff = a:b\n"),
    "a NUL in a .pth": (f"{SITE}/x.pth", b"\0\n"),
    "a long line in a .pth": (f"{SITE}/x.pth", b"/" + b"x" * 300 + b"\n"),
    "a NUL in an .egg-link": (f"{SITE}/x.egg-link", b"/a\0b\n"),
    "a kernelspec without argv": (
        "share/jupyter/kernels/k/kernel.json",
        b'{"argv": [], "x": "%s"}',
    ),
    "a kernelspec nested": ("share/jupyter/kernels/k/kernel.json", b"[" * 200_000 + b'"%s'),
    "a launcher of ours, edited": ("bin/demo", b"#!%s/bin/python '\n"),
}


@pytest.mark.parametrize("case", ODD_FILES)
@pytest.mark.parametrize("recorded", [True, False])
def test_odd_metadata_is_a_plan_or_a_sentence(demo: Path, case: str, recorded: bool) -> None:
    """This holds with and without a RECORD; no other exception is raised."""
    if not recorded:
        (demo / INFO / "RECORD").unlink()
    name, content = ODD_FILES[case]
    write(demo, name, content.replace(b"%s", os.fsencode(demo)))
    found = planned(demo)
    assert not isinstance(found, str) or "\n" not in found.strip()
    if case.startswith("top_level"):
        assert not isinstance(found, str)
        assert all(not name.startswith((".", "/")) for name in found.distributions[0].files)


FINDERS = {
    "MAPPING of dicts": b"MAPPING = {'a': {}}\nNAMESPACES = {}\n",
    "NAMESPACES of numbers": b"MAPPING = {}\nNAMESPACES = {'a': 5}\n",
    "a NUL in a path": b"MAPPING = {}\nNAMESPACES = {'a': ['/x\\0y']}\n",
    "three arguments": b"F.map_module('a', 'b', 'c')\n",
    "a number for a path": b"F.map_module('a', 5)\n",
    "deep": b"MAPPING = " + b"-" * 50_000 + b"1\n",
    "no UTF-8": b"MAPPING = '\xff'\n",
}


@pytest.mark.parametrize("case", FINDERS)
def test_odd_finders_are_a_sentence(demo: Path, case: str) -> None:
    """A finder's redirections are read as data, whatever they contain."""
    write(demo, f"{SITE}/__editable__.demo.pth", b"import __editable___demo_finder\n")
    write(demo, f"{SITE}/__editable___demo_finder.py", FINDERS[case])
    write(demo, f"{INFO}/RECORD", b"__editable__.demo.pth,,\n__editable___demo_finder.py,,\n")
    planned(demo)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 << 20)


METADATA = ("METADATA", "RECORD", "direct_url.json", "entry_points.txt", "top_level.txt")
PATH_FILES = (f"{SITE}/x.pth", f"{SITE}/x.egg-link")
WAITED_FOR = (
    "pyvenv.cfg",
    f"{SITE}/x.pth",
    f"{SITE}/x.egg-link",
    *(f"{INFO}/{n}" for n in METADATA),
)


@pytest.mark.parametrize("name", WAITED_FOR)
@pytest.mark.parametrize("make", [fifo, endless, loop, huge])
def test_what_is_no_small_file_is_named(
    demo: Path, name: str, make: Callable[[Path], None]
) -> None:
    """A FIFO is not waited for, a device not read, and the sentence names the file."""
    (demo / name).unlink(missing_ok=True)
    if name.endswith("top_level.txt"):
        (demo / INFO / "RECORD").unlink()
    make(demo / name)
    found = planned(demo)
    if make is huge and name.endswith((".pth", ".egg-link")):
        return  # nothing reads it: packed unchanged
    assert isinstance(found, str)
    assert os.path.basename(name) in found


def test_a_link_into_the_kernels_folders_is_refused(demo: Path) -> None:
    """`/proc` holds itself again and again."""
    (demo / "p").symlink_to("/proc/self")
    (demo / "s").symlink_to("/sys")
    found = planned(demo)
    assert isinstance(found, str)
    assert "contains no real files" in found


def test_folders_without_an_end_are_refused(demo: Path, tmp_path: Path) -> None:
    """A link to a chain of 300 outside folders is refused."""
    outside = tmp_path / "outside"
    deep = outside.joinpath(*"d" * 300)
    deep.mkdir(parents=True)
    (demo / "l").symlink_to(outside)
    environment = read_environment(demo, ask=fake_interpreter)
    (link,) = (e for e in walk.scan(environment) if e.arcname == "l")
    assert isinstance(link, SymlinkEntry)
    last = link.copies[-1]
    assert isinstance(last, UnsupportedEntry)
    assert "more than 100 folders deep" in last.reason


def test_links_that_multiply_end(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two links in each of 40 folders lead to the next: a million million copies."""
    monkeypatch.setattr("hatch_pack_venv.filesystem._MOST", 1000)
    for number in range(40):
        folder = tmp_path / f"m{number}"
        folder.mkdir()
        for name in "xy":
            (folder / name).symlink_to(f"../m{number + 1}")
    (tmp_path / "m40").mkdir()
    (demo / "l").symlink_to(tmp_path / "m0")
    found = planned(demo)
    assert isinstance(found, str)
    assert "contains more than 1000 files and folders" in found


def test_a_link_that_becomes_a_file_is_named(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between listing a folder and reading a link another process may replace it."""
    (demo / "l").symlink_to("lib")

    def replaced(link: Path, boundary: Path) -> LinkTarget:
        found = resolve_link(link, boundary)
        if link.name == "l":
            link.unlink()
            link.write_bytes(b"")
        return found

    monkeypatch.setattr(walk, "resolve_link", replaced)
    entries = {e.arcname: e for e in walk.scan(read_environment(demo, ask=fake_interpreter))}
    assert isinstance(entries["l"], UnsupportedEntry)
