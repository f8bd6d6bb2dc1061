"""Any tree, in every format: what an independent reader finds is the plan."""

from __future__ import annotations

import hashlib
import posixpath
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.archives import FORMATS, planned_content, read_archive
from support.fakes import file, folder, inputs, link, plan

from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from hatch_pack_venv import CompressionFormat
    from hatch_pack_venv.model.entries import Entry
    from hatch_pack_venv.model.plan import PackPlan
BORDERS = [512, 10_240, 1 << 15, 1 << 16, 1 << 18, 1 << 20]
SIZES = [0, 1, 511, 513, *(border + more for border in BORDERS for more in (-1, 0, 1))]

_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0\\")
_SHORT = st.text(_CHARACTERS, min_size=1, max_size=12)
_LONG = st.sampled_from(["a" * 255, "ä" * 127, "n\nl" * 60, "  ", " x ", "-rf", "*.py", "~"])
_NAMES = st.one_of(_SHORT, _LONG).filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= 255
)
_FOLDERS = st.one_of(
    st.lists(_NAMES, max_size=4),
    st.just(["d" * 51] * 5),  # 259 characters
    st.just(["deep" * 60] * 18),  # 4,337 characters
)


@st.composite
def trees(draw: st.DrawFn) -> PackPlan:
    """Draw a plan of files, empty folders and links between them."""
    entries: dict[str, Entry] = {}
    for number in range(draw(st.integers(1, 6))):
        parts = [f"t{number}", *draw(_FOLDERS), draw(_NAMES)]
        name = "/".join(parts)
        match draw(st.sampled_from(["file", "file", "folder", "link"])):
            case "file":
                content = _bytes(draw(st.sampled_from(SIZES)), number)
                suffix = draw(st.sampled_from(["", ".so", ".py"]))
                name = name[: len(name) - len(suffix)] + suffix if len(name) > 9 else name
                entries[name] = file(name, content, executable=draw(st.booleans()))
            case "folder":
                entries[name] = folder(name)
            case _:
                target = draw(st.sampled_from([*entries, ""]))
                if target:
                    text = posixpath.relpath(target, posixpath.dirname(name))
                    entries[name] = link(name, text, target)
    return plan(
        *entries.values(), inputs=inputs(install_target=draw(st.sampled_from([".", "a b"])))
    )


def _bytes(size: int, seed: int) -> bytes:
    """Return bytes of which half can be compressed."""
    noise = hashlib.shake_128(bytes([seed])).digest(min(size, 1 << 16))
    return ((noise + b"the same again " * 4096) * (size // 100_000 + 1))[:size]


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(planned=trees())
def test_any_tree_is_read_back_as_planned(format: CompressionFormat, planned: PackPlan) -> None:
    """Names, kinds, modes, bytes, link texts and order are the plan's, whatever the threads.

    The archive also passes `verify`.
    """
    with tempfile.TemporaryDirectory() as work:
        base = Path(work, "a")
        level = format.levels.fastest if format.levels else None
        (result,) = write_archives(
            planned, base, [format], compression=CompressionOptions(level=level, threads=2)
        )
        assert read_archive(result.path, format) == planned_content(planned, format)
        assert verify(result.path).findings == ()
        first = result.path.read_bytes()
        write_archives(
            planned, base, [format], compression=CompressionOptions(level=level, threads=1)
        )
        assert result.path.read_bytes() == first
