"""The hook and the target, run in this process by hatchling's own builders."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from support.archives import facts_below
from support.projects import PYPROJECT, TABLE, build

from hatch_pack_venv.hatch.target import PackVenvBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator


def refused(root: Path, capfd: pytest.CaptureFixture[str], **arguments: Any) -> str:
    """Build, expect an abort, and return the message."""
    with pytest.raises(SystemExit) as caught:
        build(root, **arguments)
    assert caught.value.code == 1
    return capfd.readouterr().err


def tree(root: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (root / folder).glob("*"))


def test_a_release_is_packed_with_the_wheel_just_built(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The archive contains the wheel's files and launcher; its path and hash are printed."""
    build(project)
    name = f"my-app-1.0-cp{sys.version_info[0]}{sys.version_info[1]}-linux_{os.uname().machine}"
    assert tree(project, "dist") == ["my_app-1.0-py3-none-any.whl"]
    assert tree(project, "dist-venv") == [
        f"{name}.tar.gz{more}" for more in ("", ".cdx.json", ".json")
    ]
    facts = json.loads((project / "dist-venv" / f"{name}.tar.gz.json").read_text())
    assert facts["manifest"]["distributions"] == [{"name": "my-app", "version": "1.0"}]
    with tarfile.open(project / "dist-venv" / f"{name}.tar.gz") as tar:
        members = {Path(member.name).as_posix() for member in tar}
    assert "my-app-1.0/bin/my-app" in members
    assert any(member.endswith("/site-packages/my_app/__init__.py") for member in members)
    told = capfd.readouterr().err
    assert f"dist-venv/{name}.tar.gz" in told
    assert facts["sha256"] in told


def test_the_target_leaves_nothing_but_the_archive(project: Path) -> None:
    """The target builds its wheel elsewhere, and the hook does not pack a second time for it."""
    (project / "pyproject.toml").write_text(
        PYPROJECT + TABLE + TABLE.replace("hooks.", "targets.").replace("tar.gz", "zip")
    )
    (artifact,) = build(project, PackVenvBuilder, directory=None)
    assert Path(artifact).parent == project / "dist-venv"
    assert artifact.endswith(".zip")
    assert tree(project, "dist-venv") == [
        Path(artifact).name + more for more in ("", ".cdx.json", ".json")
    ]
    assert not (project / "dist").exists()


def test_the_target_follows_the_location(project: Path, tmp_path: Path) -> None:
    """The archive is written to the requested folder."""
    (project / "pyproject.toml").write_text(PYPROJECT + TABLE.replace("hooks.", "targets."))
    (artifact,) = build(project, PackVenvBuilder, directory=str(tmp_path / "elsewhere"))
    assert Path(artifact).parent == tmp_path / "elsewhere"
    assert not (project / "dist-venv").exists()


def test_the_hook_of_the_wheel_table_packs_too(project: Path) -> None:
    """The table under the wheel target is read as the global one is."""
    exclude = '[tool.hatch.build.targets.sdist]\nexclude = ["/dist-venv"]\n'
    (project / "pyproject.toml").write_text(
        PYPROJECT + exclude + TABLE.replace("build.hooks", "build.targets.wheel.hooks")
    )
    build(project)
    assert len(tree(project, "dist-venv")) == 3


def test_neither_archive_nor_environment_gets_into_an_sdist(project: Path) -> None:
    """The second build's sdist is that of the first, without any ignore file."""
    table = TABLE + 'source = "envs/release"\noutput-directory = "out/venv"\n'
    (project / "pyproject.toml").write_text(PYPROJECT + table)
    (project / "envs").mkdir()
    (project / ".venv").rename(project / "envs" / "release")
    sdists = []
    for _ in range(2):
        (sdist,) = build(project, SdistBuilder)
        build(project)
        sdists.append(Path(sdist).read_bytes())
    assert len(tree(project, "out/venv")) == 3
    assert sdists[0] == sdists[1]


@pytest.mark.parametrize("kind", ["editable", "sdist", "unpacked sdist", "installing", "skipped"])
def test_where_nothing_is_released_nothing_is_packed(
    project: Path, kind: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No archive is made, and one line says why (none for the sdist, which is no wheel)."""
    shutil.rmtree(project / ".venv", ignore_errors=True)
    reasons = {
        "editable": "version 'editable'",
        "unpacked sdist": "unpacked sdist",
        "installing": "built only to be installed",
        "skipped": "HATCH_PACK_VENV_SKIP is set",
    }
    arguments: dict[str, Any] = {}
    if kind == "editable":
        arguments["versions"] = ["editable"]
    elif kind == "unpacked sdist":
        (project / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: my-app\nVersion: 1.0\n")
    elif kind == "installing":
        monkeypatch.setattr("tempfile.tempdir", str(project.parent))
        arguments["directory"] = str(project.parent / "pip-ephem-wheel-cache-abcd1234" / "x")
    elif kind == "skipped":
        monkeypatch.setenv("HATCH_PACK_VENV_SKIP", "1")
    build(project, SdistBuilder if kind == "sdist" else WheelBuilder, **arguments)
    assert not (project / "dist-venv").exists()
    lines = [line for line in capfd.readouterr().err.splitlines() if "pack-venv" in line]
    assert len(lines) == (0 if kind == "sdist" else 1)
    if kind in reasons:
        assert reasons[kind] in lines[0]


def mistakes() -> Iterator[Any]:
    """Yield what a user may get wrong: a change to the project, and the message."""
    yield pytest.param(
        lambda root: (root / ".venv").unlink(),
        "pack-venv: there is no environment at {root}/.venv: create it with",
        id="no environment",
    )
    yield pytest.param(
        lambda root: (root / "pyproject.toml").write_text(
            PYPROJECT + TABLE + 'sorce = "x"\narchive-name = "{nmae}"\n'
        ),
        "tool.hatch.build.hooks.pack-venv.sorce is unknown; did you mean 'source'?",
        id="configuration",
    )
    yield pytest.param(
        lambda root: (root / "pyproject.toml").write_text(
            PYPROJECT + TABLE + 'wheels = ["a.whl"]\n'
        ),
        "{root}/a.whl is not a wheel: its name must have the form",
        id="a wheel's name",
    )
    yield pytest.param(
        lambda root: (root / "pyproject.toml").write_text(
            PYPROJECT + TABLE + 'wheels = ["a-1-py3-none-any.whl"]\n'
        ),
        "there is no wheel {root}/a-1-py3-none-any.whl: build it first",
        id="a missing wheel",
    )
    yield pytest.param(
        lambda root: (root / "dist-venv").write_text(""),
        "cannot be written",
        id="a file in the output folder's place",
    )


@pytest.mark.parametrize(("mistake", "expected"), list(mistakes()))
def test_mistakes_end_the_build_with_one_message(
    project: Path, mistake: Any, expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is one message without a traceback; no archive appears."""
    mistake(project)
    told = refused(project, capfd)
    assert expected.format(root=project) in told
    assert "Traceback" not in told
    assert not list(project.glob("dist-venv/*"))


def test_a_broken_source_date_epoch_is_told(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable and says what it must be."""
    (project / "pyproject.toml").write_text(PYPROJECT + TABLE.replace("hooks.", "targets."))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    told = refused(project, capfd, builder=PackVenvBuilder, directory=str(project / "out"))
    assert "SOURCE_DATE_EPOCH is invalid: it must be a whole number" in told


@pytest.mark.parametrize(("reproducible", "times"), [("true", {7}), ("false", None)])
def test_times_follow_hatchling(
    project: Path, reproducible: str, times: set[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every entry has SOURCE_DATE_EPOCH, or with `reproducible = false` its own time."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    text = f"[tool.hatch.build]\nreproducible = {reproducible}\n"
    (project / "pyproject.toml").write_text(PYPROJECT + text + TABLE)
    build(project)
    (archive,) = (project / "dist-venv").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        found = {int(member.mtime) for member in tar}
    assert found == times if times else len(found) > 1


def test_the_source_can_come_from_the_environment_variable(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HATCH_PACK_VENV_SOURCE overrides `source`."""
    (project / ".venv").unlink()
    monkeypatch.setenv("HATCH_PACK_VENV_SOURCE", str(environment))
    build(project)
    assert len(tree(project, "dist-venv")) == 3


@pytest.mark.parametrize("project_key", ["installed", "exclude"])
def test_the_project_can_stay_out(project: Path, project_key: str) -> None:
    """With `installed` or `exclude` the wheel just built is not packed."""
    (project / "pyproject.toml").write_text(PYPROJECT + TABLE + f'project = "{project_key}"\n')
    build(project)
    (facts,) = facts_below(project / "dist-venv")
    assert facts["manifest"]["distributions"] == []
