"""An interpreter's own prefix, and an environment whose interpreter is elsewhere, as sources."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.binaries import make_elf
from support.environments import install, run
from support.hiding import run_hidden
from support.interpreters import bundlable, copy_prefix, set_search_path
from support.machine import needs
from support.trees import extract, make_wheel, tree_state

from hatch_pack_venv import (
    PackOptions,
    PackVenvError,
    convert_symlinks,
    create_archive,
    export_venv,
    pack,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.slow]
PYTHON: Final = bundlable()[-1] if bundlable() else None
LAYER: Final = "share/venv/metadata/venvstacks_layer.json"
FILES: Final = {
    "my_app/__init__.py": b"def main():\n    import sys, ssl, sqlite3\n    print(sys.prefix)\n",
    "my_app-2.0.data/data/etc/my_app.conf": b"setting\n",
    "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a relocatable installation with one distribution, like the runtimes of venvstacks."""
    assert PYTHON is not None
    prefix = tmp_path_factory.mktemp("installation") / "cpython"
    name = copy_prefix(PYTHON, prefix).name
    set_search_path(prefix, "lib")
    for alias in ("python", "python3"):
        (prefix / "bin" / alias).symlink_to(name)
    site = prefix / "lib" / name / "site-packages"
    shutil.rmtree(site)
    site.mkdir()
    (prefix / "bin/by-hand").write_text("#!/bin/sh\n")
    install(prefix, make_wheel(tmp_path_factory.mktemp("wheel"), FILES))
    return prefix


def unpacked(archive: Path, place: Path) -> Path:
    with tarfile.open(archive) as tar:
        extract(tar, place, "tar")
    (root,) = place.iterdir()
    return root


def manifest(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "share/venv/metadata/pack-venv.json").read_text())
    return found


def prefix_of(root: Path, *command: str, hide: Path) -> str:
    assert PYTHON is not None
    hidden = (hide, PYTHON.prefix)
    done = run_hidden([root / command[0], *command[1:]], hide=hidden)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.network
def test_an_installation_becomes_a_bundle(installation: Path, tmp_path: Path) -> None:
    """The interpreter and its installed distributions are packed, but no file added by hand."""
    before = tree_state(installation)
    options = PackOptions.from_mapping({"format": "tar"})
    (result,) = pack(installation, tmp_path / "app", options)
    assert tree_state(installation) == before
    root = unpacked(result.path, tmp_path / "there")
    assert prefix_of(root, "bin/my-app", hide=installation) == str(root)
    assert (root / "etc/my_app.conf").read_text() == "setting\n"
    assert not (root / "bin/by-hand").exists()
    assert manifest(root)["interpreter"] == "bundled"
    assert [each["name"] for each in manifest(root)["distributions"]] == ["my_app"]


@pytest.mark.network
def test_what_is_installed_is_connected_to_a_target(installation: Path, tmp_path: Path) -> None:
    """With `interpreter = "target"` the interpreter stays out."""
    assert PYTHON is not None
    options = PackOptions.from_mapping({"format": "tar", "interpreter": "target"})
    (result,) = pack(installation, tmp_path / "app", options)
    root = unpacked(result.path, tmp_path / "there")
    assert not (root / f"lib/python{PYTHON.minor}/os.py").exists()
    run(PYTHON.path, root / "postinstall.py", "--no-compile")
    done = run_hidden([root / "bin/my-app"], hide=[installation])
    assert done.stdout.strip() == str(root), done.stderr


@pytest.mark.network
def test_the_seed_api_packs_an_installation_whole(installation: Path, tmp_path: Path) -> None:
    """As venvstacks packs its runtimes, everything is included, and runs after its post-install."""
    limit = datetime.fromtimestamp(1_500_000_000, UTC)
    path = create_archive(
        installation, tmp_path / "app", format="tar", clamp_mtime=limit, show_progress=False
    )
    root = unpacked(path, tmp_path / "there")
    assert (root / "bin/by-hand").exists()
    assert manifest(root)["interpreter"] == "bundled"
    done = run_hidden([root / "bin/python", root / "postinstall.py"], hide=[installation])
    assert done.returncode == 0, done.stderr
    assert not (root / "pyvenv.cfg").exists()
    assert prefix_of(root, "bin/my-app", hide=installation) == str(root)
    exported = export_venv(installation, tmp_path / "exported")
    assert prefix_of(exported, "bin/my-app", hide=installation) == str(exported)


@pytest.fixture
def orphan(tmp_path: Path) -> Path:
    """Make an environment whose interpreter is on another machine."""
    assert PYTHON is not None
    env = tmp_path / "machine/env"
    run(PYTHON.path, "-m", "venv", "--without-pip", env)
    name = f"python{PYTHON.minor}"
    for link in (env / "bin").glob("python*"):
        link.unlink()
    (env / "bin" / name).symlink_to(f"/of/another/machine/{name}")
    (env / "bin/python").symlink_to(name)
    (env / f"lib/{name}/site-packages/one.py").write_text("VALUE = 1\n")
    config = env / "pyvenv.cfg"
    config.write_text(config.read_text().replace(str(PYTHON.prefix), "/of/another/machine"))
    return env


def test_an_environment_without_its_interpreter_is_packed_for_a_target(
    orphan: Path, tmp_path: Path
) -> None:
    """The interpreter's facts are read from the tree, and a target's Python runs it."""
    assert PYTHON is not None
    options = PackOptions.from_mapping({"format": "tar", "interpreter": "target"})
    (result,) = pack(orphan, tmp_path / "app", options)
    root = unpacked(result.path, tmp_path / "there")
    python = manifest(root)["python"]
    assert (python["version"], python["pointer_bits"]) == (PYTHON.version, 64)
    assert python["abi"] == "cp" + PYTHON.minor.replace(".", "")
    run(PYTHON.path, root / "postinstall.py")
    code = "import one, sys; print(sys.prefix, one.VALUE)"
    done = run_hidden([root / "bin/python", "-c", code], hide=[orphan])
    assert done.stdout.strip() == f"{root} 1", done.stderr


def test_it_cannot_be_bundled(orphan: Path, tmp_path: Path) -> None:
    """A missing interpreter is one error, and so is bytecode that nothing can compile."""
    with pytest.raises(PackVenvError, match=r"the interpreter of .*/env is gone"):
        pack(orphan, tmp_path / "app", PackOptions())
    options = PackOptions.from_mapping({"interpreter": "target", "bytecode": "checked-hash"})
    with pytest.raises(PackVenvError, match=r"does not run on this machine and cannot compile"):
        pack(orphan, tmp_path / "app", options)


def test_its_machine_is_that_of_what_is_compiled(orphan: Path, tmp_path: Path) -> None:
    """The machine comes from compiled modules, and the ABI from their names."""
    assert PYTHON is not None
    elf = bytearray(make_elf())
    elf[18] = 183  # e_machine: AArch64
    digits = PYTHON.minor.replace(".", "")
    site = orphan / f"lib/python{PYTHON.minor}/site-packages"
    (site / f"fast.cpython-{digits}d-aarch64-linux-gnu.so").write_bytes(elf)
    path = create_archive(orphan, tmp_path / "app", format="tar", show_progress=False)
    head = json.loads(path.with_name("app.tar.json").read_text())["manifest"]
    assert head["platform"]["machine"] == "aarch64"
    assert head["python"]["abi"] == f"cp{digits}d"
    with tarfile.open(path) as tar:
        name = f"env/bin/python{PYTHON.minor}"
        assert tar.getmember(name).linkname == f"/of/another/machine/python{PYTHON.minor}"


@pytest.mark.parametrize("connected", [True, False])
def test_a_layer_is_linked_to_a_neighbour_by_its_name_on_the_target(
    orphan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, connected: bool
) -> None:
    """It need not exist yet, and without pyvenv.cfg venvstacks' own file gives the version."""
    assert PYTHON is not None
    name = f"python{PYTHON.minor}"
    python = orphan / "bin/python"
    python.unlink()
    python.symlink_to(f"../../cpython@3/bin/{name}")
    (orphan / "bin" / name).unlink()
    (orphan / "bin" / name).symlink_to("python")
    if not connected:
        (orphan / "pyvenv.cfg").unlink()
        (orphan / LAYER).parent.mkdir(parents=True)
        (orphan / LAYER).write_text(json.dumps({"py_version": f"{PYTHON.minor}.99"}))
    assert convert_symlinks(orphan)[1] == []
    path = create_archive(orphan, tmp_path / "app", format="tar", show_progress=False)
    exported = export_venv(orphan, tmp_path / "exported")
    assert caplog.messages == []
    with tarfile.open(path) as tar:
        assert tar.getmember("env/bin/python").linkname == f"../../cpython@3/bin/{name}"
    assert os.readlink(exported / "bin/python") == f"../../cpython@3/bin/{name}"
    version = manifest(exported)["python"]["version"]
    assert version == (PYTHON.version if connected else f"{PYTHON.minor}.99")


def test_what_is_no_interpreters_own_is_refused(tmp_path: Path) -> None:
    """A prefix without site-packages, or whose interpreter's home is elsewhere, is refused."""
    assert PYTHON is not None
    name = f"python{PYTHON.minor}"
    prefix = tmp_path / "usr"
    (prefix / "lib" / name).mkdir(parents=True)
    (prefix / "lib" / name / "os.py").write_text("")
    with pytest.raises(PackVenvError, match="is an interpreter without a site-packages folder"):
        pack(prefix, tmp_path / "app", PackOptions())
    (prefix / "lib" / name / "site-packages").mkdir()
    (prefix / "bin").mkdir()
    (prefix / "bin/python").symlink_to(PYTHON.path)
    with pytest.raises(PackVenvError, match=f"home is {PYTHON.prefix}:"):
        pack(prefix, tmp_path / "app", PackOptions())
