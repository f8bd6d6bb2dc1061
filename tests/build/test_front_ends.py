"""Real front ends on copies of the test projects: what each leaves behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.environments import make_environment, run, tool
from support.interpreters import newest_of_each
from support.projects import copy_project

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = "greeter-1.2.0-py3-none-any.whl"
SDIST = "greeter-1.2.0.tar.gz"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy greeter, with a prepared environment and target mode, which any Python can have."""
    root = copy_project("greeter", tmp_path / "project")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write('interpreter = "target"\nformat = "tar.gz"\n')
    make_environment(root / ".venv", newest_of_each()[-1], ["humanize"], by="uv")
    return root


def left(root: Path) -> dict[str, list[str]]:
    """Return what lies in the output folders, archives by their formats."""
    found = {}
    for folder in ("dist", "dist-venv"):
        if (root / folder).is_dir():
            names = sorted(path.name for path in (root / folder).iterdir())
            found[folder] = [n.partition("linux_")[2].partition(".")[2] or n for n in names]
    return found


PACKED = ["tar.gz", "tar.gz.json"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["hatch", "build"], {"dist": [WHEEL, SDIST], "dist-venv": PACKED}),
        (["hatch", "build", "-t", "wheel"], {"dist": [WHEEL], "dist-venv": PACKED}),
        (["hatch", "build", "-t", "sdist"], {"dist": [SDIST]}),
        (["hatch", "build", "-t", "pack-venv"], {"dist-venv": PACKED}),
        (["python", "-m", "build", "--wheel"], {"dist": [WHEEL], "dist-venv": PACKED}),
        (["python", "-m", "build"], {"dist": [WHEEL, SDIST]}),
        (["uv", "build", "--wheel"], {"dist": [".gitignore", WHEEL], "dist-venv": PACKED}),
        (["uv", "build"], {"dist": [".gitignore", WHEEL, SDIST]}),
        (["uv", "pip", "install", "--python", "{env}", "."], {}),
        (["uv", "pip", "install", "--python", "{env}", "--editable", "."], {}),
        (["{env}/bin/python", "-m", "pip", "install", "."], {}),
        (["{env}/bin/python", "-m", "pip", "install", "--editable", "."], {}),
        (["python", "-m", "pip", "wheel", "--no-deps", "-w", "{out}", "."], {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_each_front_end_leaves(
    project: Path, front_end: dict[str, str], command: list[str], expected: dict[str, list[str]]
) -> None:
    """A release is packed, an installation and a build from an sdist are not; twice in a row."""
    if command[0] == "{env}/bin/python":
        run(tool("uv"), "pip", "install", "--python", project / ".venv", "pip", env=front_end)
    if command[1:3] == ["build", "-t"] and command[3] == "pack-venv":
        _configure_target(project)
    words = [word.format(env=project / ".venv", out=project.parent / "out") for word in command]
    words[0] = sys.executable if words[0] == "python" else words[0]
    if "/" not in words[0]:
        words[0] = tool(words[0])
    for _ in range(2):
        run(*words, cwd=project, env=front_end)
        assert left(project) == expected


def _configure_target(project: Path) -> None:
    """Put the configuration under the target, as the README tells published projects."""
    path = project / "pyproject.toml"
    text = path.read_text().replace('"hatchling", "hatch-pack-venv"', '"hatchling"')
    text = text.replace("build.hooks.pack-venv]", "build.targets.pack-venv]")
    path.write_text(text + 'dependencies = ["hatch-pack-venv"]\n')


def test_a_mistake_reads_well_through_a_front_end(project: Path, front_end: dict[str, str]) -> None:
    """`hatch build` shows our one message and fails."""
    with (project / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write('sorce = "x"\n')
    with pytest.raises(AssertionError) as caught:
        run(tool("hatch"), "build", "-t", "wheel", cwd=project, env=front_end)
    told = str(caught.value)
    assert (
        "pack-venv: the configuration is wrong: tool.hatch.build.hooks.pack-venv.sorce is unknown;"
        " did you mean 'source'?"
    ) in told
    assert "Traceback" not in told
    assert left(project) == {"dist": []}
