"""Layers: archives unpacked side by side, with the originals hidden, run, moved and run again."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support import hiding
from support.environments import run, tool
from support.interpreters import bundlable
from support.layered import LAYERS, Layered, make_layered, variables

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(hiding.namespace() is None, reason="mount namespaces are not allowed here"),
    pytest.mark.skipif(not bundlable(), reason="no CPython built with --enable-shared was found"),
]
UPPER = ("framework", "forecast", "survey")


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory, plugin_wheels: Path) -> Layered:
    """Build the test project once, from the bottom up."""
    folder = tmp_path_factory.mktemp("layered")
    made = make_layered(folder / "project", bundlable()[-1])
    env = variables(plugin_wheels, folder / "hatch")
    for name in LAYERS:
        made.build(name, env)
    return made


@pytest.fixture(scope="module")
def side(layered: Layered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack all archives side by side and connect them."""
    folder = layered.unpack(tmp_path_factory.mktemp("target") / "first place")
    for name in UPPER:
        status, said = layered.postinstall(folder, name, "--no-compile")
        assert status == 0, said
    return folder


def head_of(archive: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(archive.with_name(f"{archive.name}.json").read_text())
    return head


def test_the_applications_run_and_again_after_all_was_moved(
    layered: Layered, side: Path, tmp_path: Path
) -> None:
    """Both run where they were unpacked, and elsewhere after a second run of postinstall.py."""
    moved = tmp_path / "deep er/Zwei é"
    shutil.copytree(side, moved, symlinks=True)
    for name in UPPER:
        status, said = layered.postinstall(moved, name, "--check")
        assert status == 1
        assert "is not as it should be here" in said
        status, said = layered.postinstall(moved, name, "--no-compile")
        assert status == 0, said
        assert layered.postinstall(moved, name, "--check")[0] == 0
    for place in (side, moved):
        forecast = layered.facts(place, "forecast")
        assert forecast["next"] == 9
        assert forecast["prefix"] == str(place / "forecast")
        assert forecast["base_prefix"] == str(place / "cpython")
        assert forecast["numpy"].startswith(f"{place}/framework/")
        assert forecast["own"].startswith(f"{place}/forecast/")
        assert all(folder.startswith(f"{place}/") for folder in forecast["path"] if folder)
        survey = layered.facts(place, "survey")
        assert survey["count"] == 42
        assert survey["loaded"] == [f"{place}/framework/share/venv/dynlib/libcounting.so.1"] or (
            survey["loaded"]
            and all(each.startswith(f"{place}/framework/") for each in survey["loaded"])
        )
