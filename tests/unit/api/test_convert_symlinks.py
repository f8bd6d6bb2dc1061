"""`convert_symlinks` beyond the conversion of single links (see test_link_cases.py for those)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest
from support.trees import Scene, links_below, read, tree_state

from hatch_pack_venv import PackVenvError, convert_symlinks
from hatch_pack_venv.model.errors import EnvironmentProblem, OutputProblem
from hatch_pack_venv.write import atomic as replacing


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make an environment with a link of each kind that can be converted."""
    scene = Scene.make(tmp_path)
    scene.link("a-inside", scene.env / "data/f")
    scene.link("b-file", scene.out / "f")
    scene.link("c-tree", scene.out / "d")
    scene.link("d-inside", scene.env / "data/sub")
    return scene


CONVERTED: Final = {"a-inside": "data/f", "d-inside": "data/sub"}


def leftovers(scene: Scene) -> list[Path]:
    return list(scene.root.rglob(".pack-venv-*"))


def test_it_returns_what_it_converted(scene: Scene) -> None:
    """Two lists of pairs: inside with the new text, outside with the real target; no others."""
    env, out = scene.env, scene.out
    (out / "alias").symlink_to("f")
    scene.link("b-file", out / "alias")
    assert convert_symlinks(env) == (
        [(env / name, Path(text)) for name, text in CONVERTED.items()],
        [
            (env / "b-file", out / "f"),
            (env / "bin/python3.11", scene.root / "base/python3.11"),
            (env / "c-tree", out / "d"),
        ],
    )
    kept = {"bin/python": "python3.11", "lib64": "lib"}
    assert links_below(env) == {**CONVERTED, **kept}
    assert leftovers(scene) == []


def test_nothing_but_links_is_touched(scene: Scene) -> None:
    """Other files in the environment and everything outside stay the same, except link counts."""
    before = tree_state(scene.root)
    convert_symlinks(scene.env)
    after = tree_state(scene.root)
    linked = {"out/f", "base/python3.11"}
    changed = {name for name in before if before[name] != after[name]} - linked
    folders = {"env", "env/bin"}
    links = {"env/a-inside", "env/b-file", "env/c-tree", "env/d-inside", "env/bin/python3.11"}
    assert changed == links | folders
    for name in linked:
        assert after[name][2] == 2
        assert (before[name][:2], before[name][3:]) == (after[name][:2], after[name][3:])


def test_a_containing_folder_is_the_boundary(scene: Scene) -> None:
    """Links to layers in it become relative, those that leave it do not."""
    stack = scene.root / "stack"
    stack.mkdir()
    for name in ("env", "base"):
        (scene.root / name).rename(stack / name)
    env = stack / "env"
    for name, text in {
        "a-inside": env / "data/f",
        "d-inside": env / "data/sub",
        "bin/python3.11": stack / "base/python3.11",
    }.items():
        (env / name).unlink()
        (env / name).symlink_to(text)
    (env / "up").symlink_to("..")
    relative, external = convert_symlinks(env, stack)
    assert dict(relative)[env / "bin/python3.11"] == Path("../../base/python3.11")
    assert [link.name for link, _ in external] == ["b-file", "c-tree"]
    assert os.readlink(env / "up") == ".."
    moved = scene.root / "moved"
    stack.rename(moved)
    assert read(moved / "env/bin/python") == b"\x7fELF interpreter"


def test_the_containing_folder_may_be_the_environment_or_an_alias(scene: Scene) -> None:
    """The folders' real paths are compared."""
    (scene.root / "alias").symlink_to(".")
    convert_symlinks(scene.env, scene.root / "alias")
    assert os.readlink(scene.env / "b-file") == "../out/f"
    assert convert_symlinks(scene.env, scene.env)[0] == []


@pytest.mark.parametrize("name", ["out", "env2", "env/data", "none", "env/../out"])
def test_a_folder_that_does_not_contain_it_is_refused(scene: Scene, name: str) -> None:
    """Anything but a parent is a ValueError of ours that names both; nothing has changed."""
    before = tree_state(scene.root)
    with pytest.raises(ValueError, match="is not inside") as caught:
        convert_symlinks(scene.env, scene.root / name)
    assert isinstance(caught.value, PackVenvError)
    assert str(scene.env) in str(caught.value)
    assert tree_state(scene.root) == before


@pytest.mark.parametrize("name", ["none", "f"])
def test_what_is_no_folder_is_refused(scene: Scene, name: str) -> None:
    """A missing folder or a file gives a one-sentence error."""
    with pytest.raises(EnvironmentProblem, match="there is no environment at"):
        convert_symlinks(scene.root / name)


def test_relative_and_string_paths_are_taken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs are absolute whatever was given; an alias of the environment keeps its name."""
    monkeypatch.chdir(scene.root)
    (scene.root / "alias").symlink_to("env")
    relative, _ = convert_symlinks("alias", ".")
    assert relative[0] == (scene.root / "alias/a-inside", Path("data/f"))


@pytest.mark.parametrize("failing", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["before", "after"])
def test_if_one_link_cannot_be_replaced_none_is(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    failing: int,
    error: BaseException,
    step: str,
) -> None:
    """After an error or Ctrl-C just before or after any replacement, every link is still there."""
    before = links_below(scene.env)
    content = read(scene.out)
    calls = []
    put_in_place = replacing.put_in_place

    def fail(new: Path, link: Path) -> None:
        calls.append(link)
        if step == "after":
            put_in_place(new, link)
        if len(calls) == failing:
            raise error
        if step == "before":
            put_in_place(new, link)

    monkeypatch.setattr(replacing, "put_in_place", fail)
    kind = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputProblem
    with pytest.raises(kind):
        convert_symlinks(scene.env)
    assert len(calls) == failing
    assert links_below(scene.env) == before
    assert read(scene.out) == content
    assert leftovers(scene) == []


def test_a_folder_takes_a_links_place_in_one_step(scene: Scene) -> None:
    """At every moment either the link or the tree is there, never nothing."""
    new, link = scene.root / "new", scene.env / "c-tree"
    shutil.copytree(scene.out / "d", new)
    assert replacing.exchange(new, link), "this file system cannot exchange two names"
    assert os.readlink(new) == str(scene.out / "d")
    assert not link.is_symlink()
    assert not replacing.exchange(new, scene.root / "none")


def test_it_works_where_nothing_can_be_exchanged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other systems a folder takes a link's place in two steps, and the result is the same."""
    monkeypatch.setattr(replacing, "exchange", lambda *_: False)
    content = read(scene.env / "c-tree")
    convert_symlinks(scene.env)
    assert not (scene.env / "c-tree").is_symlink()
    assert read(scene.env / "c-tree") == content
    assert leftovers(scene) == []
