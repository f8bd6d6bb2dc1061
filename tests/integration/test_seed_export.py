"""The seed API's exports: what archives hold, with copies where no link can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

import pytest
from support.archives import contents, packed

from hatch_pack_venv import export_venv
from hatch_pack_venv.api import venvstacks as seed

if TYPE_CHECKING:
    from pathlib import Path

    from support.interpreters import Python


def exported_names(root: Path) -> set[str]:
    return {str(path.relative_to(root.parent)) for path in root.rglob("*")}


def test_an_export_is_what_an_archive_holds(source: Path) -> None:
    """The same names, kinds, modes, link texts and bytes, in a folder of another name."""
    found = contents(packed(source, "tar"))
    target = source.parents[1] / "exported"
    assert export_venv(source, target) == target
    here = {f"env/{path.relative_to(target)}": path for path in target.rglob("*")}
    assert here.keys() == found.keys() - {"env"}
    for name, path in here.items():
        each = found[name]
        if each.kind == "link":
            assert os.readlink(path) == each.link
            continue
        assert path.is_dir() == (each.kind == "folder")
        assert path.stat().st_mode & 0o7777 == each.mode
        assert int(path.stat().st_mtime) == each.mtime
        assert path.is_dir() or path.read_bytes() == each.content
        assert path.is_dir() or path.stat().st_nlink == 1


def test_an_export_returns_the_absolute_path(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path and a string are taken."""
    monkeypatch.chdir(source.parent)
    assert export_venv("env", "there/exported") == source.parent / "there/exported"


def test_the_post_install_script_is_only_run_by_the_caller(source: Path) -> None:
    """It is called with an executable Python and the script, and not run otherwise."""
    calls: list[tuple[Path, Path]] = []
    target = source.parents[1] / "exported"
    export_venv(source, target, lambda python, script: calls.append((python, script)))
    assert calls == [(target / "bin/python", target / "postinstall.py")]
    ((python, script),) = calls
    assert python.is_symlink()
    assert os.path.realpath(python) == os.path.realpath(source / "bin/python")
    assert os.access(python, os.X_OK)
    assert script.is_file()
    assert not (target / "pyvenv.cfg").exists()


def test_what_the_caller_raises_comes_through(source: Path) -> None:
    """An error in `run_postinstall` is raised unchanged, and the export is kept."""
    target = source.parents[1] / "exported"

    def fail(_python: Path, _script: Path) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        export_venv(source, target, fail)
    assert (target / "postinstall.py").is_file()


def check_copies(target: Path, python: Python) -> None:
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert (target / "share/inner").read_text() == "data\n"
    assert (target / "share/outer").read_text() == "outside\n"
    assert (target / "bin/python").read_bytes() == python.path.read_bytes()
    assert os.access(target / "bin/python", os.X_OK)


def test_an_export_holds_copies_where_no_link_can_be_made(
    source: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, where making a link is an error (EPERM)."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    target = source.parents[1] / "exported"
    export_venv(source, target)
    check_copies(target, python)


# Forbids this process to make symbolic links, then exports. See landlock(7): MAKE_SYM is bit 12;
# REFER, bit 13, would be forbidden too if it were not allowed for all below the root.
WITHOUT_LINKS: Final = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
ruleset = libc.syscall(444, struct.pack("Q", 3 << 12), 8, 0)
if ruleset < 0:
    sys.exit(77)
rule = struct.pack("=Qi", 1 << 13, os.open("/", os.O_PATH))
assert libc.syscall(445, ruleset, 1, rule, 0) == 0
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(446, ruleset, 0) == 0
from hatch_pack_venv import export_venv
export_venv(sys.argv[1], sys.argv[2])
"""


def test_an_export_holds_copies_where_the_kernel_refuses_links(
    source: Path, python: Python
) -> None:
    """The same with a kernel that really refuses to make links."""
    target = source.parents[1] / "exported"
    command: list[str | Path] = [sys.executable, "-c", WITHOUT_LINKS, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no Landlock; the test before this one stands for it")
    assert done.returncode == 0, done.stderr
    check_copies(target, python)


def test_an_export_on_windows_holds_copies(
    source: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are not even tried there."""
    monkeypatch.setattr(seed, "os", SimpleNamespace(name="nt", path=os.path))
    target = source.parents[1] / "exported"
    export_venv(source, target)
    check_copies(target, python)
