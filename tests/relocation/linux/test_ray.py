"""A Ray cluster whose workers run the packed environment."""

from __future__ import annotations

import json
import shutil
import tarfile
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin.manager import PluginManager
from support import hiding
from support.environments import make_environment
from support.interpreters import bundlable
from support.machine import needs
from support.projects import copy_project
from support.trees import extract

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.ray,
    needs("namespaces", "shared CPython"),
    pytest.mark.network,
    pytest.mark.slow,
]


def answers(told: str, word: str) -> list[dict[str, Any]]:
    """Return the JSON of the lines that begin with a word."""
    lines = [line.removeprefix(f"{word} ") for line in told.splitlines() if line.startswith(word)]
    return [json.loads(line) for line in lines]


def test_workers_run_the_archives_interpreter(tmp_path: Path) -> None:
    """Workers run from the zip as working_dir (Ray drops a tar's links), the driver unpacked."""
    python = next(each for each in bundlable() if each.number >= (3, 11))
    project = copy_project("ray-job", tmp_path / "build" / "ray-job")
    make_environment(project / ".venv", python, ["ray", "humanize"], by="uv")
    list(
        WheelBuilder(str(project), plugin_manager=PluginManager()).build(
            directory=str(project / "dist"), versions=["standard"]
        )
    )
    (archive,) = (project / "dist-venv").glob("*.zip")
    archive = archive.rename(tmp_path / archive.name)
    (unpacked,) = (project / "dist-venv").glob("*.tar.gz")
    driver = tmp_path / "driver"
    with tarfile.open(unpacked) as tar:
        extract(tar, driver)
    job = copy_project("ray-job", tmp_path / "job") / "job.py"
    temporary = mkdtemp(prefix="ray", dir="/tmp")  # Ray's sockets need a short path
    try:
        done = hiding.run_hidden(
            ["timeout", "-k", "5", "120", driver / "bin/python", job, temporary, archive],
            hide=[tmp_path / "build", python.prefix],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"},
        )
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-4000:]
    (answer,) = answers(done.stdout, "ANSWER")
    prefix = answer["prefix"]
    assert prefix.startswith(f"{temporary}/")
    assert answer["base_prefix"] == prefix
    assert answer["executable"] == f"{prefix}/bin/python"
    assert answer["package"].startswith(f"{prefix}/lib/")
    assert answer["humanize"].startswith(f"{prefix}/lib/")
    assert answer["said"] == "1,000,000"
    (own,) = answers(done.stdout, "DRIVER")
    assert own["prefix"] == str(driver)
