"""The shipped post-install script, run for real by every CPython that is found."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.interpreters import Python, find_pythons

from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRIPT = Path(__file__).parents[2] / "src/hatch_pack_venv/injected/postinstall.py"
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

EVERY = find_pythons()
PYTHONS = [python for python in EVERY if python.number >= (3, 8)]
TOO_OLD = [python for python in EVERY if python.number < (3, 8)]
PYTHON = next(python for python in PYTHONS if python.number >= (3, 11))
each_python = pytest.mark.parametrize("python", PYTHONS, ids=lambda python: python.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a run of the script did."""

    status: int
    out: str
    err: str


class Tree:
    """An unpacked archive, made by hand."""

    def __init__(self, root: Path, python: Python, **changes: Any) -> None:
        self.root = root
        self.python = python
        self.site = root / f"lib/python{python.minor}/site-packages"
        (self.site / "marker").mkdir(parents=True)
        (self.site / "marker/__init__.py").write_text("PLACE = __file__\n")
        (root / "bin").mkdir()
        hello = root / "bin/hello"
        hello.write_text('#!/bin/sh\nexec "${0%/*}/python" -c "import marker; print(1)"\n')
        hello.chmod(0o755)
        shutil.copyfile(SCRIPT, root / "postinstall.py")
        self.write_manifest(manifest(python) | changes)

    def write_manifest(self, content: object) -> None:
        path = self.root / "share/venv/metadata/pack-venv.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")

    def run(self, *options: str, by: Path | str | None = None, wrapper: Sequence[str] = ()) -> Done:
        command = [*wrapper, str(by or self.python.path), str(self.root / "postinstall.py")]
        done = subprocess.run([*command, *options], capture_output=True, env=ENVIRON, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err
        return Done(status=done.returncode, out=out, err=err)

    def moved(self, target: Path) -> Tree:
        """Move the tree; nothing stays at the old place."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.root.rename(target)
        there = Tree.__new__(Tree)
        there.root, there.python = target, self.python
        there.site = target / self.site.relative_to(self.root)
        return there

    def snapshot(self) -> dict[str, tuple[object, ...]]:
        """Return all that a run could change: identity, time and text of every name."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.root.rglob("*")):
            facts = path.lstat()
            text = os.readlink(path) if path.is_symlink() else facts.st_size
            found[str(path)] = (facts.st_ino, facts.st_mtime_ns, text)
        return found

    def ask(self, code: str) -> str:
        """Return what code prints in the environment's own interpreter."""
        command = [str(self.root / "bin/python"), "-I", "-B", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True)
        return done.stdout.rstrip("\n")

    def assert_connected(self, to: Path | None = None) -> None:
        """Check pyvenv.cfg, the links, and that the interpreter runs at home."""
        base, name = to or self.python.path, f"python{self.python.minor}"
        links = {link: os.readlink(self.root / "bin" / link) for link in ("python", "python3")}
        assert links == {"python": name, "python3": name}
        assert os.readlink(self.root / "bin" / name) == str(base)
        config = (self.root / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
        assert f"home = {base.parent}" in config
        assert f"executable = {base}" in config
        assert self.ask("import sys; print(sys.prefix)") == str(self.root)
        assert self.ask("import marker; print(marker.PLACE)").startswith(str(self.site))

    def leftovers(self) -> list[Path]:
        return [path for path in self.root.rglob(".*") if path.name.endswith(".tmp")]

    def bytecode(self) -> list[Path]:
        return sorted((self.site / "marker").glob("__pycache__/*.pyc"))


def manifest(python: Python) -> dict[str, Any]:
    """Return the manifest of an archive for a Python of this machine."""
    site = f"lib/python{python.minor}/site-packages"
    return {
        "format_version": 1,
        "name": "greeter",
        "version": "1.2.0",
        "interpreter": "target",
        "python": {
            "version": python.version,
            "implementation": "cpython",
            "abi": "cp" + python.minor.replace(".", ""),
            "cache_tag": "cpython-" + python.minor.replace(".", ""),
            "pointer_bits": struct.calcsize("P") * 8,
        },
        "platform": {"system": sys.platform, "machine": platform.machine(), "tag": "any"},
        "layout": {
            "scripts": "bin",
            "site_packages": [site],
            "include_system_site_packages": False,
        },
    }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return an archive for the first suitable Python, unpacked and not connected."""
    return Tree(tmp_path / "app", PYTHON)


@pytest.fixture
def in_namespace() -> Callable[[str], list[str]]:
    """Return a wrapper that runs shell commands in a mount namespace first, or skip."""
    command = ["unshare", "-m", "true"]
    if not shutil.which("unshare") or subprocess.run(command, check=False).returncode:
        pytest.skip("this machine gives no mount namespace")
    return lambda setup: ["unshare", "-m", "sh", "-c", f'{setup} && exec "$@"', "sh"]


def flat_python(root: Path, python: Python) -> None:
    """Put an interpreter and a small standard library of its own into a tree."""
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
    shutil.copy(python.path, root / f"bin/python{python.minor}")
    (root / "bin/python").symlink_to(f"python{python.minor}")
    (root / "pyvenv.cfg").write_text("include-system-site-packages = false\n")


@each_python
def test_every_cpython_connects_and_compiles(tmp_path: Path, python: Python) -> None:
    """The Python that runs the script becomes the environment's, and byte code is written."""
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
def test_another_version_is_refused_before_anything_changes(tmp_path: Path, python: Python) -> None:
    """A Python of another X.Y is told which one is needed, and nothing is changed."""
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
    """Each misfit alone is one sentence and one way out."""
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
    """Version, file and what this system has are told, and nothing is changed."""
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
    """Versions are compared by their numbers: 2.9 is older than 2.36."""
    tree = Tree(tmp_path / "app", python)
    tree.write_manifest(needing_glibc(python, "2.9", "bin/x"))
    assert tree.run("--no-compile").status == 0
    assert tree.run("--check").status == 0
    tree.write_manifest(needing_glibc(python, "9.99", "bin/x"))
    done = tree.run("--check")
    assert done.status == 1
    assert "needs glibc 9.99 or later (bin/x); this system has" in done.err


@each_python
def test_a_promised_interpreter_is_checked_and_replaced(tmp_path: Path, python: Python) -> None:
    """Connected by the archive to what is not there: --check says so, a run connects."""
    promised = str(tmp_path / "opt/bin/python")
    tree = Tree(tmp_path / "app", python, interpreter="promised", interpreter_path=promised)
    (tree.root / f"bin/python{python.minor}").symlink_to(promised)
    done = tree.run("--check")
    assert done.status == 1
    assert f"The interpreter '{promised}' of the environment is not there" in done.err
    assert tree.run("--no-compile").status == 0
    tree.assert_connected()
    assert tree.run("--check").status == 0


def needing_glibc(python: Python, version: str, file: str) -> dict[str, Any]:
    """Return a manifest whose packed files need a version of glibc."""
    content = manifest(python)
    content["platform"]["glibc"] = {"version": version, "file": file}
    return content


def test_all_that_does_not_fit_is_told_together(tree: Tree) -> None:
    """Several misfits are told in one go, with the machine to go to."""
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


@each_python
def test_a_second_run_changes_nothing_whoever_runs_it(tmp_path: Path, python: Python) -> None:
    """Run again by the interpreter or by the environment's own Python, all stays as it is."""
    tree = Tree(tmp_path / "app", python)
    assert tree.run().status == 0
    before = tree.snapshot()
    for by in (python.path, tree.root / "bin/python", tree.root / f"bin/python{python.minor}"):
        assert tree.run(by=by).status == 0
        assert tree.snapshot() == before


@each_python
def test_a_copied_interpreter_is_replaced_by_a_link(tmp_path: Path, python: Python) -> None:
    """A zip's copies of the interpreter, running the script themselves, give way to the links."""
    tree = Tree(tmp_path / "app", python)
    for name in ("python", "python3", f"python{python.minor}"):
        shutil.copy(python.path, tree.root / "bin" / name)
    assert tree.run("--no-compile", by=tree.root / "bin/python").status == 0
    tree.assert_connected()


@each_python
def test_it_connects_again_after_a_move(tmp_path: Path, python: Python) -> None:
    """Moved, with the old place gone, it is connected by its own or by the machine's Python."""
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


@pytest.mark.parametrize(
    "name", ["two words", "ünï çödé", "new\nline", "q'uo\"te$HOME`x`", "-dash", "[a]*{}%s"]
)
def test_a_prefix_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Spaces, other letters, line breaks and quotes in the prefix do no harm."""
    tree = Tree(tmp_path / name, PYTHON)
    assert tree.run().status == 0
    tree.assert_connected()
    assert len(tree.bytecode()) == 1
    assert tree.run("--check").status == 0


def test_a_prefix_that_is_not_utf_8_gives_no_traceback(tmp_path: Path) -> None:
    """Bytes that no encoding knows in the prefix: messages still can be written."""
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
    """What is right already is not written again, so a read-only tree passes."""
    assert tree.run("--no-compile").status == 0
    setup = f"mount --bind {tree.root} {tree.root} && mount -o remount,bind,ro {tree.root}"
    assert tree.run(wrapper=in_namespace(setup)).status == 0
    assert tree.run("--check", wrapper=in_namespace(setup)).status == 0


def test_a_folder_of_somebody_else_is_named(tree: Tree) -> None:
    """Without permission to write one sentence names the folder."""
    tree.root.chmod(0o555)
    wrapper: list[str] = []
    if os.geteuid() == 0:
        wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
        probe = [*wrapper, "touch", str(tree.root / "probe")]
        if not shutil.which("setpriv") or not subprocess.run(probe, check=False).returncode:
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


def test_check_tells_an_unconnected_tree_and_changes_nothing(tree: Tree) -> None:
    """Before connecting, --check is one finding, and no file is touched."""
    before = tree.snapshot()
    done = tree.run("--check")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("postinstall.py: The environment is not connected: run it with ")
    assert len(done.err.splitlines()) == 1
    assert tree.snapshot() == before


def test_check_tells_whether_the_running_python_would_fit(tree: Tree) -> None:
    """Before connecting, --check by a wrong Python names what does not fit, too."""
    other = next(python for python in PYTHONS if python.minor != PYTHON.minor)
    done = tree.run("--check", by=other.path)
    assert done.status == 1
    assert f"has Python {other.version}." in done.err


def test_check_of_a_connected_tree_changes_nothing(tree: Tree) -> None:
    """After connecting, --check is content whatever Python runs it, and writes no byte code."""
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
    """Remove a name."""
    path.unlink()


def link_elsewhere(path: Path) -> None:
    """Make a link that leads to something else."""
    path.unlink()
    path.symlink_to("hello")


def rewrite(path: Path) -> None:
    """Write the home of another machine."""
    path.write_text("home = /elsewhere/bin\n")


def widen(path: Path) -> None:
    """Let the system's packages in."""
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
    """Each damaged piece is one finding by name, and connecting again puts it right."""
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
    """The interpreter may have had an update since: the same X.Y is still connected."""
    assert tree.run("--no-compile").status == 0
    config = tree.root / "pyvenv.cfg"
    config.write_text(
        config.read_text().replace(f"n = {PYTHON.version}\n", f"n = {PYTHON.minor}.0\n")
    )
    assert tree.run("--check").status == 0
    assert tree.run("--no-compile").status == 0
    assert f"version = {PYTHON.version}\n" in config.read_text()


def test_no_compile_writes_no_byte_code(tree: Tree) -> None:
    """With --no-compile the tree is connected and holds no byte code."""
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
    """The interpreter is asked to compile once, whatever it finds."""
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
    """Of the same size and time, compiled or imported before: with no run and after one."""
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
    """One sentence, and no failure: the tree is connected and runs."""
    assert tree.run("--no-compile").status == 0
    setup = f"mount --bind {tree.root} {tree.root} && mount -o remount,bind,ro {tree.root}"
    done = tree.run(wrapper=in_namespace(setup))
    expected = f"postinstall.py: no byte code was written: the folder '{tree.site}' is read-only: "
    assert (done.status, done.err) == (0, expected + "run this where it can be written.\n")
    assert tree.run("-q", wrapper=in_namespace(setup)) == Done(status=0, out="", err="")


def test_a_package_that_cannot_be_written_is_told(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """One package on a read-only mount: its folder is named, the others are compiled."""
    other = tree.site / "other"
    other.mkdir()
    (other / "__init__.py").touch()
    setup = f"mount --bind {other} {other} && mount -o remount,bind,ro {other}"
    done = tree.run(wrapper=in_namespace(setup))
    assert done.status == 0
    assert f"no byte code was written: the folder '{other}/__pycache__' is read-only" in done.err
    assert len(tree.bytecode()) == 1


def test_the_name_of_a_free_threaded_interpreter_has_a_t() -> None:
    """Its links are those that its own venv makes: python3.13t, and not python3.13."""
    content = manifest(PYTHON)
    content["python"] |= {"version": "3.13.1", "abi": "cp313t"}
    tree = postinstall.parse_manifest(json.dumps(content).encode(), "/app")
    names = list(postinstall.pieces(tree, "/opt/bin/python3.13t", "3.13.1"))
    assert names == ["/app/pyvenv.cfg", *(f"/app/bin/python{x}" for x in ("3.13t", "3", ""))]
    assert "run it with python3.13t: python3.13t /app/postinstall.py" in tree.rerun


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


@each_python
def test_the_systems_libstdcxx_is_asked_for_its_version(tmp_path: Path, python: Python) -> None:
    """Enough is passed over, too little is one sentence; no ctypes or no /proc is no reason."""
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


def test_unchecked_byte_code_of_other_sources_is_replaced(tree: Tree) -> None:
    """What an older archive brought, and a newer one did not bring along."""
    options = ["-q", "--invalidation-mode", "unchecked-hash", str(tree.site)]
    subprocess.run([str(PYTHON.path), "-m", "compileall", *options], check=True, env=ENVIRON)
    before = tree.bytecode()[0].read_bytes()
    assert tree.run().status == 0
    assert tree.bytecode()[0].read_bytes() == before
    (tree.site / "marker/__init__.py").write_text("PLACE = 'new'\n")
    assert tree.ask("import marker; print(marker.PLACE)") != "new"
    assert tree.run().status == 0
    assert tree.ask("import marker; print(marker.PLACE)") == "new"


def test_an_archive_for_both_processors_of_macs_fits_either() -> None:
    """universal2 is Apple's and Intel's."""
    assert all(postinstall.fits("machine", "universal2", each) for each in ("arm64", "x86_64"))
    assert not postinstall.fits("machine", "universal2", "ppc")
    assert not postinstall.fits("machine", "arm64", "x86_64")


def test_a_frameworks_python_is_linked_by_what_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program lies in Resources/Python.app, and would not know the environment."""
    version = "{}.{}".format(*sys.version_info)
    prefix = f"/Library/Frameworks/Python.framework/Versions/{version}"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "base_prefix", prefix)
    monkeypatch.setattr(sysconfig, "get_config_var", {"PYTHONFRAMEWORK": "Python"}.get)
    assert next(postinstall.base_candidates()) == f"{prefix}/bin/python{version}"


def test_a_framework_launcher_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By __PYVENV_LAUNCHER__ another Python would take itself for the one that asks it."""
    asked = tmp_path / "python"
    asked.write_text(f'#!/bin/sh\n[ -z "$__PYVENV_LAUNCHER__" ] && exec {PYTHON.path} "$@"\n')
    asked.chmod(0o755)
    monkeypatch.setenv("__PYVENV_LAUNCHER__", "/elsewhere/bin/python3")
    assert Interpreter.from_executable(asked).version == PYTHON.version
    assert postinstall.ask(str(asked))["version"] == PYTHON.version


def test_it_compiles_where_no_process_pool_works(
    tree: Tree, in_namespace: Callable[[str], list[str]]
) -> None:
    """Without a writable /dev/shm, which pools of processes need, byte code is still written."""
    done = tree.run(wrapper=in_namespace("mount -t tmpfs -o ro none /dev/shm"))
    assert (done.status, done.err) == (0, "")
    assert len(tree.bytecode()) == 1


def test_byte_code_of_the_archive_is_kept(tree: Tree) -> None:
    """Byte code checked by hash that came with the archive is not written anew."""
    options = ["-q", "--invalidation-mode", "checked-hash", str(tree.site)]
    subprocess.run([str(PYTHON.path), "-m", "compileall", *options], check=True, env=ENVIRON)
    before = tree.bytecode()[0].read_bytes()
    assert tree.run().status == 0
    assert tree.bytecode()[0].read_bytes() == before


def test_packages_that_print_at_start_do_no_harm(tree: Tree) -> None:
    """What a .pth file prints is not taken for the interpreter's answer."""
    (tree.site / "noise.pth").write_text("import sys; print('{}'); print('noise', flush=True)\n")
    assert tree.run().status == 0
    assert tree.run("--check").status == 0


def test_quiet_prints_nothing_but_problems(tree: Tree) -> None:
    """With -q a success is silent, and a problem is still told."""
    assert "not connected" in tree.run("--check", "-q").err
    assert tree.run("-q") == Done(status=0, out="", err="")
    assert tree.run("-q", "--check") == Done(status=0, out="", err="")


def test_a_name_that_the_terminal_cannot_show_does_no_harm(tree: Tree) -> None:
    """A project's name in letters that standard output does not know is escaped."""
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


def test_an_archive_without_project_name_is_named_by_its_folder(tree: Tree) -> None:
    """Name and version may be unknown: the message then names the folder."""
    tree.write_manifest(manifest(PYTHON) | {"name": None, "version": None})
    assert tree.run("--no-compile").out.startswith("connected app to ")


def test_a_bundled_archive_needs_no_step(tmp_path: Path) -> None:
    """With its interpreter inside, any Python says so, and all is left as it was."""
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
    """--check of a bundled archive tells an interpreter that runs for another place or not."""
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


@pytest.mark.parametrize("name", ["app", "[a]*{}"])
def test_temporary_names_of_a_killed_run_are_swept(tmp_path: Path, name: str) -> None:
    """Old temporary names are removed; young ones may be another run's and stay."""
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
    """The old piece stays until the new one takes its place, which no other run has named."""
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
    """Killed at any moment, the tree is connected by another run."""
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
