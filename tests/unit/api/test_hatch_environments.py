"""Hatch's own lock file (Hatch 1.17 and later) counts where Hatch locks the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.api.hatch_environments import lock_of_hatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "configuration", "expected"),
    [
        ("prod", "[tool.hatch.envs.prod]\nlocked = true\n", "pylock.prod.toml"),
        ("prod", "[tool.hatch]\nlock-envs = true\n", "pylock.prod.toml"),
        ("prod", "[tool.hatch.envs.default]\nlocked = true\n", "pylock.prod.toml"),
        ("prod", "[tool.hatch]\nlock-envs = true\n[tool.hatch.envs.prod]\nlocked = false\n", None),
        ("default", "[tool.hatch.envs.default]\nlocked = true\n", "pylock.toml"),
        ("test.py3.12", "[tool.hatch]\nlock-envs = true\n", "pylock.test-py3-12.toml"),
        (
            "prod",
            '[tool.hatch.envs.prod]\nlocked = true\nlock-filename = "locks/{env_name}.toml"\n',
            "locks/prod.toml",
        ),
        (
            "prod",
            "[tool.hatch.envs]\nprod.detached = true\ndefault.locked = true\n",
            None,
        ),
        ("prod", "", None),
    ],
)
def test_a_locked_environment_has_a_lock_file(
    tmp_path: Path, name: str, configuration: str, expected: str | None
) -> None:
    """Its name is the one that Hatch gives it; another tool's `pylock.toml` is ignored."""
    (tmp_path / "pyproject.toml").write_text(configuration)
    (tmp_path / "locks").mkdir()
    for file in ("pylock.toml", "pylock.prod.toml", "pylock.test-py3-12.toml", "locks/prod.toml"):
        (tmp_path / file).write_text("")
    found = lock_of_hatch(tmp_path, name)
    assert found == (None if expected is None else tmp_path / expected)


def test_a_lock_file_that_is_not_there_yet_is_not_required(tmp_path: Path) -> None:
    """Hatch makes it when the environment is made."""
    (tmp_path / "pyproject.toml").write_text("[tool.hatch]\nlock-envs = true\n")
    assert lock_of_hatch(tmp_path, "prod") is None
