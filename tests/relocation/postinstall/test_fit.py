"""Sentences about the Python and machine that an archive needs, and what its manifest lacks."""

from __future__ import annotations

import json
import os
import platform
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.machine import needs
from support.unpacked import EVERY, PYTHON, PYTHONS, Tree, each_python, manifest, unpacked_tree

from hatch_pack_venv.injected import postinstall

if TYPE_CHECKING:
    from pathlib import Path

    from support.interpreters import Python

TOO_OLD = [python for python in EVERY if python.number < (3, 8)]

tree = pytest.fixture(unpacked_tree)


@needs("two CPythons")
@each_python
def test_another_version_is_refused_before_anything_changes(tmp_path: Path, python: Python) -> None:
    """A Python of another X.Y is refused with the one that is needed, and nothing is changed."""
    other = next(each for each in PYTHONS if each.minor != python.minor)
    tree = Tree(tmp_path / "app", other)
    before = tree.snapshot()
    done = tree.run(by=python.path)
    assert (done.status, done.out) == (1, "")
    assert f"needs Python {other.minor}, but" in done.err
    assert f"has Python {python.version}." in done.err
    assert f"run it with python{other.minor}: python{other.minor} " in done.err
    assert tree.snapshot() == before


@pytest.mark.parametrize("python", TOO_OLD, ids=lambda python: python.version)
def test_a_python_older_than_the_script_is_told_so(tree: Tree, python: Python) -> None:
    """Python 3.6 and 3.7 give a sentence instead of a syntax error."""
    done = tree.run(by=python.path)
    assert (done.status, done.err) == (1, "postinstall.py: run it with CPython 3.8 or later.\n")


@pytest.mark.parametrize(
    ("part", "key", "value", "sentence"),
    [
        ("python", "implementation", "pypy", "needs the implementation pypy, but"),
        ("python", "abi", "cp311t", "needs the ABI cp311t, but"),
        ("python", "pointer_bits", 32, "needs pointers of 32 bits, but"),
        ("platform", "system", "plan9", "needs the system plan9, but"),
        ("platform", "machine", "m68k", "needs the machine type m68k, but"),
    ],
)
def test_each_thing_that_does_not_fit_is_named(
    tree: Tree, part: str, key: str, value: object, sentence: str
) -> None:
    """Each mismatch alone is one sentence and one remedy."""
    content = manifest(PYTHON)
    content[part][key] = value
    tree.write_manifest(content)
    done = tree.run()
    assert done.status == 1
    assert sentence in done.err
    assert done.err.count("The archive needs") == 1
    assert len(done.err.splitlines()) == 2


@each_python
@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_glibc_that_is_too_old_is_one_sentence(
    tmp_path: Path, python: Python, options: list[str]
) -> None:
    """It gives the version needed, the file and this system's version; nothing is changed."""
    tree = Tree(tmp_path / "app", python)
    file = f"lib/python{python.minor}/site-packages/marker/_x.so"
    tree.write_manifest(needing_glibc(python, "9.99", file))
    before = tree.snapshot()
    done = tree.run(*options)
    assert done.status == 1
    has = platform.libc_ver()[1]
    assert f"needs glibc 9.99 or later (marker/_x.so); this system has {has}.\n" in done.err
    assert done.err.count("The archive needs") == 1
    assert tree.snapshot() == before


@each_python
def test_a_glibc_that_is_new_enough_is_passed_over(tmp_path: Path, python: Python) -> None:
    """Versions are compared as numbers: 2.9 is older than 2.36."""
    tree = Tree(tmp_path / "app", python)
    tree.write_manifest(needing_glibc(python, "2.9", "bin/x"))
    assert tree.run("--no-compile").status == 0
    assert tree.run("--check").status == 0
    tree.write_manifest(needing_glibc(python, "9.99", "bin/x"))
    done = tree.run("--check")
    assert done.status == 1
    assert "needs glibc 9.99 or later (bin/x); this system has" in done.err


def needing_glibc(python: Python, version: str, file: str) -> dict[str, Any]:
    """Return a manifest whose packed files need a version of glibc."""
    content = manifest(python)
    content["platform"]["glibc"] = {"version": version, "file": file}
    return content


def test_all_that_does_not_fit_is_told_together(tree: Tree) -> None:
    """Several mismatches are reported together, with the machine to use instead."""
    content = manifest(PYTHON)
    content["python"] |= {"version": "3.99.1", "abi": "cp399td"}
    content["platform"] |= {"system": "plan9", "machine": "m68k"}
    tree.write_manifest(content)
    done = tree.run()
    assert done.status == 1
    assert done.err.count("The archive needs") == 4
    assert "Unpack it on plan9 m68k and run it with python3.99td" in done.err
    assert not (tree.root / "pyvenv.cfg").exists()


def test_a_machine_known_by_two_names_fits(tree: Tree) -> None:
    """AMD64 is x86_64, arm64 is aarch64."""
    other = {"x86_64": "AMD64", "aarch64": "arm64"}.get(platform.machine())
    if other is None:
        pytest.skip("this machine has one name")
    content = manifest(PYTHON)
    content["platform"]["machine"] = other
    tree.write_manifest(content)
    assert tree.run().status == 0


def test_the_release_of_macos_is_that_of_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Darwin 19 is 10.15, 20 is 11, 24 is 15, 25 is 26; elsewhere there is none."""
    assert postinstall.own_macos() == ""
    monkeypatch.setattr(sys, "platform", "darwin")
    for darwin, macos in {
        "19.6.0": "10.15",
        "20.1.0": "11",
        "24.0.0": "15",
        "25.1.0": "26",
    }.items():
        monkeypatch.setattr(os, "uname", lambda darwin=darwin: SimpleNamespace(release=darwin))
        assert postinstall.own_macos() == macos
    assert postinstall.older([10, 14], [10, 15])
    assert postinstall.older([10, 15], [11, 0])
    assert not postinstall.older([12], [12, 3])
    assert postinstall.older([], [12, 3])


@needs("libstdc++")
@each_python
def test_the_systems_libstdcxx_is_asked_for_its_version(tmp_path: Path, python: Python) -> None:
    """A version that suffices, or is unknown, passes; one that is too old is one sentence."""
    tree = Tree(tmp_path / "app", python)
    content = manifest(python)
    for version, status in (("3.4.9", 0), ("3.4.999", 1)):
        content["platform"]["glibcxx"] = {"version": version, "file": "a/x.so"}
        tree.write_manifest(content)
        done = tree.run("--no-compile")
        assert done.status == status
    assert (
        "needs libstdc++ with GLIBCXX 3.4.999 or later (a/x.so); this system has 3.4." in done.err
    )
    floors = {"glibcxx": ["3.4.9", "x.so"]}
    parsed = postinstall.parse_manifest(json.dumps(content).encode(), "/app")
    assert postinstall.too_old(parsed._replace(floors=floors), {"glibcxx": None}) == []
    (told,) = postinstall.too_old(parsed._replace(floors=floors), {"glibcxx": ""})
    assert told.endswith("(x.so); this system has none.")


def test_an_archive_for_both_processors_of_macs_fits_either() -> None:
    """universal2 is for both Apple's and Intel's."""
    assert all(postinstall.fits("machine", "universal2", each) for each in ("arm64", "x86_64"))
    assert not postinstall.fits("machine", "universal2", "ppc")
    assert not postinstall.fits("machine", "arm64", "x86_64")


def without(path: str) -> dict[str, Any]:
    """Return a manifest that lacks the value at a dotted path."""
    content = manifest(PYTHON)
    *parts, last = path.split(".")
    place = content
    for part in parts:
        place = place[part]
    del place[last]
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ('{"format_version": 1', "is not JSON"),
        ([], "format_version is None"),
        (without("format_version"), "format_version is None"),
        (manifest(PYTHON) | {"format_version": 2}, "unknown format_version 2"),
        (manifest(PYTHON) | {"interpreter": "other"}, "unknown interpreter 'other'"),
        (without("interpreter"), "interpreter is None"),
        (without("python"), "python.implementation is None"),
        (without("python.version"), "python.version is None"),
        (without("platform.machine"), "platform.machine is None"),
        (without("layout.site_packages"), "layout.site_packages is None"),
        (needing_glibc(PYTHON, 2, "x"), "platform.glibc.version is 2"),  # type: ignore[arg-type]
        (manifest(PYTHON) | {"interpreter": "promised"}, "interpreter_path is None"),
        (manifest(PYTHON) | {"layout": []}, "layout.scripts is None"),
    ],
)
def test_a_broken_manifest_is_one_sentence(tree: Tree, content: object, words: str) -> None:
    """Whatever the manifest lacks is named, and nothing is changed."""
    tree.write_manifest(content)
    before = tree.snapshot()
    done = tree.run()
    assert done.status == 1
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert tree.snapshot() == before


def test_a_missing_manifest_is_named(tree: Tree) -> None:
    """Without the manifest the script says which file it looked for."""
    path = tree.root / "share/venv/metadata/pack-venv.json"
    path.unlink()
    done = tree.run()
    assert done.status == 1
    assert f"The manifest '{path}' cannot be read (No such file or directory)" in done.err
