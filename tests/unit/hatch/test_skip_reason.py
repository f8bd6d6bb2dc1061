"""When a build is not packed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.hatch.skip_reason import skip_reason

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("folder", "packs"),
    [
        ("project/dist", True),
        ("project/build/tmpabcd1234", True),
        ("elsewhere/wheels", True),
        ("tmp/wheels", True),
        ("tmp/tmpabcd_123", False),
        ("tmp/pip-wheel-ab12cd_3/x", False),
        ("tmp/pip-ephem-wheel-cache-abcd1234/wheels/a/b", False),
        ("tmp/.tmpAbC123/wheel", False),
        ("cache/builds-v0/x", False),
        ("uv/anything", False),
    ],
)
def test_occasions(
    tmp_path: Path, folder: str, packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generated folders in the temporary folder, and caches, belong to front ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "CACHEDIR.TAG").touch()
    (tmp_path / "project").mkdir()
    environ = {"UV_CACHE_DIR": str(tmp_path / "uv")}
    reason = skip_reason(tmp_path / "project", tmp_path / folder, "standard", environ)
    assert (reason is None) is packs


def test_a_cache_that_is_nowhere_is_none(tmp_path: Path) -> None:
    """A variable may name a link that leads in a loop."""
    (tmp_path / "loop").symlink_to("loop")
    environ = {"XDG_CACHE_HOME": str(tmp_path / "loop")}
    assert skip_reason(tmp_path / "a", tmp_path / "b", "standard", environ) is None


def test_a_project_in_a_generated_folder_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that is itself in a temporary folder is treated like any other."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    project = tmp_path / "tmpabcd1234" / "project"
    project.mkdir(parents=True)
    assert skip_reason(project, project.parent / "out", "standard", {}) is None
