"""What hatch clean and --clean remove: archives that are proven to be ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from support.projects import build, files

from hatch_pack_venv.hatch.release import remove_archives
from hatch_pack_venv.hatch.target import PackVenvBuilder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


PACKED = ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]


# Cleaning


def test_cleaning_removes_what_is_proven_ours(project: Path) -> None:
    """Archives are removed with their facts, and so is the folder if it is then empty."""
    build(project)
    build(project, clean_only=True)
    assert files(project, "dist") == []
    assert not (project / "dist-venv").exists()


def test_cleaning_after_the_hooks_leaves_no_archive(project: Path) -> None:
    """`--clean-hooks-after` removes what the hook has made, and not the wheel."""
    build(project, clean_hooks_after=True)
    assert files(project, "dist") == ["my_app-1.0-py3-none-any.whl"]
    assert not (project / "dist-venv").exists()


def test_a_build_with_clean_replaces(project: Path) -> None:
    """`--clean` removes the archive of another version before it packs."""
    build(project)
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('"1.0"', '"2.0"'))
    build(project, clean=True)
    assert len(list((project / "dist-venv").iterdir())) == 3


def test_the_target_cleans_its_folder(project: Path) -> None:
    """`hatch clean -t pack-venv` removes archives; a clean of the sdist does not."""
    build(project)
    build(project, SdistBuilder, clean_only=True)
    assert files(project, "dist-venv") == PACKED
    build(project, PackVenvBuilder, directory=None, clean_only=True)
    assert not (project / "dist-venv").exists()


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def retell(path: Path, **facts: Any) -> None:
    path = path.with_name(f"{path.name}.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.mark.parametrize(
    "act",
    [
        change,
        lambda path: path.with_name(f"{path.name}.json").unlink(),
        lambda path: retell(path, manifest={"format_version": 1, "name": "another"}),
        lambda path: retell(path, archive="another.tar.gz"),
        lambda path: retell(path, sha256="0" * 64),
        lambda path: path.with_name(f"{path.name}.json").write_text("[]"),
    ],
    ids=["changed", "no facts", "another project's", "misnamed", "another hash", "no object"],
)
def test_cleaning_keeps_what_is_not_proven_ours(
    project: Path, act: Callable[[Path], object]
) -> None:
    """An archive that does not match its facts is kept, and so are other files."""
    build(project)
    (archive,) = (project / "dist-venv").glob("*.tar.gz")
    (project / "dist-venv" / "package.json").write_text("{}")
    act(archive)
    before = files(project, "dist-venv")
    build(project, clean_only=True)
    assert files(project, "dist-venv") == before


def test_cleaning_follows_no_links(project: Path, tmp_path: Path) -> None:
    """A link in the archive's place is not the archive."""
    build(project)
    (archive,) = (project / "dist-venv").glob("*.tar.gz")
    archive.rename(tmp_path / "elsewhere")
    archive.symlink_to(tmp_path / "elsewhere")
    assert remove_archives(project / "dist-venv", "my-app") == []


def test_cleaning_for_an_installation_or_a_skip_removes_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`HATCH_BUILD_CLEAN=1 pip install .` does not take a release away."""
    build(project)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    build(project, clean_only=True, directory=str(tmp_path / "pip-wheel-abcd1234"))
    assert files(project, "dist-venv") == PACKED
    monkeypatch.setenv("HATCH_PACK_VENV_SKIP", "1")
    build(project, clean_only=True)
    assert files(project, "dist-venv") == PACKED
