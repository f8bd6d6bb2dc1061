"""The other paths by which an environment's scripts name it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE
from support.trees import Scene

from hatch_pack_venv.scan.build_paths import prefix_aliases

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make an environment that is also reached through a link, with a space in its name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "al ias").symlink_to("real")
    return Scene.make(tmp_path / "real")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tool", "#!{}/bin/python3.11\nimport sys\n"),
        ("tool", "#! {}/bin/python -I\n"),
        ("tool", "#!/bin/sh\n'''exec' \"{}/bin/python\" \"$0\" \"$@\"\n' '''\n"),
        ("tool", "#!/bin/sh\n'''exec' {}/bin/python3 \"$0\" \"$@\"\n' '''\n"),
        ("activate", '# comment\n    VIRTUAL_ENV="{}"\nexport VIRTUAL_ENV\n'),
        ("activate", "# comment\nVIRTUAL_ENV='{}'\n"),
        ("activate", "# comment\n" * 200 + "export VIRTUAL_ENV={}\n"),
    ],
)
def test_scripts_tell_the_path_of_creation(scene: Scene, name: str, content: str) -> None:
    """Launchers in every form and activation scripts are read for the paths they hold."""
    other = scene.root.parent / "al ias/env"
    (scene.env / "bin" / name).write_text(content.format(other))
    assert prefix_aliases(scene.env, "bin") == (str(other),)


@pytest.mark.parametrize(
    "line", ["#!/usr/bin/python3\n", "#!{real}/bin/python\n", "#!{out}/bin/python\n", "#!/bin/sh\n"]
)
def test_other_places_are_no_spellings(scene: Scene, line: str) -> None:
    """The real path needs no alias; a path that leads elsewhere or nowhere is not one."""
    text = line.format(real=scene.env, out=scene.root / "env2")
    (scene.env / "bin/tool").write_text(text)
    (scene.env / "bin/binary").write_bytes(b"\x7fELF\0VIRTUAL_ENV=/x" + os.urandom(99))
    assert prefix_aliases(scene.env, "bin") == ()


def test_what_is_packed_knows_them(scene: Scene) -> None:
    """Launchers and path files that name the environment by a third path are relocated."""
    other = scene.root.parent / "al ias/env"
    (scene.env / "bin/tool").write_text(f"#!{other}/bin/python\nimport sys\n")
    (scene.env / "bin/tool").chmod(0o755)
    (scene.env / SITE / "own.pth").write_text(f"{other}/{SITE}/vendored\n")
    unpacked = scene.unpack(scene.pack("tar", external_links=False))
    assert (unpacked / SITE / "own.pth").read_text() == "vendored\n"
    script = (unpacked / "bin/tool").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert str(other) not in script
