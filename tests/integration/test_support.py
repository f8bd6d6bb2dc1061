"""The tests' own helpers do what they claim with trees, namespaces and environments."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from support import hiding
from support.environments import TOOLS, make_environment, run
from support.interpreters import SUPPORTED, Python, find_pythons, missing, newest_of_each
from support.machine import needs
from support.projects import PROJECTS, copy_project
from support.trees import tree_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

hides = needs("namespaces")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a folder with a file, a link and a folder below it."""
    root = tmp_path / "tree"
    (root / "inner").mkdir(parents=True)
    (root / "file").write_text("text")
    (root / ".hidden").write_text("text")
    (root / "link").symlink_to("file")
    return root


def keep_time(path: Path, change: Callable[[], object]) -> None:
    """Change something and put the time of modification back."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def relink(root: Path) -> None:
    before = (root / "link").lstat().st_mtime_ns
    (root / "link").unlink()
    (root / "link").symlink_to("fil2")
    os.utime(root / "link", ns=(before, before), follow_symlinks=False)


CHANGES: dict[str, Callable[[Path], object]] = {
    "byte": lambda root: keep_time(root / "file", lambda: (root / "file").write_text("test")),
    "mode": lambda root: (root / "file").chmod(0o600),
    "mtime": lambda root: os.utime(root / "file", ns=(1, 1)),
    "folder's mtime": lambda root: os.utime(root / "inner", ns=(1, 1)),
    "link text": lambda root: keep_time(root, lambda: relink(root)),
    "link count": lambda root: os.link(root / "file", root.parent / "second"),
    "name": lambda root: keep_time(root, lambda: (root / "file").rename(root / "file2")),
    "new folder": lambda root: (root / "new").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_tree_state_sees_each_kind_of_change(tree: Path, change: Callable[[Path], None]) -> None:
    """Reading changes nothing; a change of any one fact does."""
    before = tree_state(tree)
    assert tree_state(tree) == before
    change(tree)
    assert tree_state(tree) != before


@hides
def test_hidden_folders_are_empty_and_the_originals_stay(tree: Path, tmp_path: Path) -> None:
    """The command sees nothing, by the folder's own name or a link's; outside nothing changes."""
    alias = tmp_path / "alias"
    alias.symlink_to(tree)
    before = tree_state(tree)
    for name in (tree, alias):
        done = hiding.run_hidden(["ls", "-A", f"{name}/"], hide=[name])
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    missing_file = hiding.run_hidden(["cat", tree / "file"], hide=[tree])
    assert missing_file.returncode != 0
    assert tree_state(tree) == before


@hides
def test_any_path_can_be_hidden(tmp_path: Path) -> None:
    """Names with characters that are special to a shell are taken literally."""
    folders = [tmp_path / name for name in ("sp ace", "é", "-n", "q'uo\"te $HOME `x` *", "a/b")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").touch()
    words = ["ls", "-A", *(f"{folder}/" for folder in folders)]
    done = hiding.run_hidden(words, hide=[*folders, tmp_path / "a"])
    assert "file" not in done.stdout
    assert done.stdout.count(str(tmp_path)) >= len(folders) - 1


@hides
def test_a_folder_in_a_hidden_one_is_gone_and_its_neighbour_is_not(tree: Path) -> None:
    """Only what was named is hidden."""
    (tree / "inner" / "file").touch()
    done = hiding.run_hidden(["ls", "-A", tree], hide=[tree / "inner"])
    assert done.stdout.split() == [".hidden", "file", "inner", "link"]
    assert hiding.run_hidden(["ls", tree / "inner"], hide=[tree]).returncode != 0


@hides
def test_a_read_only_folder_takes_no_file(tree: Path) -> None:
    """Not even from root."""
    done = hiding.run_hidden(["touch", tree / "new"], hide=[], read_only=[tree])
    assert done.returncode != 0
    assert not (tree / "new").exists()


@hides
def test_the_command_gets_its_folder_variables_and_exit_code(tree: Path) -> None:
    """Arguments, variables, the folder and the exit code are passed on unchanged."""
    script = 'printf %s "$PWD|$ONE|$1" && exit 7'
    variables = {"PATH": os.defpath, "ONE": "a b"}
    words = ["sh", "-c", script, "sh", "c 'd' $e"]
    done = hiding.run_hidden(words, hide=[tree / "inner"], cwd=tree, env=variables)
    assert (done.returncode, done.stdout) == (7, f"{tree}|a b|c 'd' $e")


@hides
def test_a_base_interpreter_can_be_hidden(tmp_path: Path) -> None:
    """An interpreter does not start if its folder is hidden."""
    python = Python(version="", path=tmp_path / "base/bin/python3")
    python.path.parent.mkdir(parents=True)
    python.path.symlink_to(sys.executable)
    assert run(python.path, "-c", "print('alive')").strip() == "alive"
    done = hiding.run_hidden(["sh", "-c", '"$0"', python.path], hide=[python.prefix])
    assert done.returncode == 127


def test_interpreters_are_real_ones() -> None:
    """The running one is among them; each is the executable itself, and once."""
    pythons = find_pythons()
    assert os.path.realpath(sys.executable) in {str(python.path) for python in pythons}
    assert len({python.path for python in pythons}) == len(pythons)
    for python in pythons:
        assert python.path == python.path.resolve()
        assert run(python.path, "--version").split()[1].startswith(python.version)
    assert {python.minor for python in newest_of_each()} | {*missing()} == {*SUPPORTED}


@pytest.mark.network
@pytest.mark.parametrize("by", TOOLS)
def test_each_tool_makes_an_environment_that_runs(by: str, tmp_path: Path) -> None:
    """It uses the requested interpreter and has the requested packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    python = Python(version=version, path=type(tmp_path)(os.path.realpath(sys.executable)))
    environment = make_environment(tmp_path / "env", python, ["markupsafe"], by=by)
    code = "import json, sys, markupsafe; print(json.dumps([sys.prefix, sys.base_prefix]))"
    prefixes = json.loads(run(environment / "bin/python", "-B", "-c", code))
    assert prefixes == [str(environment), str(python.prefix)]
    copied = "copies" in by
    assert (environment / "bin/python").is_symlink() is not copied


@pytest.mark.parametrize("name", sorted(p.name for p in PROJECTS.iterdir() if p.is_dir()))
def test_projects_are_copied_without_what_was_made_in_them(name: str, tmp_path: Path) -> None:
    """The copy is complete and holds neither environments nor builds."""
    copy = copy_project(name, tmp_path / "copy")
    assert {copy, *copy.iterdir()} & {path.parent for path in copy.rglob("pyproject.toml")}
    assert not {"dist", "dist-venv", ".venv"} & set(os.listdir(copy))
