"""The Python that an unpacked archive is connected to: in any place, again and after moves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.machine import needs
from support.unpacked import (
    ENVIRON,
    PYTHON,
    PYTHONS,
    Done,
    Tree,
    each_python,
    manifest,
    unpacked_tree,
)

from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.scan.probe import ask_interpreter

if TYPE_CHECKING:
    from support.interpreters import Python

tree = pytest.fixture(unpacked_tree)


def flat_python(root: Path, python: Python) -> None:
    """Put an interpreter and a small standard library into a tree."""
    stdlib = subprocess.check_output(
        [str(python.path), "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
        text=True,
    ).strip()
    patterns = "test* site-packages dist-packages __pycache__ config-* idlelib lib2to3 tkinter"
    patterns += (
        " ensurepip pydoc_data distutils turtledemo unittest sitecustomize.py sqlite3 wsgiref"
    )
    shutil.copytree(
        stdlib,
        root / f"lib/python{python.minor}",
        ignore=shutil.ignore_patterns(*patterns.split()),
        dirs_exist_ok=True,
    )
    if "/dist-packages" in (root / f"lib/python{python.minor}/site.py").read_text():  # Debian's
        (root / "lib/python3").mkdir()
        linked = root / "lib/python3/dist-packages"
        linked.symlink_to(f"../python{python.minor}/site-packages")
    shutil.copy(python.path, root / f"bin/python{python.minor}")
    (root / "bin/python").symlink_to(f"python{python.minor}")
    (root / "pyvenv.cfg").write_text("include-system-site-packages = false\n")


@each_python
def test_every_cpython_connects_and_compiles(tmp_path: Path, python: Python) -> None:
    """The Python that runs the script becomes the environment's, and bytecode is written."""
    tree = Tree(tmp_path / "app", python)
    done = tree.run()
    assert done == Done(
        status=0, out=f"connected greeter 1.2.0 to {python.path} ({python.version})\n", err=""
    )
    tree.assert_connected()
    assert len(tree.bytecode()) == 1
    assert subprocess.check_output([tree.root / "bin/hello"], env=ENVIRON) == b"1\n"
    assert tree.run("--check").status == 0


@each_python
def test_a_promised_interpreter_is_checked_and_replaced(tmp_path: Path, python: Python) -> None:
    """If the promised interpreter is missing, --check says so and a run connects another."""
    promised = str(tmp_path / "opt/bin/python")
    tree = Tree(tmp_path / "app", python, interpreter="promised", interpreter_path=promised)
    (tree.root / f"bin/python{python.minor}").symlink_to(promised)
    done = tree.run("--check")
    assert done.status == 1
    assert f"The interpreter '{promised}' of the environment is not there" in done.err
    assert tree.run("--no-compile").status == 0
    tree.assert_connected()
    assert tree.run("--check").status == 0


@each_python
@pytest.mark.parametrize("kind", ["--symlinks", "--copies"])
def test_a_virtual_environments_python_gives_its_base(
    tmp_path: Path, python: Python, kind: str
) -> None:
    """Run by a venv's Python, linked or copied, the script connects to that venv's base."""
    venv = tmp_path / "venv"
    command = [str(python.path), "-m", "venv", "--without-pip", kind, str(venv)]
    subprocess.run(command, env=ENVIRON, check=True)
    tree = Tree(tmp_path / "app", python)
    assert tree.run("--no-compile", by=venv / "bin/python").status == 0
    shutil.rmtree(venv)
    tree.assert_connected()


@needs("two CPythons")
@each_python
def test_a_copied_python_whose_folder_has_another_python3(tmp_path: Path, python: Python) -> None:
    """A python3 of another version in the base's folder is not taken for the base."""
    another = next(each for each in PYTHONS if each.minor != python.minor)
    base = tmp_path / "base/bin"
    base.mkdir(parents=True)
    (base / f"python{python.minor}").symlink_to(python.path)
    (base / "python3").symlink_to(another.path)
    venv = tmp_path / "venv"
    command = [str(python.path), "-m", "venv", "--without-pip", "--copies", str(venv)]
    subprocess.run(command, env=ENVIRON, check=True)
    settings = venv / "pyvenv.cfg"
    lines = settings.read_text().splitlines()
    lines = [f"home = {base}" if line.startswith("home =") else line for line in lines]
    settings.write_text("\n".join(lines) + "\n")
    tree = Tree(tmp_path / "app", python)
    assert tree.run("--no-compile", by=venv / "bin/python").status == 0
    tree.assert_connected()


@each_python
def test_a_second_run_changes_nothing_whoever_runs_it(tmp_path: Path, python: Python) -> None:
    """Run again by the interpreter or by the environment's own Python, it changes nothing."""
    tree = Tree(tmp_path / "app", python)
    assert tree.run().status == 0
    before = tree.snapshot()
    for by in (python.path, tree.root / "bin/python", tree.root / f"bin/python{python.minor}"):
        assert tree.run(by=by).status == 0
        assert tree.snapshot() == before


@each_python
def test_a_copied_interpreter_is_replaced_by_a_link(tmp_path: Path, python: Python) -> None:
    """A zip's copies of the interpreter, which run the script themselves, are replaced by links."""
    tree = Tree(tmp_path / "app", python)
    for name in ("python", "python3", f"python{python.minor}"):
        shutil.copy(python.path, tree.root / "bin" / name)
    assert tree.run("--no-compile", by=tree.root / "bin/python").status == 0
    tree.assert_connected()


@each_python
def test_it_connects_again_after_a_move(tmp_path: Path, python: Python) -> None:
    """After a move, its own Python or the machine's connects it, with the old place gone."""
    tree = Tree(tmp_path / "app", python)
    assert tree.run().status == 0
    there = tree.moved(tmp_path / "deep er/ünï/app 2")
    assert there.run("--check", by=there.root / "bin/python").status == 0
    assert there.run(by=there.root / "bin/python").status == 0
    there.assert_connected()
    assert there.moved(tmp_path / "third").run("--check").status == 0


@pytest.mark.parametrize("python", [PYTHONS[0], PYTHON, PYTHONS[-1]], ids=lambda p: p.version)
def test_it_follows_an_interpreter_that_has_moved(tmp_path: Path, python: Python) -> None:
    """When the interpreter has moved, --check says that it is gone and another run connects."""
    home = tmp_path / "python"
    (home / "bin").mkdir(parents=True)
    (home / "lib").mkdir()
    shutil.copy(python.path, home / "bin/python3")
    library = python.path.parents[1] / f"lib/python{python.minor}"
    (home / f"lib/python{python.minor}").symlink_to(library)
    tree = Tree(tmp_path / "app", python)
    assert tree.run("--no-compile", by=home / "bin/python3").status == 0
    tree.assert_connected(to=home / "bin/python3")
    home.rename(tmp_path / "moved")
    done = tree.run("--check")
    assert done.status == 1
    assert f"'{home}/bin/python3' of the environment is not there" in done.err
    assert tree.run("--no-compile", by=tmp_path / "moved/bin/python3").status == 0
    tree.assert_connected(to=tmp_path / "moved/bin/python3")


@pytest.mark.parametrize(
    "name", ["two words", "ünï çödé", "new\nline", "q'uo\"te$HOME`x`", "-dash", "[a]*{}%s"]
)
def test_a_prefix_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Spaces, non-ASCII letters, line breaks and quotes in the prefix do no harm."""
    tree = Tree(tmp_path / name, PYTHON)
    assert tree.run().status == 0
    tree.assert_connected()
    assert len(tree.bytecode()) == 1
    assert tree.run("--check").status == 0


def test_a_prefix_that_is_not_utf_8_gives_no_traceback(tmp_path: Path) -> None:
    """With bytes in the prefix that are not UTF-8, messages can still be written."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    tree = Tree(root, PYTHON)
    done = tree.run("--check")
    assert done.status == 1
    assert "The environment is not connected: run it with" in done.err


def test_it_works_through_a_link_to_the_folder(tree: Tree, tmp_path: Path) -> None:
    """Run through a link to the environment's folder, the environment itself is connected."""
    (tmp_path / "link").symlink_to(tree.root)
    command = [str(PYTHON.path), str(tmp_path / "link/postinstall.py")]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRON)
    tree.assert_connected()


def test_it_works_by_a_relative_path(tree: Tree) -> None:
    """Run as `python postinstall.py` in its own folder, it works."""
    command = [str(PYTHON.path), "postinstall.py", "-q"]
    subprocess.run(command, check=True, cwd=tree.root, env=ENVIRON)
    tree.assert_connected()


def test_the_name_of_a_free_threaded_interpreter_has_a_t() -> None:
    """Its links have the names that its own venv uses: python3.13t, not python3.13."""
    content = manifest(PYTHON)
    content["python"] |= {"version": "3.13.1", "abi": "cp313t"}
    tree = postinstall.parse_manifest(json.dumps(content).encode(), "/app")
    names = list(postinstall.pieces(tree, "/opt/bin/python3.13t", "3.13.1"))
    assert names == ["/app/pyvenv.cfg", *(f"/app/bin/python{x}" for x in ("3.13t", "3", ""))]
    assert "run it with python3.13t: python3.13t /app/postinstall.py" in tree.rerun


def test_a_frameworks_python_is_linked_by_what_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that runs, in Resources/Python.app, would not recognise the environment."""
    version = "{}.{}".format(*sys.version_info)
    prefix = f"/Library/Frameworks/Python.framework/Versions/{version}"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "base_prefix", prefix)
    monkeypatch.setattr(sysconfig, "get_config_var", {"PYTHONFRAMEWORK": "Python"}.get)
    assert next(postinstall.base_candidates()) == f"{prefix}/bin/python{version}"


@pytest.mark.parametrize(("own", "other"), [("t", ""), ("", "t")])
def test_with_and_without_a_gil_are_two_interpreters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, other: str
) -> None:
    """A copied Python of one kind does not take a python3 of the other kind for its base."""
    plain = "python{}.{}".format(*sys.version_info)
    (tmp_path / f"{plain}{other}").touch()
    (tmp_path / "python3").symlink_to(f"{plain}{other}")
    monkeypatch.setattr(sys, "abiflags", own, raising=False)
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "python3"))
    assert next(postinstall.base_candidates()) == str(tmp_path / f"{plain}{own}")


def test_no_candidate_lies_where_one_happens_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.6 does not report its base; a folder named like a Python is not taken for it."""
    (tmp_path / "python3.1").mkdir()
    monkeypatch.chdir(tmp_path / "python3.1")
    monkeypatch.setattr(sys, "_base_executable", None)
    assert all(os.path.isabs(each) for each in postinstall.base_candidates() if each)


def test_a_framework_launcher_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With __PYVENV_LAUNCHER__ another Python would take itself for the one that asks it."""
    asked = tmp_path / "python"
    asked.write_text(f'#!/bin/sh\n[ -z "$__PYVENV_LAUNCHER__" ] && exec {PYTHON.path} "$@"\n')
    asked.chmod(0o755)
    monkeypatch.setenv("__PYVENV_LAUNCHER__", "/elsewhere/bin/python3")
    assert ask_interpreter(asked).version == PYTHON.version
    assert postinstall.ask(str(asked))["version"] == PYTHON.version


def test_packages_that_print_at_start_do_no_harm(tree: Tree) -> None:
    """What a .pth file prints is not taken for the interpreter's answer."""
    (tree.site / "noise.pth").write_text("import sys; print('{}'); print('noise', flush=True)\n")
    assert tree.run().status == 0
    assert tree.run("--check").status == 0


def test_a_bundled_archive_needs_no_step(tmp_path: Path) -> None:
    """If the archive contains its interpreter, any Python says so and changes nothing."""
    tree = Tree(tmp_path / "app", PYTHON, interpreter="bundled")
    flat_python(tree.root, PYTHON)
    before = tree.snapshot()
    for python in (PYTHONS[0], PYTHONS[-1]):
        done = tree.run("--no-compile", by=python.path)
        assert done.status == 0
        assert done.out == "nothing to connect: the archive brings its interpreter\n"
        assert tree.run("--check", by=python.path).status == 0
    assert tree.snapshot() == before
    assert tree.run("--check", by=tree.root / "bin/python").status == 0


@needs("two CPythons")
def test_a_bundled_archive_is_compiled_by_its_own_interpreter(tmp_path: Path) -> None:
    """Its library and its packages are compiled for the interpreter inside."""
    tree = Tree(tmp_path / "app", PYTHON, interpreter="bundled")
    flat_python(tree.root, PYTHON)
    other = next(python for python in PYTHONS if python.minor != PYTHON.minor)
    assert tree.run(by=other.path).status == 0
    tag = manifest(PYTHON)["python"]["cache_tag"]
    assert [path.name for path in tree.bytecode()] == [f"__init__.{tag}.pyc"]
    assert (tree.site.parent / f"__pycache__/os.{tag}.pyc").is_file()


def test_a_bundled_interpreter_that_is_not_its_own_is_found(tmp_path: Path) -> None:
    """--check of a bundle reports an interpreter that runs for another place or not at all."""
    tree = Tree(tmp_path / "app", PYTHON, interpreter="bundled")
    (tree.root / "bin/python").symlink_to(PYTHON.path)
    done = tree.run("--check")
    assert done.status == 1
    assert f"not for '{tree.root}'" in done.err
    (tree.root / "bin/python").unlink()
    done = tree.run("--check", by=PYTHONS[0].path)
    assert done.status == 1
    assert "does not run (No such file or directory)" in done.err


def test_without_any_python_outside_it_says_so(tmp_path: Path) -> None:
    """A tree that only has an interpreter of its own cannot be connected to it."""
    tree = Tree(tmp_path / "app", PYTHON)
    flat_python(tree.root, PYTHON)
    done = tree.run(by=tree.root / "bin/python")
    assert done.status == 1
    assert "No Python outside of the environment" in done.err
    assert not (tree.root / "bin/python3").exists()


def test_an_interpreter_path_that_pyvenv_cfg_cannot_hold_is_refused(
    tree: Tree, tmp_path: Path
) -> None:
    """An interpreter below a folder with a line break in its name is refused by one sentence."""
    home = tmp_path / "line\nbreak/bin"
    home.mkdir(parents=True)
    shutil.copy(PYTHON.path, home / "python3")
    done = tree.run(by=home / "python3")
    assert done.status == 1
    assert "cannot stand in pyvenv.cfg" in done.err
    assert not (tree.root / "pyvenv.cfg").exists()
