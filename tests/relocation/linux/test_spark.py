"""A Spark cluster whose executors run the packed environment."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin.manager import PluginManager
from support import hiding
from support.environments import make_environment
from support.interpreters import Python, bundlable, system_python
from support.machine import needs
from support.projects import copy_project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.spark,
    needs("java", "namespaces", "system CPython", "shared CPython"),
    pytest.mark.network,
    pytest.mark.slow,
]
DEPENDENCIES = ["numpy", "pandas", "pyarrow"]
FAST_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def pythons() -> tuple[Python, Python]:
    """Return Pythons for driver and executors, for which Spark needs the same minor version."""
    driver = system_python()
    same = [python for python in bundlable() if driver and python.minor == driver.minor]
    if driver is None or not same:
        pytest.skip("no CPython of the system's minor version was found beside it")
    return driver, same[-1]


def submit(driver: Path, project: Path, archives: dict[str, Path], hide: list[Path]) -> str:
    """Run the job with an archive for each folder's name; return its output."""
    listed = ",".join(f"{path}#{folder}" for folder, path in archives.items())
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": FAST_START,
        "spark.executor.extraJavaOptions": FAST_START,
    }
    command: list[str | Path] = [driver / "bin/spark-submit", "--master", "local-cluster[2,1,1024]"]
    command += [word for key in settings for word in ("--conf", f"{key}={settings[key]}")]
    command += ["--archives", listed, project / "job.py", *archives]
    first, *_ = archives
    variables = {
        "PATH": os.defpath,
        "JAVA_HOME": os.path.realpath(shutil.which("java") or "").removesuffix("/bin/java"),
        "PYSPARK_PYTHON": f"./{first}/bin/python",
        "PYSPARK_DRIVER_PYTHON": str(driver / "bin/python"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = hiding.run_hidden(command, hide=hide, env=variables)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_executors_run_the_archives_interpreter(tmp_path: Path) -> None:
    """From a tar.gz and a zip they use its Python, its numpy and its project, also in a UDF."""
    system, python = pythons()
    driver = make_environment(tmp_path / "driver", system, ["pyspark", *DEPENDENCIES], by="uv")
    project = copy_project("spark-job", tmp_path / "build" / "spark-job")
    make_environment(project / ".venv", python, DEPENDENCIES, by="uv")
    builder = WheelBuilder(str(project), plugin_manager=PluginManager())
    list(builder.build(directory=str(project / "dist"), versions=["standard"]))
    (job,) = copy_project("spark-job", tmp_path / "job").glob("job.py")
    archives: dict[str, Path] = {}
    for folder, pattern in {"from_gz": "*.tar.gz", "from_zip": "*.zip"}.items():
        (made,) = (project / "dist-venv").glob(pattern)
        archives[folder] = made.rename(tmp_path / made.name)
    told = submit(driver, job.parent, archives, [tmp_path / "build", python.prefix])
    answers = [
        json.loads(line.removeprefix("ANSWER "))
        for line in told.splitlines()
        if line.startswith("ANSWER ")
    ]
    assert [answer["folder"] for answer in answers] == list(archives)
    for answer in answers:
        check(answer)


def check(answer: dict[str, Any]) -> None:
    """Check what the executors reported about themselves."""
    assert answer["total"] == 22.5
    assert len(answer["workers"]) == 2
    for worker in answer["workers"]:
        prefix = worker["prefix"]
        assert prefix.endswith(f"/{answer['folder']}")
        assert worker["base_prefix"] == prefix
        assert worker["executable"] == f"{prefix}/bin/python"
        assert worker["package"].startswith(f"{prefix}/lib/")
        assert worker["numpy"].startswith(f"{prefix}/lib/")
        assert worker["total"] == 45.0
