"""The page of an inspection: areas are in proportion, and names are escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_pack_venv.cli.page import areas, page
from hatch_pack_venv.read.inspect import Inspection, Part


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_areas_are_in_proportion_and_do_not_overlap(sizes: list[int]) -> None:
    """Together they fill the whole; each has its share of it."""
    sizes.sort(reverse=True)
    found = areas(sizes)
    for size, area in zip(sizes, found, strict=True):
        assert area.width * area.height == pytest.approx(size / sum(sizes), rel=1e-6)
        assert -1e-9 <= area.x <= area.x + area.width <= 1 + 1e-6
        assert -1e-9 <= area.y <= area.y + area.height <= 1 + 1e-6


def test_equal_sizes_make_squares() -> None:
    """Nothing is drawn as a thin line where it can be helped."""
    for area in areas([1] * 12, ratio=1.0):
        assert 0.5 < area.width / area.height < 2


class Reader(HTMLParser):
    """Collects tags and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        """Note a tag."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def test_names_from_files_are_text() -> None:
    """Neither markup nor control characters in them take effect."""
    name = "<script>alert(1)</script>\x1b[2J"
    found = Inspection(
        path=Path(f"{name}.tar"),
        head={"name": name, "python": {}, "platform": {}, "content_digest": name},
        install_target="app",
        packed_size=1,
        size=3,
        entry_count=1,
        distributions=(Part(name=name, version="1", size=3, file_count=1),),
        rest=(),
        kinds=(),
        shares={f"{name} 1": {"data": 3}},
        left_out=({"why": name, "count": 1, "size": 2},),
    )
    reader = Reader()
    reader.feed(page([found]))
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>\\x1b[2J" in reader.text
    assert "\x1b" not in reader.text
