"""Sizes as they are written in options."""

from __future__ import annotations

import pytest

from hatch_pack_venv.model.results import parsed_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("250MB", 250_000_000),
        ("1GiB", 1 << 30),
        ("1.5 kib", 1536),
        ("7 B", 7),
        ("12", 12),
        ("2TB", 2 * 10**12),
        ("", None),
        ("MB", None),
        ("1iB", None),
        ("-1MB", None),
        ("1 M", None),
    ],
)
def test_sizes_are_read(text: str, size: int | None) -> None:
    """Units of 1000 and of 1024 are distinguished; a number without a unit is in bytes."""
    assert parsed_size(text) == size
