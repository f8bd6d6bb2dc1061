"""The table that a project configures its archives in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.config.project_table import ProjectTable
from hatch_pack_venv.model.errors import OptionsError

if TYPE_CHECKING:
    from pathlib import Path

HOOK = '[tool.hatch.build.hooks.pack-venv]\nformat = "tar"\ndependencies = ["x"]\n'
WHEEL_HOOK = '[tool.hatch.build.targets.wheel.hooks.pack-venv]\nformat = "zip"\n'
TARGET = '[tool.hatch.build.targets.pack-venv]\nformat = "tar.gz"\ninclude = ["x"]\n'


def found(root: Path, pyproject: str, hatch: str | None = None) -> ProjectTable | None:
    (root / "pyproject.toml").write_text(pyproject)
    if hatch is not None:
        (root / "hatch.toml").write_text(hatch)
    return ProjectTable.find(root)


@pytest.mark.parametrize(
    ("text", "where", "format"),
    [
        (HOOK, "tool.hatch.build.hooks.pack-venv", "tar"),
        (HOOK + WHEEL_HOOK, "tool.hatch.build.targets.wheel.hooks.pack-venv", "zip"),
        (HOOK + TARGET, "tool.hatch.build.targets.pack-venv", "tar.gz"),
        (
            HOOK + "[tool.hatch.build.targets.pack-venv]\n",
            "tool.hatch.build.hooks.pack-venv",
            "tar",
        ),
    ],
)
def test_the_table_that_counts(tmp_path: Path, text: str, where: str, format: str) -> None:
    """The target's own keys come first, then the wheel's hook; hatchling's keys are left out."""
    table = found(tmp_path, f'[project]\nname = "A.b"\n{text}')
    assert table is not None
    assert (table.where, table.table, table.name) == (where, {"format": format}, "A.b")


def test_an_empty_table_configures(tmp_path: Path) -> None:
    """A hook or target without keys is configured, too; a project with neither is not."""
    assert found(tmp_path, "[project]\n") is None
    for where in ("hooks", "targets"):
        assert found(tmp_path, f"[tool.hatch.build.{where}.pack-venv]\n") is not None
    assert found(tmp_path, 'tool = "x"\n') is None


def test_hatch_toml_replaces_the_build_table(tmp_path: Path) -> None:
    """Its table counts, with its file and path; if it has no `build`, pyproject.toml's counts."""
    table = found(tmp_path, HOOK, '[build.targets.pack-venv]\nsource = "env"\n')
    assert table is not None
    assert (table.file, table.where) == ("hatch.toml", "build.targets.pack-venv")
    table = found(tmp_path, HOOK, "[envs.x]\n")
    assert table is not None
    assert (table.file, table.table) == ("pyproject.toml", {"format": "tar"})


@pytest.mark.parametrize("content", [b"x = ", b"\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    """One sentence with the path."""
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(OptionsError, match=r"the configuration cannot be read: .*/pyproject\.toml"):
        ProjectTable.find(tmp_path)
