"""What the post-install script writes, bytecode too: where it cannot, concurrently, when killed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.hiding import namespace
from support.machine import require
from support.unpacked import ENVIRON, PYTHON, SCRIPT, Done, Tree, unpacked_tree

if TYPE_CHECKING:
    from collections.abc import Callable

tree = pytest.fixture(unpacked_tree)


@pytest.fixture
def in_namespace() -> Callable[[str], list[str]]:
    """Return a wrapper that runs shell commands in a mount namespace first, or skip."""
    require("namespaces")
    command = namespace() or ()
    return lambda setup: [*command, "sh", "-c", f'{setup} && exec "$@"', "sh"]


def test_many_runs_at_the_same_time_end_connected(tree: Tree) -> None:
    """Runs that overlap all succeed and leave one connected tree without leftovers."""
    command = [PYTHON.path, tree.root / "postinstall.py"]
    runs = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRON)
        for _ in range(6)
    ]
    errors = [run.communicate()[1] for run in runs]
    assert errors == [b""] * 6
    assert [run.returncode for run in runs] == [0] * 6
    tree.assert_connected()
    assert tree.leftovers() == []
    assert len(tree.bytecode()) == 1


def test_a_read_only_mount_is_named(tree: Tree, in_namespace: Callable[[str], list[str]]) -> None:
    """On a read-only file system one sentence names the folder."""
    setup = f"mount --bind {tree.root} {tree.root} && mount -o remount,bind,ro {tree.root}"
    done = tree.run(wrapper=in_namespace(setup))
    assert done.status == 1
    expected = f"postinstall.py: The folder '{tree.root}' is read-only: "
    assert done.err == expected + "run this where it can be written.\n"


def test_a_connected_read_only_tree_needs_no_writing(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """Files that are already correct are not written again, so a read-only tree passes."""
    assert tree.run("--no-compile").status == 0
    setup = f"mount --bind {tree.root} {tree.root} && mount -o remount,bind,ro {tree.root}"
    assert tree.run(wrapper=in_namespace(setup)).status == 0
    assert tree.run("--check", wrapper=in_namespace(setup)).status == 0


def test_a_folder_of_somebody_else_is_named(tree: Tree) -> None:
    """Without permission to write, one sentence names the folder."""
    tree.root.chmod(0o555)
    wrapper: list[str] = []
    if os.geteuid() == 0:
        wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
        probe = [*wrapper, "touch", str(tree.root / "probe")]
        require("setpriv")
        if not subprocess.run(probe, check=False).returncode:
            pytest.skip("root cannot give up its rights here")
    done = tree.run(wrapper=wrapper)
    assert done.status == 1
    assert done.err.startswith(f"postinstall.py: The folder '{tree.root}' cannot be written by")
    assert not (tree.root / "pyvenv.cfg").exists()


def test_a_full_disk_is_named(
    tree: Tree, tmp_path: Path, in_namespace: Callable[[str], list[str]]
) -> None:
    """On a full disk one sentence says so, and no half-written file stays."""
    copy, place = tmp_path / "copy", tree.root
    tree.root.rename(copy)
    place.mkdir()
    setup = f"mount -t tmpfs -o size=256k none {place} && cp -r {copy}/. {place}"
    setup += f" && (cat /dev/zero >{place}/filler 2>/dev/null || true)"
    show = ["sh", "-c", f'"$@"; status=$?; ls -A {place} >&2; exit $status', "sh"]
    done = tree.run(wrapper=[*in_namespace(setup), *show])
    assert done.status == 1
    assert f"The folder '{place}' lies on a full disk" in done.err
    assert "filler" in done.err
    assert ".tmp" not in done.err
    assert "pyvenv.cfg" not in done.err


def test_no_compile_writes_no_byte_code(tree: Tree) -> None:
    """With --no-compile the tree is connected and contains no bytecode."""
    assert tree.run("--no-compile").status == 0
    tree.assert_connected()
    assert list(tree.root.rglob("*.pyc")) == []


def test_sources_that_do_not_compile_are_passed_over(tree: Tree) -> None:
    """A template in another language's syntax does not fail the run or print anything."""
    (tree.site / "marker/template.py").write_text("print '{{ name }}'\n")
    (tree.site / "marker/escape.py").write_text("WARNS = '\\d'\n")
    done = tree.run()
    assert (done.status, done.err) == (0, "")
    assert [path.name.split(".")[0] for path in tree.bytecode()] == ["__init__", "escape"]


def test_one_source_that_does_not_compile_costs_no_second_round(tree: Tree) -> None:
    """The interpreter is started once to compile, whatever it finds."""
    (tree.site / "marker/template.py").write_text("print '{{ name }}'\n")
    assert tree.run("--no-compile").status == 0
    log = tree.root / "log"
    (tree.site / "spy.pth").write_text(
        f"import os, sys; '--compile' in sys.orig_argv and"
        f" print(os.getpid(), file=open({str(log)!r}, 'a'))\n"
    )
    assert tree.run().status == 0
    assert len(set(log.read_text().split())) == 1  # site reads .pth files of a venv twice


def test_a_new_version_unpacked_over_an_old_one_is_what_runs(tree: Tree) -> None:
    """Even of the same size and time, with or without a run, compiled or imported before."""
    source = tree.site / "marker/__init__.py"
    for compiled_by_import in (False, True):
        source.write_text("VERSION = 1\n")
        os.utime(source, (1, 1))
        if compiled_by_import:
            shutil.rmtree(source.parent / "__pycache__")
            assert tree.run("--no-compile").status == 0
            subprocess.run([tree.root / "bin/python", "-c", "import marker"], check=True)
        assert tree.run().status == 0
        source.write_text("VERSION = 2\n")
        os.utime(source, (1, 1))
        assert tree.ask("import marker; print(marker.VERSION)") == "2"
        assert tree.run().status == 0
        assert tree.ask("import marker; print(marker.VERSION)") == "2"
        assert len(tree.bytecode()) == 1


def test_a_read_only_tree_is_told_that_nothing_was_compiled(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """It is one sentence and no failure: the tree is connected and runs."""
    assert tree.run("--no-compile").status == 0
    setup = f"mount --bind {tree.root} {tree.root} && mount -o remount,bind,ro {tree.root}"
    done = tree.run(wrapper=in_namespace(setup))
    expected = f"postinstall.py: no byte code was written: the folder '{tree.site}' is read-only: "
    assert (done.status, done.err) == (0, expected + "run this where it can be written.\n")
    assert tree.run("-q", wrapper=in_namespace(setup)) == Done(status=0, out="", err="")


def test_a_package_that_cannot_be_written_is_told(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """If one package is on a read-only mount, its folder is named and the others are compiled."""
    other = tree.site / "other"
    other.mkdir()
    (other / "__init__.py").touch()
    setup = f"mount --bind {other} {other} && mount -o remount,bind,ro {other}"
    done = tree.run(wrapper=in_namespace(setup))
    assert done.status == 0
    assert f"no byte code was written: the folder '{other}/__pycache__' is read-only" in done.err
    assert len(tree.bytecode()) == 1


def compiled(tree: Tree, mode: str) -> bytes:
    """Compile as an archive may have been; return the bytecode of the only module."""
    options = ["-q", "--invalidation-mode", mode, str(tree.site)]
    subprocess.run([str(PYTHON.path), "-m", "compileall", *options], check=True, env=ENVIRON)
    return tree.bytecode()[0].read_bytes()


def test_unchecked_byte_code_of_other_sources_is_replaced(tree: Tree) -> None:
    """Bytecode of an older archive is replaced if a newer one brought only the sources."""
    before = compiled(tree, "unchecked-hash")
    assert tree.run().status == 0
    assert tree.bytecode()[0].read_bytes() == before
    (tree.site / "marker/__init__.py").write_text("PLACE = 'new'\n")
    assert tree.ask("import marker; print(marker.PLACE)") != "new"
    assert tree.run().status == 0
    assert tree.ask("import marker; print(marker.PLACE)") == "new"


def test_it_compiles_where_no_process_pool_works(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """Without a writable /dev/shm, which process pools need, bytecode is still written."""
    done = tree.run(wrapper=in_namespace("mount -t tmpfs -o ro none /dev/shm"))
    assert (done.status, done.err) == (0, "")
    assert len(tree.bytecode()) == 1


def test_byte_code_of_the_archive_is_kept(tree: Tree) -> None:
    """Hash-checked bytecode that came with the archive is not rewritten."""
    before = compiled(tree, "checked-hash")
    assert tree.run().status == 0
    assert tree.bytecode()[0].read_bytes() == before


@pytest.mark.parametrize("name", ["app", "[a]*{}"])
def test_temporary_names_of_a_killed_run_are_swept(tmp_path: Path, name: str) -> None:
    """Old temporary names are removed; recent ones may be another run's and stay."""
    tree = Tree(tmp_path / name, PYTHON)
    old = [
        tree.root / ".pyvenv.cfg.pack-venv-1-ab.tmp",
        tree.root / "bin/.python.pack-venv-1-c.tmp",
    ]
    young = tree.root / "bin/.python3.pack-venv-2-cd.tmp"
    old[0].write_text("home")
    old[1].symlink_to("gone")
    young.symlink_to("gone")
    for path in old:
        os.utime(path, (0, 0), follow_symlinks=False)
    assert tree.run("--no-compile").status == 0
    assert tree.leftovers() == [young]


def test_each_piece_is_replaced_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old piece stays until the new one, under a unique name, takes its place."""
    spec = importlib.util.spec_from_file_location("postinstall", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    seen: list[tuple[str, str]] = []

    def replace(source: str, target: str) -> None:
        seen.append((source, Path(target).read_text()))

    monkeypatch.setattr(os, "replace", replace)
    path = tmp_path / "pyvenv.cfg"
    path.write_text("old")
    for content in (b"new", b"newer", "link"):
        script.put(str(path), content)
    assert [old for _, old in seen] == ["old"] * 3
    assert len({source for source, _ in seen}) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_run_is_put_right_by_the_next(tmp_path: Path) -> None:
    """After a run was killed at any moment, another run connects the tree."""
    tree = Tree(tmp_path / "app", PYTHON)
    for step in range(12):
        command = [str(PYTHON.path), str(tree.root / "postinstall.py"), "-q"]
        with subprocess.Popen(command, env=ENVIRON) as run:
            time.sleep(0.02 * step)
            run.send_signal(signal.SIGKILL)
        assert tree.run("-q", "--no-compile") == Done(status=0, out="", err="")
        tree.assert_connected()
        for name in ("pyvenv.cfg", "bin/python", "bin/python3", f"bin/python{PYTHON.minor}"):
            (tree.root / name).unlink()
