"""Damaged input of every kind gives a result or a sentence; `python -m tests.fuzz` tries more."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .bounds import OutOfBoundsError, bounded, peak
from .finds import finds
from .targets import TARGETS, clear

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _scratch() -> Iterator[None]:
    yield
    clear()


@pytest.mark.parametrize("name", TARGETS)
def test_damage_is_a_result_or_a_sentence(name: str) -> None:
    """Some damage, the same in every run, and every earlier find are handled within bounds."""
    target = TARGETS[name]

    # The random numbers come from hypothesis, so that it can shrink an example.
    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.builds(target.make, st.randoms(use_true_random=False)))
    def holds(data: bytes) -> None:
        with bounded(target.memory):
            target.try_(data)

    for data in finds().get(name, ()):
        holds = example(data)(holds)
    holds()


def test_what_was_found_is_of_a_target() -> None:
    """Every earlier find names an existing target, so none is forgotten after a renaming."""
    assert finds().keys() <= TARGETS.keys()


def test_what_takes_long_is_told() -> None:
    """Input that takes too much CPU time, which a busy machine does not change, is reported."""
    with pytest.raises(OutOfBoundsError), bounded(1 << 20):
        all(number >= 0 for number in itertools.count())


def test_what_takes_much_is_told() -> None:
    """Too much memory is reported, whether it is used or only asked for."""
    with pytest.raises(OutOfBoundsError), bounded(1 << 20):
        len(b"x" * (peak() + (64 << 20)))
    with pytest.raises(MemoryError), bounded(1 << 20):
        bytearray(1 << 40)
