"""Ceilings: which files exceed one, who owns them, and what helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, inputs, plan

from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.model.interpreter import Trim
from hatch_pack_venv.model.requirements import Ceiling, exceeds
from hatch_pack_venv.platforms.linux.requirements import (
    LinuxFileRequirements,
    SymbolRequirements,
)

if TYPE_CHECKING:
    from hatch_pack_venv.model.entries import Content

KIND = (62, True, "<")


@pytest.mark.parametrize(
    ("version", "limit", "above"),
    [
        ((2, 29), (2, 28), True),
        ((2, 28), (2, 28), False),
        ((2, 2, 5), (2, 28), False),
        ((13, 0), (13,), False),
        ((13, 1), (13,), True),
        ((10, 16), (13,), False),
        ((2, 40), None, False),
    ],
)
def test_versions_are_compared_by_their_numbers(
    version: tuple[int, ...], limit: tuple[int, ...] | None, above: bool
) -> None:
    """A limit allows itself at any length; without a limit everything is allowed."""
    assert exceeds(version, limit) is above


NEEDS = {
    f"{SITE}/new/a.so": (2, 34),
    f"{SITE}/new/b.so": (2, 29),
    f"{SITE}/old.so": (2, 17),
    f"{SITE}/mine.so": (2, 33),
    "lib/python3.11/lib-dynload/_crypt.cpython-311.so": (2, 36),
}


def problems(limit: tuple[int, ...] | None) -> list[str]:
    new, old = distribution("new", f"{SITE}/new/a.so", f"{SITE}/new/b.so"), distribution("old")
    symbols: dict[Content, SymbolRequirements] = {
        name.encode(): SymbolRequirements(kind=KIND, libc="glibc", glibc=version)
        for name, version in NEEDS.items()
    }
    try:
        plan(
            *(file(name, name.encode()) for name in NEEDS),
            environment=environment(new, old),
            inputs=inputs(
                floors=LinuxFileRequirements(symbols), ceiling=Ceiling(glibc=limit, macos=(11,))
            ),
        )
    except PlanError as error:
        return list(error.problems)
    return []


def test_each_file_above_a_ceiling_is_named_with_its_owner() -> None:
    """One sentence per owner: a distribution, an optional module, anything else."""
    new, other, crypt = sorted(problems((2, 28)))
    assert new == (
        f'new 1.0 needs more than max-glibc = "2.28" allows: {SITE}/new/a.so (glibc 2.34),'
        f" {SITE}/new/b.so (glibc 2.29); install a wheel built for older systems, perhaps of an"
        " earlier version (uv pip install --python-platform x86_64-manylinux_2_28 …)"
    )
    assert f"{SITE}/mine.so (glibc 2.33)" in other
    assert 'interpreter = "target"' in other
    assert 'interpreter-trim = ["crypt"]' in crypt
    assert "old.so" not in new + other + crypt


def test_below_a_ceiling_everything_is_packed() -> None:
    """Files within the ceiling, or without one, are no problem."""
    assert problems((2, 36)) == []
    assert problems(None) == []


def test_a_module_is_left_out_by_its_extension_alone() -> None:
    """The Python module that reports a missing extension module stays."""
    trim = Trim(modules=("crypt", "dbm.gnu"))
    cut = ["_crypt.cpython-311-x86_64-linux-gnu.so", "_gdbm.cpython-311.so", "_crypt.so"]
    assert all(trim.cuts(Path(name)) for name in cut)
    kept = ["crypt.py", "_dbm.cpython-311.so", "_crypt_more.so", "_crypt.py"]
    assert not any(trim.cuts(Path(name)) for name in kept)
    assert trim.cuts(Path("idlelib"))
    assert trim.value == "default, crypt, dbm.gnu"
