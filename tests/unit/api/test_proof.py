"""Which of several archives is run."""

from __future__ import annotations

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.api import proof


def test_every_format_has_its_place() -> None:
    """Every format, including new ones, is ranked by reading speed."""
    assert {*proof._FASTEST_FIRST} == {*CompressionFormat}
