"""Which archive of several is run."""

from __future__ import annotations

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.api import proof


def test_every_format_has_its_place() -> None:
    """A format that is added says how fast it is read."""
    assert {*proof._FASTEST_FIRST} == {*CompressionFormat}
