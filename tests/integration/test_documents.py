"""Documents say what the code does: messages, recipes, the reference of the API, links."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from support.documentation import API, README, api
from support.environments import install, make_environment, tool
from support.hiding import run_hidden
from support.interpreters import newest_of_each
from support.machine import needs
from support.projects import copy_project
from support.trees import make_wheel

DOCS = README.parent / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)]+))?\)")


def test_the_reference_is_that_of_the_docstrings() -> None:
    """docs/api.md is what `hatch run docs` writes, and every public name stands in it."""
    assert API.read_text(encoding="utf-8") == api()


@cache
def literals() -> str:
    """Return all texts of the code, those that are written in several parts joined."""
    found = []
    for path in (README.parent / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "\0" for v in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def messages() -> list[str]:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    cells = (line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `"))
    return [quoted for cell in cells for quoted in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("message", messages())
def test_troubleshooting_quotes_messages_that_there_are(message: str) -> None:
    """Each stands in the code, word for word."""
    assert message in literals()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(README.parent)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading of it."""
    for target, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = page.parent / target
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert heading in slugs, (target, heading)


def recipe(name: str) -> str:
    """Return the lines of a recipe that are marked to be run."""
    text = (DOCS / "recipes" / f"{name}.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.DOTALL)
    return str(lines)


def sh(lines: str, folder: Path, **variables: str) -> str:
    path = f"{Path(tool('pack-venv')).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", lines],
        cwd=folder,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_recipe_is_listed() -> None:
    """With whether its lines are run."""
    text = (DOCS / "recipes" / "README.md").read_text(encoding="utf-8")
    for path in (DOCS / "recipes").glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in text


POINTS = b"[console_scripts]\ngreet = app:main\n"


@needs("namespaces")
def test_the_recipe_for_systemd(tmp_path: Path) -> None:
    """Two versions lie side by side, and the link leads to the one unpacked last."""
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
