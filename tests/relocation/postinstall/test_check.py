"""What `--check` finds, and the output and exit status of the post-install script."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest
from support.binaries import compile_library
from support.machine import needs
from support.unpacked import PYTHON, PYTHONS, Done, Tree, manifest, unpacked_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


tree = pytest.fixture(unpacked_tree)


def test_check_tells_an_unconnected_tree_and_changes_nothing(tree: Tree) -> None:
    """Before connecting, --check reports one finding, and no file is touched."""
    before = tree.snapshot()
    done = tree.run("--check")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("postinstall.py: The environment is not connected: run it with ")
    assert len(done.err.splitlines()) == 1
    assert tree.snapshot() == before


@needs("two CPythons")
def test_check_tells_whether_the_running_python_would_fit(tree: Tree) -> None:
    """Before connecting, --check by a wrong Python also names what does not fit."""
    other = next(python for python in PYTHONS if python.minor != PYTHON.minor)
    done = tree.run("--check", by=other.path)
    assert done.status == 1
    assert f"has Python {other.version}." in done.err


def test_check_of_a_connected_tree_changes_nothing(tree: Tree) -> None:
    """After connecting, --check passes whatever Python runs it, and writes no bytecode."""
    (tree.site / "start.pth").write_text("import marker\n")
    assert tree.run("--no-compile").status == 0
    before = tree.snapshot()
    for python in PYTHONS:
        done = tree.run("--check", by=python.path)
        expected = f"greeter 1.2.0 is connected and runs with Python {PYTHON.version}\n"
        assert done == Done(status=0, out=expected, err="")
    assert tree.snapshot() == before
    assert tree.bytecode() == []


def remove(path: Path) -> None:
    """Remove a file or a link."""
    path.unlink()


def link_elsewhere(path: Path) -> None:
    """Replace a name with a link to something else."""
    path.unlink()
    path.symlink_to("hello")


def rewrite(path: Path) -> None:
    """Write the home of another machine."""
    path.write_text("home = /elsewhere/bin\n")


def widen(path: Path) -> None:
    """Make the system's packages visible."""
    path.write_text(path.read_text().replace("packages = false", "packages = true"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pyvenv.cfg", remove),
        ("pyvenv.cfg", rewrite),
        ("pyvenv.cfg", widen),
        ("bin/python", remove),
        ("bin/python", link_elsewhere),
        ("bin/python3", link_elsewhere),
    ],
)
def test_check_finds_damage_and_the_next_run_repairs_it(
    tree: Tree, name: str, damage: Callable[[Path], None]
) -> None:
    """Each damaged piece is one finding that names it, and connecting again repairs it."""
    assert tree.run("--no-compile").status == 0
    damage(tree.root / name)
    done = tree.run("--check")
    assert done.status == 1
    assert f"'{tree.root / name}' is not as it should be here: run it with" in done.err
    assert len(done.err.splitlines()) == 1
    assert tree.run("--no-compile").status == 0
    tree.assert_connected()
    assert tree.run("--check").status == 0


def test_check_takes_a_patch_release_of_the_interpreter(tree: Tree) -> None:
    """An interpreter that was updated since, within the same X.Y, is still connected."""
    assert tree.run("--no-compile").status == 0
    config = tree.root / "pyvenv.cfg"
    config.write_text(
        config.read_text().replace(f"n = {PYTHON.version}\n", f"n = {PYTHON.minor}.0\n")
    )
    assert tree.run("--check").status == 0
    assert tree.run("--no-compile").status == 0
    assert f"version = {PYTHON.version}\n" in config.read_text()


def test_quiet_prints_nothing_but_problems(tree: Tree) -> None:
    """With -q a success is silent, and a problem is still reported."""
    assert "not connected" in tree.run("--check", "-q").err
    assert tree.run("-q") == Done(status=0, out="", err="")
    assert tree.run("-q", "--check") == Done(status=0, out="", err="")


def test_a_name_that_the_terminal_cannot_show_does_no_harm(tree: Tree) -> None:
    """A project's name is escaped if standard output cannot encode it."""
    tree.write_manifest(manifest(PYTHON) | {"name": "grüßer"})
    done = tree.run("--no-compile", wrapper=["env", "PYTHONIOENCODING=ascii"])
    assert done.status == 0
    assert done.out.startswith("connected gr\\xfc\\xdfer 1.2.0 to ")


def test_wrong_usage_exits_with_2_and_help_explains(tree: Tree) -> None:
    """An unknown option exits with 2; --help names every option and exits with 0."""
    assert tree.run("--wrong").status == 2
    done = tree.run("--help")
    assert done.status == 0
    assert all(word in done.out for word in ("--check", "--no-compile", "--quiet", "Exit status"))
    assert not (tree.root / "pyvenv.cfg").exists()


def test_an_archive_without_project_name_is_named_by_its_folder(tree: Tree) -> None:
    """Name and version may be unknown: the message then names the folder."""
    tree.write_manifest(manifest(PYTHON) | {"name": None, "version": None})
    assert tree.run("--no-compile").out.startswith("connected app to ")


def test_packages_that_the_base_has_to_have_are_looked_for(tree: Tree) -> None:
    """Connecting and --check report a missing one with its name and version."""
    told = {"name": "no-such-package", "version": "2.5"}
    tree.write_manifest({**manifest(PYTHON), "base_distributions": [told]})
    for arguments in ((), ("--check",)):
        done = tree.run(*arguments)
        assert done.status == 1
        assert "no-such-package 2.5 is not installed for the interpreter: " in done.err
    tree.write_manifest({**manifest(PYTHON), "base_distributions": []})
    assert tree.run("--check").status == 0


def test_another_version_that_the_base_has_is_told(tree: Tree) -> None:
    """It may suffice, so connecting and --check only warn."""
    info = tree.site / "numbers-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numbers\nVersion: 2.0\n")
    for version, told in (("2.0", 0), ("1.9", 1)):
        needed = {"name": "numbers", "version": version}
        tree.write_manifest({**manifest(PYTHON), "base_distributions": [needed]})
        for arguments in (("--no-compile",), ("--check",)):
            done = tree.run(*arguments)
            assert done.status == 0
            assert done.err.count("numbers 2.0 of the interpreter is used") == told
            assert done.err.count("was packed with 1.9: install that one") == told


@needs("gcc")
def test_libraries_that_the_system_has_to_have_are_tried(tree: Tree, tmp_path: Path) -> None:
    """One that is missing is reported when connecting, and makes --check fail."""
    folder = compile_library(tmp_path / "opt/libprivate.so.1").parent
    lost = compile_library(tmp_path / "lost/liblost.so.1")
    compile_library(tmp_path / "opt/libhalf.so.1", "-Wl,--no-as-needed", str(lost))
    ends = "__attribute__((constructor)) void ends(void) { __builtin_trap(); }"
    compile_library(tmp_path / "opt/libends.so.1", source=ends)
    lost.unlink()
    file = "lib/python3.11/site-packages/pkg/m.so"
    names = ["libc.so.6", "libprivate.so.1", "libends.so.1", "libhalf.so.1", "libno.so.1"]
    named = [{"name": name, "file": file, "folder": str(folder)} for name in names]
    tree.write_manifest({**manifest(PYTHON), "target_libraries": named})
    done = tree.run("--no-compile", "--quiet")
    assert (done.status, done.out) == (0, "")
    ending, half, missing = done.err.splitlines()  # also those after one that ends the process
    assert "libends.so.1 cannot be loaded on this system (the process that loads it ends)" in ending
    assert half.startswith(
        "postinstall.py: The library libhalf.so.1 cannot be loaded on this system"
    )
    assert "(liblost.so.1: cannot open shared object file" in half
    assert "libno.so.1" in missing
    assert missing.endswith("and pkg/m.so needs it: install it.")
    checked = tree.run("--check")
    assert (checked.status, checked.err) == (1, done.err)
    tree.write_manifest({**manifest(PYTHON), "target_libraries": named[:2]})
    assert tree.run("--check").err == ""


def test_packages_that_the_interpreter_does_not_look_for_are_told(tree: Tree) -> None:
    """An interpreter that runs but does not find the packages fails the check."""
    unseen = tree.root / "lib/python3/vendor-packages"
    unseen.mkdir(parents=True)
    layout = manifest(PYTHON)["layout"]
    layout["site_packages"].append("lib/python3/vendor-packages")
    tree.write_manifest({**manifest(PYTHON), "layout": layout})
    assert tree.run("--no-compile").status == 0  # nothing is in there
    (unseen / "module.py").touch()
    done = tree.run("--check")
    assert done.status == 1
    python = tree.root / "bin/python"
    assert done.err == (
        f"postinstall.py: {str(python)!r} does not look for packages in {str(unseen)!r}.\n"
    )


def with_modules(tree: Tree, *names: str) -> None:
    """Write files into site-packages and name them in the manifest."""
    site = tree.site.relative_to(tree.root)
    for name in names:
        (tree.site / name).parent.mkdir(exist_ok=True)
        (tree.site / name).write_text("raise SystemExit('run')\n")
    files = [{"path": f"{site}/{name}"} for name in ("marker/__init__.py", *names)]
    tree.write_manifest({**manifest(PYTHON), "files": files})


def test_check_finds_what_is_packed_and_runs_none_of_it(tree: Tree) -> None:
    """Modules, packages and extension modules are found in place, and none is imported."""
    tag = PYTHON.minor.replace(".", "")
    own = f"own.cpython-{tag}-{platform.machine()}-linux-gnu.so"
    stale = "stale.cpython-27m-x86_64-linux-gnu.so"
    with_modules(tree, "one.py", "two/__init__.py", own, "any.abi3.so", stale, "space/deep.py")
    assert tree.run("--no-compile").status == 0
    done = tree.run("--check")
    assert (done.status, done.err) == (0, "")


def test_check_tells_modules_that_the_interpreter_does_not_find(tree: Tree) -> None:
    """One sentence names the first, and says how many more there are."""
    tag = PYTHON.minor.replace(".", "")
    with_modules(tree, "one.py", f"own.cpython-{tag}-{platform.machine()}-linux-gnu.so", "two.py")
    assert tree.run("--no-compile").status == 0
    for path in (*tree.site.glob("own.*"), tree.site / "two.py"):
        path.unlink()
    done = tree.run("--check")
    assert done.status == 1
    assert "finds no module 'own' and 1 more, though the archive holds 'lib/python" in done.err
    assert len(done.err.splitlines()) == 1
