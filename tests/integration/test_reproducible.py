"""The same bytes, whoever made the environment, where and when."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin.manager import PluginManager
from support.archives import facts_below
from support.environments import make_environment, run, tool
from support.interpreters import bundlable, newest_of_each
from support.machine import has, require
from support.projects import copy_project

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.slow]

FORMATS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def build(root: Path, by: str, mode: str) -> dict[str, str]:
    """Make a project with its environment, build it, and return its archives' hashes by name."""
    python = bundlable()[0] if mode == "bundled" else newest_of_each()[-1]
    copy_project("service", root)
    table = "[tool.hatch.build.hooks.pack-venv]\n"
    text = (root / "pyproject.toml").read_text().replace('format = "tar.gz"\n', "")
    options = f'interpreter = "{mode}"\nformat = {json.dumps(FORMATS)}\ncompression-level = 1\n'
    if mode == "bundled":
        more = ', "squashfs"' if has("mksquashfs") else ""
        options = f'format = ["tar.gz", "zip", "run", "oci"{more}]\ncompression-level = 1\n'
        options += 'entry-point = "service-api"\n'
    else:
        options = options.replace('"tar", ', "")
    (root / "pyproject.toml").write_text(text.replace(table, table + options))
    make_environment(root / ".venv", python, ["markupsafe", "pydantic"], by=by)
    builder = WheelBuilder(str(root), plugin_manager=PluginManager())
    list(builder.build(directory=str(root / "dist"), versions=["standard"]))
    facts = facts_below(root / "dist-venv")
    return {each["archive"]: each["sha256"] for each in facts}


@pytest.mark.parametrize(
    ("by", "mode"), [("venv", "target"), ("uv", "target"), ("virtualenv", "bundled")]
)
def test_the_same_environment_twice_gives_the_same_bytes(
    tmp_path: Path, by: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another path, time, umask, owner, time zone and locale change no byte in any format."""
    if mode == "bundled":
        require("shared CPython")
    with umask(0o022):
        first = build(tmp_path / "one", by, mode)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with umask(0o077):
        second = build(tmp_path / "another place/é", by, mode)
    assert len(first) == (4 + has("mksquashfs") if mode == "bundled" else 5)
    assert first == second
    if os.geteuid() == 0:
        root = tmp_path / "another place/é"
        subprocess.run(["chown", "-hR", "65534:65534", root / ".venv"], check=True)
        (root / ".venv/bin").touch()
        builder = WheelBuilder(str(root), plugin_manager=PluginManager())
        list(builder.build(directory=str(root / "dist"), versions=["standard"]))
        facts = facts_below(root / "dist-venv")
        assert {each["archive"]: each["sha256"] for each in facts} == first


def test_the_content_digest_is_the_same_in_every_format(tmp_path: Path) -> None:
    """Formats and compressors do not enter into the content digest."""
    build(tmp_path / "one", "uv", "target")
    facts = facts_below(tmp_path / "one/dist-venv")
    assert len(facts) == 5
    assert len({each["content_digest"] for each in facts}) == 1
    assert len({each["sha256"] for each in facts}) == 5


def test_installers_leave_their_marks_and_nothing_else(tmp_path: Path) -> None:
    """Whether pip or uv installs, with bytecode or without, only INSTALLER and RECORD differ."""
    python = newest_of_each()[-1]
    requirements = ["humanize", "markupsafe"]
    made = [make_environment(tmp_path / "by pip", python)]
    run(made[0] / "bin/python", "-m", "pip", "install", *requirements)
    made.append(make_environment(tmp_path / "elsewhere/by uv", python, requirements, by="uv"))
    # What venv installs; setuptools only before 3.12.
    run(tool("uv"), "pip", "uninstall", "--python", made[0] / "bin/python", "pip", "setuptools")
    # The documents contain the name of the environment, which differs here.
    table = {"interpreter": "target", "format": "tar", "sbom": False, "notices": False}
    options = PackOptions.from_mapping(table)
    hashes = []
    for environment in made:
        (result,) = pack(environment, environment.with_suffix(".packed"), options)
        with tarfile.open(result.path) as tar:
            name = f"{environment.name}/share/venv/metadata/pack-venv.json"
            manifest = json.load(tar.extractfile(name) or io.BytesIO())
        hashes.append({each["path"]: each["sha256"] for each in manifest["files"]})
    differing = {
        path
        for path in hashes[0].keys() | hashes[1].keys()
        if hashes[0].get(path) != hashes[1].get(path)
    }
    assert {path.rpartition("/")[2] for path in differing} == {"INSTALLER", "RECORD"}
    assert all(".dist-info/" in path for path in differing)
