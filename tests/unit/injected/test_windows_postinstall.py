"""The post-install script on trees with the Windows layout, which the manifest states."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from support.windows import make_base

from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.injected.postinstall import ConnectError, Copy, Tree
from hatch_pack_venv.model import manifest

if TYPE_CHECKING:
    from pathlib import Path


def make_tree(prefix: Path, *, abi: str = "cp312", bundled: bool = False) -> Tree:
    """Return an unpacked Windows environment, as its manifest describes it."""
    minor = f"3.{abi.removeprefix('cp3').rstrip('t')}"
    head = {
        "format_version": 1,
        "interpreter": "bundled" if bundled else "target",
        "name": "app",
        "python": {
            "version": f"{minor}.4",
            "implementation": "cpython",
            "abi": abi,
            "pointer_bits": 64,
        },
        "platform": {"system": "win32", "machine": "amd64"},
        "layout": {
            "scripts": "Scripts",
            "site_packages": ["Lib/site-packages"],
            "include_system_site_packages": False,
            "prompt": None,
        },
    }
    path = prefix / manifest.ARCNAME
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(head))
    return postinstall.parse_manifest(path.read_bytes(), str(prefix))


def connect(tree: Tree, base: Path) -> None:
    """Connect as the script does once the base interpreter has reported its facts."""
    postinstall.write(tree, postinstall.pieces(tree, str(base / "python.exe"), "3.12.4"))


@pytest.mark.parametrize(
    ("minor", "sources"),
    [
        ("3.12", {"python.exe": "python.exe", "pythonw.exe": "pythonw.exe"}),
        ("3.13", {"python.exe": "venvlauncher.exe", "pythonw.exe": "venvwlauncher.exe"}),
    ],
)
def test_redirectors_are_copied_and_home_is_written(
    tmp_path: Path, minor: str, sources: dict[str, str]
) -> None:
    """The environment gets what that version's venv copies, and pyvenv.cfg names the base."""
    base = make_base(tmp_path / "base", minor=minor)
    for name in sources.values():  # to tell them apart
        path = base / "Lib/venv/scripts/nt" / name
        path.write_bytes(path.read_bytes() + name.encode())
    tree = make_tree(tmp_path / "app", abi=f"cp{minor.replace('.', '')}")
    connect(tree, base)
    scripts = tmp_path / "app/Scripts"
    assert {path.name for path in scripts.iterdir()} == sources.keys()
    for name, source in sources.items():
        expected = (base / "Lib/venv/scripts/nt" / source).read_bytes()
        assert (scripts / name).read_bytes() == expected
        assert not (scripts / name).is_symlink()
    config = (tmp_path / "app/pyvenv.cfg").read_text()
    assert f"home = {base}\n" in config
    assert f"executable = {base / 'python.exe'}\n" in config
    assert list(postinstall.findings(tree)) == []


def test_a_free_threaded_base_has_redirectors_of_its_own(tmp_path: Path) -> None:
    """`python3.13t.exe` is created next to `python.exe`, as venv does."""
    tree = make_tree(tmp_path / "app", abi="cp313t")
    todo = postinstall.pieces(tree, "/base/python3.13t.exe", "3.13.0")
    made = {path.rpartition("/")[2]: content for path, content in todo.items()}
    folder = "/base/Lib/venv/scripts/nt"
    assert {name: content for name, content in made.items() if name != "pyvenv.cfg"} == {
        "python.exe": Copy(f"{folder}/venvlaunchert.exe"),
        "python3.13t.exe": Copy(f"{folder}/venvlaunchert.exe"),
        "pythonw.exe": Copy(f"{folder}/venvwlaunchert.exe"),
        "pythonw3.13t.exe": Copy(f"{folder}/venvwlaunchert.exe"),
    }
    assert list(todo)[-1].endswith("/Scripts/python.exe")


def test_a_second_run_with_another_base_connects_again(tmp_path: Path) -> None:
    """Nothing is left of the first; a run that changes nothing writes nothing."""
    tree = make_tree(tmp_path / "app")
    first, second = make_base(tmp_path / "first"), make_base(tmp_path / "second")
    connect(tree, first)
    config = tmp_path / "app/pyvenv.cfg"
    before = config.stat().st_ino
    connect(tree, first)
    assert config.stat().st_ino == before
    connect(tree, second)
    assert str(first) not in config.read_text()
    assert list(postinstall.findings(tree)) == []


def test_a_base_without_redirectors_is_told_of_before_anything_is_written(tmp_path: Path) -> None:
    """An embeddable package has no `venv`; the environment stays as it was."""
    tree = make_tree(tmp_path / "app")
    (tmp_path / "embeddable").mkdir()
    with pytest.raises(ConnectError, match=r"has no .*pythonw\.exe.* to copy"):
        connect(tree, tmp_path / "embeddable")
    assert not (tmp_path / "app/pyvenv.cfg").exists()
    assert not (tmp_path / "app/Scripts").exists()


def test_what_is_wrong_with_a_connection_is_told(tmp_path: Path) -> None:
    """A changed redirector, a base that has gone, and no connection at all."""
    tree = make_tree(tmp_path / "app")
    (first, *_) = postinstall.findings(tree)
    assert first.startswith("The environment is not connected: run it with py -3.12: py -3.12 ")
    base = make_base(tmp_path / "base")
    connect(tree, base)
    python = tmp_path / "app/Scripts/python.exe"
    python.write_bytes(b"MZ")
    (changed,) = postinstall.findings(tree)
    assert changed.startswith(f"{str(python)!r} is not as it should be here")
    connect(tree, base)
    base.rename(tmp_path / "gone")
    (gone,) = postinstall.findings(tree)
    assert gone.startswith(f"The interpreter {str(base / 'python.exe')!r} of the environment is")


def test_the_interpreter_of_a_bundle_lies_in_its_root(tmp_path: Path) -> None:
    """A bundle runs with its own `python.exe`, a connected environment with the redirector."""
    bundle = make_tree(tmp_path / "one", bundled=True)
    assert bundle.python == str(tmp_path / "one/python.exe")
    assert make_tree(tmp_path / "two").python == str(tmp_path / "two/Scripts/python.exe")


def test_a_redirector_that_runs_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows does not replace a running program; the message names it and says what to do."""

    class InUseError(PermissionError):
        winerror = 5

    def replace(source: str, target: str) -> None:
        if target.endswith("python.exe"):
            raise InUseError(13, "Access is denied", source, None, target)
        os.rename(source, target)

    tree = make_tree(tmp_path / "app")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(ConnectError, match=r"holds 'python\.exe' in use: end what runs from there"):
        connect(tree, make_base(tmp_path / "base"))
    assert [path.name for path in (tmp_path / "app/Scripts").iterdir()] == ["pythonw.exe"]


def test_a_python_of_another_system_is_refused(tmp_path: Path) -> None:
    """On this machine the script says that the archive is for Windows."""
    tree = make_tree(tmp_path / "app")
    wrong = postinstall.misfits(tree, postinstall.own_facts(), "python")
    assert "The archive needs the system win32, but 'python' has the system linux." in wrong


def test_the_machine_is_that_of_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 32-bit Python on 64-bit Windows has the machine `win32`, and AMD64 matches `amd64`."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "win32")
    assert postinstall.own_machine() == "win32"
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "win-arm64")
    assert postinstall.own_machine() == "arm64"
    assert postinstall.fits("machine", "amd64", "AMD64")
    assert not postinstall.fits("machine", "win32", "amd64")


FACTS = {
    "implementation": "cpython",
    "version": "3.12.4",
    "abi": "cp312",
    "pointer_bits": 64,
    "system": "win32",
    "machine": "AMD64",
    "glibc": "",
    "stdlib": "",
    "path": [],
}


def test_connecting_ends_by_asking_the_redirector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is asked before anything is written, the environment's own Python at the end."""
    tree = make_tree(tmp_path / "app")
    base = make_base(tmp_path / "base")
    asked: list[str] = []

    def ask(python: str) -> dict[str, object]:
        asked.append(python)
        assert (tmp_path / "app/pyvenv.cfg").exists() == (len(asked) > 1)
        return {**FACTS, "prefix": str(tmp_path / "app")}

    monkeypatch.setattr(postinstall, "find_base", lambda _: str(base / "python.exe"))
    monkeypatch.setattr(postinstall, "ask", ask)
    told = postinstall.connect(tree)
    assert told == f"connected app to {base / 'python.exe'} (3.12.4)"
    assert asked == [str(base / "python.exe"), str(tmp_path / "app/Scripts/python.exe")]
    assert postinstall.check(tree) == "app is connected and runs with Python 3.12.4"


def test_a_base_of_another_kind_is_refused_with_the_command_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each misfit is a sentence; the last says what to type on Windows. Nothing is written."""
    tree = make_tree(tmp_path / "my app", abi="cp313t")
    monkeypatch.setattr(postinstall, "find_base", lambda _: "C:\\Python312\\python.exe")
    monkeypatch.setattr(postinstall, "ask", lambda _: {**FACTS, "prefix": ""})
    with pytest.raises(ConnectError) as caught:
        postinstall.connect(tree)
    version, abi, way_out = caught.value.args
    assert "needs Python 3.13, but" in version
    assert "needs the ABI cp313t, but" in abi
    script = tmp_path / "my app/postinstall.py"
    assert way_out == f'To connect it, run it with py -3.13t: py -3.13t "{script}"'
    assert not (tmp_path / "my app/pyvenv.cfg").exists()


@pytest.mark.parametrize("bundled", [True, False])
def test_byte_code_is_compiled_by_the_environments_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: bool
) -> None:
    """A bundle compiles its library as well; nothing else is done for it."""
    prefix = tmp_path / "app"
    tree = make_tree(prefix, bundled=bundled)
    (prefix / "Lib/site-packages").mkdir(parents=True)
    facts = {**FACTS, "prefix": str(prefix), "stdlib": str(prefix / "Lib")}
    monkeypatch.setattr(postinstall, "ask", lambda _: facts)
    commands: list[list[str]] = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, b"null\n", b"")

    monkeypatch.setattr(subprocess, "run", answer)
    assert postinstall.byte_compile(tree) is None
    (command,) = commands
    folders = [str(prefix / "Lib")] if bundled else []
    assert command[0] == str(prefix / ("python.exe" if bundled else "Scripts/python.exe"))
    assert command[-len(folders) - 1 :] == [*folders, str(prefix / "Lib/site-packages")]
