"""Environments of popular distributions answer after a move as they did before.

Everything that is compared is asked of the environment itself first, then of its archive after it
was unpacked and moved twice, with the environment and its base interpreter hidden.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import hiding, probing
from support.documents import checked_sbom
from support.environments import install, make_environment, run, shared, tool
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import extract

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]

POPULAR: Final = [
    "aiohttp",
    "alembic",
    "attrs",
    "babel",
    "beautifulsoup4",
    "black",
    "build",
    "celery",
    "cffi",
    "click",
    "coverage",
    "cryptography",
    "cython",
    "django",
    "docutils",
    "fastapi",
    "flake8",
    "flask",
    "gunicorn",
    "httpx",
    "ipykernel",
    "isort",
    "jinja2",
    "jsonschema",
    "lxml",
    "markdown",
    "mypy",
    "nox",
    "numpy",
    "packaging",
    "pillow",
    "pip",
    "psutil",
    "pycparser",
    "pydantic",
    "pyflakes",
    "pygments",
    "pytest",
    "pyyaml",
    "requests",
    "rich",
    "setuptools",
    "sphinx",
    "sqlalchemy",
    "tornado",
    "tox",
    "tqdm",
    "typer",
    "uvicorn",
    "virtualenv",
    "watchdog",
    "wheel",
]
SMALL: Final = ["black", "flask", "gunicorn", "ipykernel", "pip", "pytest", "pyyaml", "rich"]
VARIABLES: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "COLUMNS": "80",
    "PYTHONWARNINGS": "ignore",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # its message contains a time
}

# Its answer depends on PATH, and on the order in which pip lists distributions.
TELLS_OF_THE_MACHINE: Final = {"jupyter-troubleshoot"}

# Files that are left out by rule, as the README describes them.
LEFT_OUT: Final = re.compile(r"(^|/)__pycache__/|\.dist-info/(direct_url|uv_cache|uv_build)\.json$")


def probe(
    python: Path, places: list[Path], cache: Path, *options: str, hide: Sequence[Path] = ()
) -> dict[str, Any]:
    """Ask an environment through its interpreter.

    Parameters:
        places: the paths to replace in the answers, since they differ after a move.
        cache: the folder for bytecode, which no process may write next to the sources.
        options: options of the program that asks.
    """
    variables = {**VARIABLES, "PYTHONPYCACHEPREFIX": str(cache)}
    command: list[str | Path] = [python, str(probing.__file__), str(python.parent), *options]
    if hide:
        done = hiding.run_hidden(command, hide=hide, env=variables)
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    else:
        printed = run(*command, env=variables, cwd="/")
    answers: dict[str, Any] = json.loads(printed[printed.index("{") :])
    for said in [*filter(None, answers["scripts"].values()), answers["pip check"]]:
        # Some help texts are wrapped, even in the middle of a path.
        said[1] = "".join(said[1].split())
        for place in places:
            said[1] = said[1].replace("".join(str(place).split()), "~")
    for name in TELLS_OF_THE_MACHINE & answers["scripts"].keys():
        if answers["scripts"][name]:
            answers["scripts"][name][1] = ""
    return answers


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Check that whatever worked before works the same afterwards."""
    for kind in ("scripts", "modules"):
        assert before[kind].keys() == after[kind].keys()
        worked = {name: x for name, x in before[kind].items() if x == "imported" or x[0] == 0}
        assert worked == {name: after[kind][name] for name in worked}
    assert before["pip check"] == after["pip check"]
    assert before["packages"] == after["packages"]
    for name, files in before["installed"].items():
        packed = {file for file in files if not LEFT_OUT.search(file)}
        assert packed == set(after["installed"][name]), name


def moved(environment: Path, folder: Path) -> Path:
    """Pack an environment, unpack it and move it twice."""
    options = PackOptions.from_mapping({"format": "tar"})
    (result,) = pack(environment, folder / "packed", options)
    checked_sbom(result.path)
    with tarfile.open(result.path) as tar:
        extract(tar, folder / "unpacked")
    result.path.unlink()
    (root,) = (folder / "unpacked").iterdir()
    for place in ("sp ace/first", "zwei é"):
        target = folder / place
        target.parent.mkdir(exist_ok=True)
        root = root.rename(target)
    return root


def lines_with(root: Path, needle: bytes) -> list[str]:
    """Return the files below a folder that contain some bytes."""
    found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path.relative_to(root)) for path in found if needle in path.read_bytes()]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The large environment as uv makes it, the versions in it, and its answers."""

    environment: Path
    versions: Path
    answers: dict[str, Any]


def add_kernel(environment: Path) -> None:
    run(environment / "bin/python", "-m", "ipykernel", "install", "--sys-prefix", "--name", "ours")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Make the environment, and record the answers that the others must give after a move."""
    python = bundlable()[-1]

    def fill(folder: Path) -> None:
        environment = make_environment(folder / "environment", python, POPULAR, by="uv")
        add_kernel(environment)
        listed = run(tool("uv"), "pip", "freeze", "--python", environment / "bin/python")
        lines = [line for line in listed.splitlines() if "==" in line]
        (folder / "versions.txt").write_text("\n".join(lines))
        places = [environment, python.prefix]
        answers = probe(environment / "bin/python", places, folder / "cache")
        (folder / "answers.json").write_text(json.dumps(answers))

    folder = shared(tmp_path_factory, "popular", fill)
    return Reference(
        environment=folder / "environment",
        versions=folder / "versions.txt",
        answers=json.loads((folder / "answers.json").read_text()),
    )


def make(path: Path, python: Python, by: str, versions: Path) -> Path:
    """Make the large environment in another way, with the same versions."""
    wanted: list[str | Path] = ["--constraint", versions, *POPULAR]
    if by == "pip":
        make_environment(path, python)
        pip: list[str | Path] = [path / "bin/python", "-m", "pip", "install", "--quiet"]
        run(*pip, "--upgrade", *wanted)
        # Compiled here, so that its search path names the base interpreter.
        sdist = ["--no-binary", "markupsafe", "--force-reinstall", "--no-deps", "markupsafe"]
        run(*pip, "--constraint", versions, *sdist)
    elif by == "virtualenv --copies":
        run(sys.executable, "-m", "virtualenv", "--copies", "-p", python.path, path)
        install(path, "--link-mode=copy", "--upgrade", *wanted)
    else:
        make_environment(path, python, by="uv")
        install(path, "--link-mode=symlink", *wanted)
    add_kernel(path)
    return path


@pytest.mark.parametrize("by", ["pip", "uv symlinks", "virtualenv --copies"])
def test_popular_distributions_answer_as_before(
    tmp_path: Path, reference: Reference, by: str
) -> None:
    """Scripts, modules, `pip check` and installed files are the same after two moves.

    The answers of scripts and modules before the moves come from one environment of these versions.
    """
    python = bundlable()[-1]
    environment = make(tmp_path / "environment", python, by, reference.versions)
    places = [environment, python.prefix]
    before = probe(environment / "bin/python", places, tmp_path / "cache", "--briefly")
    for kind in ("scripts", "modules"):
        assert before[kind].keys() == reference.answers[kind].keys()
        before[kind] = reference.answers[kind]
    root = moved(environment, tmp_path)
    after = probe(root / "bin/python", [root], tmp_path / "cache", hide=places)
    compare(before, after)
    assert sum(x == "imported" for x in after["modules"].values()) > 80
    assert sum(x[0] == 0 for x in after["scripts"].values()) > 40
    assert lines_with(root, os.fsencode(environment)) == []


# integration/test_proof.py runs all four combinations with fewer distributions.
@pytest.mark.parametrize(("interpreter", "room"), [("bundled", "bare"), ("target", "hidden")])
def test_proofs_raise_no_false_alarm(
    tmp_path: Path, reference: Reference, interpreter: str, room: str
) -> None:
    """Every module and entry point that loads in the environment loads in a clean room."""
    table = {"format": "tar", "prove": "all", "prove-room": room, "interpreter": interpreter}
    options = PackOptions.from_mapping(table)
    (result,) = pack(reference.environment, tmp_path / "packed", options)
    assert result.proof is not None
    ran = {count.kind: count.ran for count in result.proof.counts}
    assert ran["module"] > 150
    assert ran["entry point"] > 150


@pytest.mark.parametrize("python", bundlable(), ids=lambda python: python.version)
def test_every_python_answers_as_before(tmp_path: Path, python: Python) -> None:
    """The same holds for an environment of each CPython found."""
    environment = make_environment(tmp_path / "environment", python, SMALL, by="uv")
    places, cache = [environment, python.prefix], tmp_path / "cache"
    before = probe(environment / "bin/python", places, cache)
    root = moved(environment, tmp_path)
    compare(before, probe(root / "bin/python", [root], cache, hide=places))
