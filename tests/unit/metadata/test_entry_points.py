"""Entry points, read from their file."""

from __future__ import annotations

import pytest

from hatch_pack_venv.metadata.installed import parse_entry_points
from hatch_pack_venv.model.distribution import EntryPoint

MAIN = EntryPoint(name="my-tool", module="tool.cli", attr="main")


def test_entry_points() -> None:
    """Console and GUI scripts are read, extras and other groups left out."""
    text = (
        "# comment\n; another\n[console_scripts]\nmy-tool = tool.cli:main\r\n"
        "a.b c=m : C.run [extra,more]\n\n[other]\nnot an entry\nx = y\n"
        "[gui_scripts]\nwin:dow = naïve:f\n"
    )
    assert parse_entry_points(text) == [
        MAIN,
        EntryPoint(name="a.b c", module="m", attr="C.run"),
        EntryPoint(name="win:dow", module="naïve", attr="f", gui=True),
    ]
    assert parse_entry_points("") == []


@pytest.mark.parametrize(
    "line",
    ["x", "x =", "x = mod", "x = mod:", "= m:f", "x = m:f()", "x = m:1f", "x = m..n:f",
     "x = class:f", "x = m:f; import os", "../x = m:f", ".. = m:f", "x = m:f [a"],
)  # fmt: skip
def test_malformed_entry_points(line: str) -> None:
    """A line that names no function is an error that quotes it."""
    with pytest.raises(ValueError, match=r"^line 2, ") as caught:
        parse_entry_points(f"[console_scripts]\n{line}\n")
    assert repr(line) in str(caught.value)
