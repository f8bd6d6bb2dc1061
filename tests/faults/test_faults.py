"""Faults of system calls: one sentence, and either the whole output or the earlier one.

The suite tries some of the calls; `python -m tests.faults` tries all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import needs

from .driver import OPERATIONS
from .running import compiled, driven

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("gcc"), pytest.mark.slow]
# The calls that every operation makes; if one is missing, the shim does not see it.
CALLS = {"open64", "read", "close", "fstat64"}
WRITES = {"write", "rename", "unlink", "chmod"}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the shim."""
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_is_a_sentence_and_nothing_is_lost(
    shim: Path, tmp_path: Path, operation: str
) -> None:
    """Errors, signals and limits are tried at some of the calls, the same ones in every run."""
    (found,) = driven(shim, tmp_path / "scene", 61, operation).values()
    assert found["problems"] == []
    calls = CALLS if operation in ("verify", "inspect") else CALLS | WRITES
    assert calls - {"rename", "unlink"} <= found["calls"].keys()
    assert sum(found["tried"].values()) >= 20
    assert sum(found["failed"].values()) >= 6
