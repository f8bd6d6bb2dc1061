"""What can be refused is refused before any hook compiles and before the wheel is built."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from support.environments import install, make_environment
from support.interpreters import newest_of_each
from support.projects import PYPROJECT, TABLE, build, files, make_project
from support.trees import make_wheel

from hatch_pack_venv.hatch.target import PackVenvBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from hatchling.builders.plugin.interface import BuilderInterface


COMPILING = """\
[tool.hatch.build.hooks.custom]
"""
HOOK = """\
from pathlib import Path
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Compiling(BuildHookInterface):
    def initialize(self, version, build_data):
        (Path(self.root) / "compiled").touch()
"""
BUILDERS = [WheelBuilder, PackVenvBuilder]


@pytest.fixture
def root(tmp_path: Path, environment: Path) -> Path:
    """Make a project whose first hook compiles."""
    root = make_project(tmp_path / "project", environment, COMPILING + TABLE)
    (root / "hatch_build.py").write_text(HOOK)
    return root


def refused(
    root: Path, builder: type[BuilderInterface[Any, Any]], capfd: pytest.CaptureFixture[str]
) -> str:
    """Build, and return the message; nothing was compiled, and nothing was written."""
    capfd.readouterr()
    with pytest.raises(SystemExit):
        build(root, builder, directory=str(root / "out"))
    assert not (root / "compiled").exists()
    assert not (root / "out").exists() or not list((root / "out").iterdir())
    return capfd.readouterr().err


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_missing_environment(
    root: Path, builder: type[BuilderInterface[Any, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is reported before a hook that is configured earlier runs."""
    (root / ".venv").unlink()
    assert "there is no environment at" in refused(root, builder, capfd)


@pytest.mark.parametrize("builder", BUILDERS)
def test_requirements_that_are_not_met(
    root: Path, builder: type[BuilderInterface[Any, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    """The project's own and those of chosen extras are checked; other extras are ignored."""
    text = PYPROJECT.replace("[project]\n", '[project]\ndependencies = ["nowhere>=2"]\n')
    more = 'extras = ["fast"]\n[project.optional-dependencies]\nfast = ["quick"]\nslow = ["x"]\n'
    (root / "pyproject.toml").write_text(text + COMPILING + TABLE + more)
    said = refused(root, builder, capfd)
    assert "nowhere>=2 is required by my-app 1.0" in said
    assert "quick" in said
    assert "x is required" not in said


def test_a_lock_file_that_is_missing(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A lock file that does not exist is reported."""
    (root / "pyproject.toml").write_text(PYPROJECT + COMPILING + TABLE + 'lock = "pylock.toml"\n')
    assert "pylock.toml" in refused(root, WheelBuilder, capfd)


def test_editable_installs(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Several are one problem with ways to solve it; the project's own is replaced and packed."""
    (root / ".venv").unlink()
    env = make_environment(root / ".venv", newest_of_each()[-1], by="uv")
    wheels = []
    for name in ("one", "two", "my_app"):
        source = tmp_path / "sources" / name
        source.mkdir(parents=True)
        content = {f"{name}.pth": f"{source}\n".encode()}
        wheels.append(make_wheel(tmp_path, content, f"{name}-1.0-py3-none-any.whl"))
    install(env, "--offline", wheels[2])
    build(root)
    (root / "compiled").unlink()
    install(env, "--offline", *wheels[:2])
    for path in env.glob("lib/*/site-packages/*.dist-info"):
        if path.name.startswith(("one", "two")):
            url = (tmp_path / "sources" / path.name[:3]).as_uri()
            text = f'{{"url": "{url}", "dir_info": {{"editable": true}}}}'
            (path / "direct_url.json").write_text(text)
    said = refused(root, WheelBuilder, capfd)
    assert "2 distributions are installed in editable mode" in said
    assert said.count('set `editables` to "copy" or "exclude"') == 1
    assert 'distributions = "required"' in said
    (root / "pyproject.toml").write_text(
        PYPROJECT + COMPILING + TABLE + 'distributions = "required"\n'
    )
    build(root)
    assert (root / "compiled").exists()


def test_hooks_that_are_not_ours_run_as_ever(root: Path) -> None:
    """If nothing is refused, other hooks run and the archive is written."""
    build(root)
    assert (root / "compiled").exists()
    assert files(root, "dist-venv") == ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]


def test_an_editable_build_needs_no_environment(root: Path) -> None:
    """Nothing is packed then, so nothing is judged."""
    (root / ".venv").unlink()
    build(root, versions=["editable"], directory=str(root.parent / "tmpabcdefgh"))
    assert (root / "compiled").exists()


@pytest.mark.parametrize(("version", "script"), [("target", True), ("bundled", False)])
def test_versions_of_the_target(root: Path, version: str, script: bool) -> None:
    """`-t pack-venv:bundled` and `:target` choose the interpreter, and say so in the name."""
    build(root, PackVenvBuilder, directory=None, versions=[version])
    (archive,) = (root / "dist-venv").glob("*.tar.gz")
    assert archive.name.endswith(f"-{version}.tar.gz")

    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert ("bin/python" in names) is not script


def test_the_newest_of_several_wheels(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is chosen by version, not by name; without the key, the message suggests the key."""
    for version in ("1.9", "1.10", "1.2"):
        make_wheel(tmp_path, {"lib.py": b""}, f"lib-{version}-py3-none-any.whl")
    wheels = f'wheels = ["{tmp_path}/lib-*.whl"]\n'
    (root / "pyproject.toml").write_text(PYPROJECT + COMPILING + TABLE + wheels)
    said = refused(root, WheelBuilder, capfd)
    assert "3 wheels match" in said
    assert "`wheels-newest = true`" in said
    text = PYPROJECT + COMPILING + TABLE + wheels + "wheels-newest = true\n"
    (root / "pyproject.toml").write_text(text)
    build(root)
    (facts,) = (root / "dist-venv").glob("*.gz.json")
    assert '"version": "1.10"' in facts.read_text()


def test_a_metadata_hook_that_changes_its_configuration(root: Path) -> None:
    """The target's wheel is built from an unmodified configuration."""
    hook = """
from hatchling.metadata.plugin.interface import MetadataHookInterface
class Taking(MetadataHookInterface):
    def update(self, metadata):
        metadata["description"] = self.config.pop("text")
"""
    (root / "hatch_build.py").write_text(HOOK + hook)
    text = (PYPROJECT + COMPILING + TABLE).replace(
        "[project]\n", '[project]\ndynamic=["description"]\n'
    )
    (root / "pyproject.toml").write_text(text + "[tool.hatch.metadata.hooks.custom]\ntext = 'x'\n")
    build(root, PackVenvBuilder, directory=None)
    assert files(root, "dist-venv") == ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]
