"""Bundles for Windows: what they contain of the interpreter, and what cannot be bundled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.binaries import small_pe
from support.trees import tree_state
from support.windows import MANIFEST, SITE, facts, make_base, make_environment, one, options

from hatch_pack_venv import pack
from hatch_pack_venv.api.pack import preview_pack
from hatch_pack_venv.model.components import NOTICES, SBOM
from hatch_pack_venv.model.errors import InterpreterProblem, PlanError


def expected_runtime(trim: str) -> set[str]:
    """Return what a bundle contains of the interpreter that `make_base` lays out."""
    names = {
        *("python.exe", "pythonw.exe", "python3.dll", "python312.dll"),
        *("vcruntime140.dll", "vcruntime140_1.dll", "share/licenses/python/LICENSE.txt"),
        *(f"DLLs/{name}" for name in ("_ssl.pyd", "libcrypto-3.dll", "py.ico", "unicodedata.pyd")),
        *(f"Lib/{name}.py" for name in ("json/__init__", "os", "site", "sysconfig")),
        *(f"Lib/venv/scripts/nt/{name}.exe" for name in ("python", "pythonw")),
        "Lib/LICENSE.txt",
        f"{SITE}/000-pack-venv.pth",
    }
    if trim != "minimal":
        names |= {f"DLLs/{name}" for name in ("_tkinter.pyd", "tcl86t.dll", "tk86t.dll")}
        names |= {"Lib/ensurepip/__init__.py", "Lib/tkinter/__init__.py", "tcl/tcl8.6/init.tcl"}
    if trim == "none":
        names |= {"DLLs/_testcapi.pyd", "Lib/idlelib/__init__.py", "Lib/test/test_os.py"}
        names |= {"Include/Python.h", "libs/python312.lib"}
    return names


@pytest.mark.parametrize("trim", ["none", "default", "minimal"])
@pytest.mark.parametrize("kind", ["python.org", "python-build-standalone"])
def test_a_bundle_is_an_installation_of_its_own(tmp_path: Path, kind: str, trim: str) -> None:
    """`python.exe` is in the root, next to its libraries; no `pyvenv.cfg` misleads `site`."""
    base = make_base(tmp_path / "base", kind=kind)
    prefix = make_environment(tmp_path / "env", home=base, by="uv")
    before = tree_state(base)
    files = one(pack(prefix, tmp_path / "app", options(interpreter_trim=trim)))
    assert tree_state(base) == before
    own = {
        MANIFEST,
        SBOM,
        NOTICES,
        "postinstall.py",
        *(n for n in files if n.startswith("Scripts/")),
    }
    assert files.keys() - own == expected_runtime(trim)
    for name in ("python.exe", "DLLs/_ssl.pyd", "Lib/os.py"):
        assert files[name] == (base / name).read_bytes()
    assert facts(files)["bundle"]["trim"] == trim


@pytest.mark.parametrize("free", [True, False])
def test_of_two_builds_in_one_folder_the_environments_is_bundled(
    tmp_path: Path, free: bool
) -> None:
    """If both builds share a folder, as python.org's do, the right one becomes `python.exe`."""
    base = make_base(tmp_path / "base", minor="3.13")
    names = ("python3.13t.exe", "pythonw3.13t.exe", "python313t.dll", "python3t.dll")
    tagged = "DLLs/_ssl.cp313t-win_amd64.pyd"
    for name in (*names, tagged):
        (base / name).write_bytes(small_pe(tail=b"free"))
    prefix = make_environment(tmp_path / "env", home=base)
    (prefix / "pyvenv.cfg").write_text(f"home = {base}\nversion = 3.13.0\n")
    if free:
        (prefix / "Scripts/python3.13t.exe").write_bytes(small_pe())
    files = one(pack(prefix, tmp_path / "app", options()))
    assert files["python.exe"].endswith(b"free") is free
    assert files["pythonw.exe"].endswith(b"free") is free
    assert facts(files)["python"]["abi"] == ("cp313t" if free else "cp313")
    of_build = {*names, tagged} if free else {"python3.dll", "python313.dll", "DLLs/_ssl.pyd"}
    of_other = {"python3.dll", "python313.dll", "DLLs/_ssl.pyd"} if free else {*names, tagged}
    assert of_build <= files.keys()
    assert not of_other & files.keys()
    assert "DLLs/unicodedata.pyd" in files


def test_the_bases_packages_come_along_where_they_are_seen(tmp_path: Path) -> None:
    """PEP 405's `include-system-site-packages` means the base's `Lib/site-packages`."""
    base = make_base(tmp_path / "base")
    prefix = make_environment(tmp_path / "env", home=base)
    config = prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    (base / SITE / "here.pth").write_text("D:\\work\n")
    (base / SITE / "fine.pth").write_text("pip\\x\n")
    files = one(pack(prefix, tmp_path / "app", options()))
    assert f"{SITE}/pip/__init__.py" in files
    assert f"{SITE}/fine.pth" in files
    assert f"{SITE}/here.pth" not in files
    assert f"{SITE}/000-pack-venv.pth" not in files


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("python.exe", "is not on this machine"),
        ("Lib/os.py", "does not contain its standard library"),
        ("python312.dll", "there is no python312.dll next to python.exe"),
    ],
)
def test_what_cannot_be_bundled_is_told(tmp_path: Path, missing: str, message: str) -> None:
    """A missing interpreter, an embeddable package and half an installation are reported."""
    base = make_base(tmp_path / "base")
    (base / missing).unlink()
    prefix = make_environment(tmp_path / "env", home=base)
    with pytest.raises(InterpreterProblem, match=message):
        pack(prefix, tmp_path / "app", options())
    assert not list(tmp_path.glob("app*"))
    pack(prefix, tmp_path / "app", options(interpreter="target"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"bytecode": "checked-hash"}, 'set bytecode = "none", or pack on Windows'),
        (
            {"interpreter": "/opt/python/bin/python3.12", "format": "tar"},
            "link to an interpreter at a fixed",
        ),
    ],
)
def test_what_needs_another_system_is_refused(
    tmp_path: Path, table: dict[str, str], message: str
) -> None:
    """Nothing here compiles for Windows, and a promised POSIX path means nothing there."""
    prefix = make_environment(tmp_path / "env")
    with pytest.raises(InterpreterProblem, match=message):
        pack(prefix, tmp_path / "app", options(**table))


def test_a_bundle_that_collides_with_the_environment_is_an_error(tmp_path: Path) -> None:
    """The environment's `lib` and the interpreter's `Lib` are one folder on Windows."""
    prefix = make_environment(tmp_path / "env", home=make_base(tmp_path / "base"))
    (prefix / "lib").mkdir()
    (prefix / "lib/x.txt").touch()
    with pytest.raises(PlanError, match="Lib and lib are the same name on Windows"):
        pack(prefix, tmp_path / "app", options())


def test_the_users_packages_stay_out_of_a_bundle(tmp_path: Path, base: Path) -> None:
    """The `.pth` file removes what `site` has put ahead of the archive's own packages."""
    prefix = make_environment(tmp_path / "env", home=base)
    files = one(pack(prefix, tmp_path / "app", options()))
    site = tmp_path / "site"
    site.mkdir()
    (site / "000-pack-venv.pth").write_bytes(files[f"{SITE}/000-pack-venv.pth"])
    user = subprocess.run(
        [sys.executable, "-m", "site", "--user-site"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONUSERBASE": str(tmp_path / "user")},
    ).stdout.strip()
    code = (
        "import site, sys; site.main(); before = site.USER_SITE in sys.path;"
        f" site.addsitedir({str(site)!r}); print(before, site.USER_SITE in sys.path)"
    )
    Path(user).mkdir(parents=True)
    base_python = os.path.realpath(sys.executable)  # in an environment there is no user site
    done = subprocess.run(
        [base_python, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONUSERBASE": str(tmp_path / "user")},
    )
    assert done.stdout == "True False\n", done.stderr


def test_a_preview_tells_the_interpreters_files_apart(tmp_path: Path, base: Path) -> None:
    """What a bundle adds belongs to the interpreter; its names in `Scripts` are left out."""
    prefix = make_environment(tmp_path / "env", home=base, by="virtualenv")
    found = preview_pack(prefix, options()).to_dict()
    why = {
        step["path"]: step["why"]
        for steps in found.values()
        if isinstance(steps, list)
        for step in steps
        if isinstance(step, dict) and "why" in step
    }
    of_interpreter = "part of the interpreter, or needed by it"
    assert why["python312.dll"] == why["DLLs/_ssl.pyd"] == of_interpreter
    assert why["Scripts/python3.exe"] == "a name that the interpreter takes"
    assert why["Scripts/activate.xsh"] == "an activation script for this location"
