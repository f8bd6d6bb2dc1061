"""Recipes: their lines are run as they are in the documents."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.documentation import README
from support.environments import install, make_environment, run, tool
from support.hiding import make_system, run_hidden, run_in_system
from support.interpreters import newest_of_each
from support.machine import needs
from support.projects import copy_project
from support.trees import make_wheel

RECIPES = README.parent / "docs/recipes"


def recipe(name: str) -> str:
    """Return the lines of a recipe that are marked to be run."""
    text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.DOTALL)
    return str(lines)


def sh(lines: str, folder: Path, **variables: str) -> str:
    own = Path(tool("pack-venv")).parent
    path = os.pathsep.join([variables.pop("PATH", str(own)), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", lines],
        cwd=folder,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_recipe_is_listed() -> None:
    """The README of the recipes links to each of them."""
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    for path in RECIPES.glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in text


POINTS = b"[console_scripts]\ngreet = app:main\n"


@needs("namespaces")
def test_the_recipe_for_systemd(tmp_path: Path) -> None:
    """Two versions are installed side by side, and the link points to the one unpacked last."""
    root = tmp_path / "opt"
    project = copy_project("greeter", tmp_path / "greeter")
    env = make_environment(project / ".venv", newest_of_each()[-1], by="uv")
    install(
        env,
        "--offline",
        make_wheel(tmp_path, {"humanize.py": b""}, "humanize-4.0-py3-none-any.whl"),
    )
    lines = recipe("systemd").replace('"$ROOT/current/bin/greet" World\n', "")
    for version in ("1", "2"):
        make_wheel(
            tmp_path,
            {
                "app.py": b"def main():\n    print('version " + version.encode() + b"')\n",
                f"app-{version}.0.dist-info/entry_points.txt": POINTS,
            },
            f"app-{version}.0-py3-none-any.whl",
        )
        options = f"--wheel ../app-{version}.0-py3-none-any.whl --install-target app-{version}"
        sh(f"pack-venv pack .venv --no-project -q -o ../app-{version}.tar {options}", project)
        archive = str(tmp_path / f"app-{version}.tar")
        sh(lines, tmp_path, ROOT=str(root), ARCHIVE=archive)
        done = run_hidden([root / "current/bin/greet"], hide=[env, project])
        assert done.stdout == f"version {version}\n", done.stderr
    assert sorted(os.listdir(root / "versions")) == ["app-1", "app-2"]


@pytest.mark.network
def test_the_recipe_for_other_backends(tmp_path: Path) -> None:
    """A project of setuptools, installed editable, is packed with its wheel."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "other.py").write_text("x = 1\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "other"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["other"]\n'
    )
    make_environment(project / ".venv", newest_of_each()[-1], [], by="uv")
    sh(recipe("other-backends"), project, UV_SYSTEM_CERTS="1")
    python = next((project / "unpacked").glob("*/bin/python"))
    done = subprocess.run(
        [python, "-c", "import other; print(other.x)"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def ci_project(root: Path, plugin_wheels: Path) -> Path:
    """Make a checkout of a locked project that contains the plugin's wheel."""
    project = copy_project("greeter", root)
    shutil.copytree(plugin_wheels, project / "wheels")
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    run(tool("uv"), "lock", "--quiet", cwd=project, env=variables)
    return project


def own_folders(folder: Path) -> dict[str, str]:
    """Return the variables that keep Hatch's files in a folder."""
    names = ("HATCH_DATA_DIR", "HATCH_CACHE_DIR")
    return {**{name: str(folder / "hatch") for name in names}, "UV_SYSTEM_CERTS": "1"}


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "workspace", "line"),
    [
        ("github-actions", "${{ github.workspace }}", r"      - run: (.+)"),
        ("gitlab-ci", "$CI_PROJECT_DIR", r"    - (uv.+)"),
    ],
)
def test_the_recipes_for_ci(
    name: str, workspace: str, line: str, tmp_path: Path, plugin_wheels: Path
) -> None:
    """Their commands, with their variables, pack a checkout and verify the archive.

    Without `--managed-python`, with which uv would download a CPython.
    """
    project = ci_project(tmp_path / "project", plugin_wheels)
    text = (RECIPES / f"{name}.md").read_text(encoding="utf-8")
    text = re.sub(r" +#.*", "", text.replace(workspace, str(project)))
    variables = dict(re.findall(r"^ +((?:UV|PIP)_\w+): (.+)$", text, re.MULTILINE))
    assert set(variables) == {"UV_FIND_LINKS", "PIP_FIND_LINKS"}
    lines = re.findall(f"^{line}$", text, re.MULTILINE)
    assert len(lines) == 3
    commands = "\n".join(lines).replace(" --managed-python", "")
    said = sh(
        commands, project, PATH=str(Path(tool("uv")).parent), **variables, **own_folders(tmp_path)
    )
    assert "as packed" in said
    assert len([*(project / "dist-venv").glob("greeter-1.2.0-*.tar.xz")]) == 1


@needs("namespaces", "busybox")
@pytest.mark.network
@pytest.mark.slow
def test_the_recipe_for_docker(tmp_path: Path, plugin_wheels: Path) -> None:
    """RUN lines of the build stage, and both CMD lines in a system of glibc and a busybox."""
    project = ci_project(tmp_path / "src", plugin_wheels)
    text = (RECIPES / "docker.md").read_text(encoding="utf-8")
    text = text.replace("/opt/app", f"{tmp_path}/app").replace("/src", str(project))
    variables = dict(re.findall(r"(\w+_FIND_LINKS)=(\S+)", text))
    lines = "\n".join(re.findall(r"^RUN (.+)$", text, re.MULTILINE))
    tools = make_environment(tmp_path / "python", newest_of_each()[-1])
    path = f"{tools}/bin{os.pathsep}{Path(tool('uv')).parent}"
    sh(lines, project, PATH=path, **variables, **own_folders(tmp_path))
    system = make_system(tmp_path / "system")
    starts = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    assert len(starts) == 2
    for start in starts:
        command = [part.replace(str(tmp_path), "/opt") for part in json.loads(start)]
        done = run_in_system(system, command, seen={tmp_path / "app": "/opt/app"})
        assert done.stdout.startswith("Hello, World"), done.stderr
