"""Small projects, built in this process by hatchling's own builders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin.manager import PluginManager

if TYPE_CHECKING:
    from pathlib import Path

    from hatchling.builders.plugin.interface import BuilderInterface

PYPROJECT = """\
[build-system]
requires = ["hatchling", "hatch-pack-venv"]
build-backend = "hatchling.build"

[project]
name = "My.App"
version = "1.0"
requires-python = ">=3.9"

[project.scripts]
my-app = "my_app:main"

[tool.hatch.build.targets.wheel]
packages = ["my_app"]
dev-mode-dirs = ["."]

"""
TABLE = """\
[tool.hatch.build.hooks.pack-venv]
interpreter = "target"
format = "tar.gz"
"""


def make_project(root: Path, environment: Path, configuration: str = TABLE) -> Path:
    """Make a project whose `.venv` leads to an environment."""
    (root / "my_app").mkdir(parents=True)
    (root / "my_app" / "__init__.py").write_text("def main():\n    print('hello')\n")
    (root / "pyproject.toml").write_text(PYPROJECT + configuration)
    (root / ".venv").symlink_to(environment)
    return root


def build(
    root: Path, builder: type[BuilderInterface[Any, Any]] = WheelBuilder, **arguments: Any
) -> list[str]:
    """Build one target into `dist` or another folder; return the artefacts."""
    arguments = {"directory": str(root / "dist"), "versions": ["standard"], **arguments}
    return list(builder(str(root), plugin_manager=PluginManager()).build(**arguments))


def files(root: Path, folder: str) -> list[str]:
    """Return the names in a folder of the project, with the archive's own called by its format."""
    names = sorted(path.name for path in (root / folder).glob("*"))
    return [name.partition("linux_")[2].partition(".")[2] or name for name in names]
