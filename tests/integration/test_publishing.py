"""Publishing and monorepos: which built files real tools pick up."""

from __future__ import annotations

import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from support.environments import make_environment, run, tool
from support.hiding import run_hidden
from support.interpreters import newest_of_each
from support.machine import needs
from support.projects import TABLE, files, make_project, upload_index
from support.trees import extract

if TYPE_CHECKING:
    from pathlib import Path

    from support.interpreters import Python

PACKED = ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]
PACKAGES = ["my_app-1.0-py3-none-any.whl", "my_app-1.0.tar.gz"]


@pytest.fixture(scope="module")
def python() -> Python:
    return newest_of_each()[-1]


@pytest.fixture(scope="module")
def environment(python: Python, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "env", python, by="uv")


def test_tools_that_publish_never_see_the_archive(
    tmp_path: Path, environment: Path, offline: dict[str, str]
) -> None:
    """`twine check dist/*` passes after `hatch build`, and only wheel and sdist are uploaded."""
    root = make_project(tmp_path / "project", environment)
    run(tool("hatch"), "build", cwd=root, env=offline)
    assert files(root, "dist-venv") == PACKED
    packages = sorted((root / "dist").iterdir())
    assert [path.name for path in packages] == PACKAGES
    assert run(tool("twine"), "check", *packages).count("PASSED") == 2
    user = ("--user", "u", "--auth", "p", "--no-prompt")
    with upload_index() as (address, names):
        run(tool("hatch"), "publish", "--repo", address, *user, cwd=root, env=offline)
    assert sorted(names) == PACKAGES
    with upload_index() as (address, names):
        login = ("--username", "u", "--password", "p", "--non-interactive")
        run(tool("twine"), "upload", "--repository-url", address, *login, *packages, env=offline)
    assert sorted(names) == PACKAGES


WORKSPACE = """\
[project]
name = "whole"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["my-app", "my-lib"]

[tool.uv.workspace]
members = ["packages/*"]

[tool.uv.sources]
my-app = { workspace = true }
my-lib = { workspace = true }
"""
LIBRARY = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "my-lib"
version = "3.0"
requires-python = ">=3.9"
"""


def make_workspace(root: Path, environment: Path, table: str) -> tuple[Path, Path]:
    """Make an application and a library it needs, below one root."""
    app = make_project(root / "packages" / "app", environment, table)
    (app / ".venv").unlink()
    (app / "my_app" / "__init__.py").write_text("import my_lib\n\n\ndef main():\n    my_lib.hi()\n")
    library = root / "packages" / "lib"
    (library / "my_lib").mkdir(parents=True)
    (library / "my_lib" / "__init__.py").write_text("def hi():\n    print('hi')\n")
    (library / "pyproject.toml").write_text(LIBRARY)
    return app, library


@needs("namespaces")
def test_a_uv_workspace_of_editable_members_packs(
    tmp_path: Path, python: Python, environment: Path, offline: dict[str, str]
) -> None:
    """The wheel of each member takes its place; the archive runs with the workspace hidden."""
    root = tmp_path / "workspace"
    table = TABLE + 'source = "../../.venv"\nwheels = ["../../dist/my_lib-3.0-py3-none-any.whl"]\n'
    app, _ = make_workspace(root, environment, table)
    (root / "pyproject.toml").write_text(WORKSPACE)
    uv = tool("uv")
    run(uv, "sync", "--python", python.path, "--all-packages", cwd=root, env=offline)
    for member in ("my-lib", "my-app"):
        run(uv, "build", "--wheel", "--package", member, cwd=root, env=offline)
    assert files(app, "dist-venv") == PACKED
    (archive,) = (app / "dist-venv").glob("*.tar.gz")
    elsewhere = tmp_path / "elsewhere"
    with tarfile.open(archive) as tar:
        extract(tar, elsewhere)
    unpacked = elsewhere / "my-app-1.0"
    run(python.path, unpacked / "postinstall.py", "--no-compile")
    done = run_hidden([unpacked / "bin" / "my-app"], hide=[root])
    assert (done.stdout, done.stderr) == ("hi\n", "")


@needs("namespaces")
def test_what_nothing_brings_is_told(
    tmp_path: Path, environment: Path, offline: dict[str, str]
) -> None:
    """An import that no requirement declares and the environment lacks stops the build."""
    app, _ = make_workspace(tmp_path, environment, TABLE + 'source = "../../.venv"\n')
    (tmp_path / ".venv").symlink_to(environment)
    command = [tool("hatch"), "build", "-t", "wheel"]
    done = subprocess.run(
        command, cwd=app, env=offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = "the module my_app does not run here: ModuleNotFoundError: No module named 'my_lib'"
    assert said in done.stdout + done.stderr
    assert not list((app / "dist-venv").glob("*"))


def test_hatch_builds_a_whole_workspace(
    tmp_path: Path, environment: Path, offline: dict[str, str]
) -> None:
    """`hatch build --all` twice: every package in the root's `dist`, the archive in its project."""
    root = tmp_path / "workspace"
    app, library = make_workspace(root, environment, TABLE + 'source = "../../.venv"\n')
    (app / "my_app" / "__init__.py").write_text("def main(): ...\n")  # nothing installs the library
    (root / ".venv").symlink_to(environment)
    members = '[tool.hatch.envs.default.workspace]\nmembers = ["packages/*"]\n'
    (root / "pyproject.toml").write_text(members)
    for _ in range(2):
        run(tool("hatch"), "build", "--all", cwd=root, env=offline)
        assert files(app, "dist-venv") == PACKED
        assert sorted(path.name for path in (root / "dist").iterdir()) == [
            *PACKAGES,
            "my_lib-3.0-py3-none-any.whl",
            "my_lib-3.0.tar.gz",
        ]
        assert sorted(path.name for path in library.iterdir()) == ["my_lib", "pyproject.toml"]
    with tarfile.open(root / "dist" / "my_app-1.0.tar.gz") as tar:
        names = sorted(name.partition("/")[2] for name in tar.getnames())
    assert names == ["PKG-INFO", "my_app/__init__.py", "pyproject.toml"]
