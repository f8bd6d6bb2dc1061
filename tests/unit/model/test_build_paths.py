"""Folders that reveal something about the build machine, and those that every machine has."""

from __future__ import annotations

import pytest

from hatch_pack_venv.model.build_paths import (
    is_tellable,
)


@pytest.mark.parametrize(
    ("folder", "tellable"),
    [
        *((folder, False) for folder in ("/usr", "/usr/local", "/opt", "/", "~", "/var/lib")),
        *((folder, True) for folder in ("/opt/python", "/home/alice", "/usr/local/python3")),
    ],
)
def test_folders_of_every_machine_tell_nothing(folder: str, tellable: bool) -> None:
    """A system folder such as `/usr` is not searched for, even as a base prefix."""
    assert is_tellable(folder) is tellable
