"""Compiled modules that find the libraries of a layer."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.binaries import compile_library, runpath
from support.fakes import SITE, file
from support.machine import needs
from support.trees import LayerStack

from hatch_pack_venv.binary.elf import ElfHeaders
from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.model.entries import DirectoryEntry, FileEntry, parents_of
from hatch_pack_venv.plan.links import without_links
from hatch_pack_venv.platforms.linux.search_paths import (
    AcrossLayers,
    collected_links,
    library_name,
    library_names,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("gcc")


@pytest.fixture
def stack(tmp_path: Path) -> LayerStack:
    """Make the folders."""
    return LayerStack(tmp_path)


def test_a_layer_collects_links_to_its_libraries(tmp_path: Path) -> None:
    """Libraries are linked by SONAME; extension modules and ambiguous names are not."""
    one = compile_library(tmp_path / "libone.so.1").read_bytes()
    module = compile_library(tmp_path / "_mod.cpython-311-x86_64-linux-gnu.so").read_bytes()
    entries: dict[str, Any] = {
        each.arcname: each
        for each in (
            file(f"{SITE}/one.libs/libone-0a1b.so.1.2", one),
            file(f"{SITE}/_mod.cpython-311-x86_64-linux-gnu.so", module),
            file(f"{SITE}/fake/libfake.so", b"no library"),
            file(f"{SITE}/fake/libone.py", b""),
        )
    }
    assert library_name(entries[f"{SITE}/fake/libfake.so"], HeaderReader()) is None
    libraries = library_names(entries.values(), HeaderReader())
    (link,), notes = collected_links(entries, libraries)
    assert link.arcname == "share/venv/dynlib/libone.so.1"
    assert link.linkname == f"../../../{SITE}/one.libs/libone-0a1b.so.1.2"
    assert notes == []
    again = file(f"{SITE}/two.libs/libone.so.1", one)
    libraries[again.arcname] = "libone.so.1"
    links, (note,) = collected_links({**entries, again.arcname: again}, libraries)
    assert links == []
    assert "have the same library name, libone.so.1, so layers above will find neither" in note
    chosen = replace(link, linkname="chosen")
    both = {**entries, again.arcname: again, chosen.arcname: chosen}
    assert collected_links(both, libraries) == ([], [])
    parents = [DirectoryEntry(arcname=each) for each in parents_of([*entries, link.arcname])]
    copied = without_links([*parents, *entries.values(), link])
    assert [type(each) for each in copied if each.arcname == link.arcname] == [FileEntry]


def test_a_module_finds_the_library_of_a_layer(stack: LayerStack, tmp_path: Path) -> None:
    """Its own search path stays first; modules that need no layer are not changed."""
    library = compile_library(stack.root / "base" / SITE / "one.libs/libone.so.1")
    libm = compile_library(tmp_path / "libm.so", "-lm")
    needing = compile_library(
        tmp_path / "_mod.so", "-Wl,--no-as-needed", str(library), *runpath("$ORIGIN/own")
    )
    across = AcrossLayers.of(
        stack.find(layers=["base"], dynlib_dirs=["base/share/venv/dynlib"]), [], HeaderReader()
    )
    plain = FileEntry(arcname=f"{SITE}/libm.so", content=str(libm), size=os.path.getsize(libm))
    for content in (str(needing), needing.read_bytes()):
        entry = FileEntry(arcname=f"{SITE}/p/_mod.so", content=content, size=needing.stat().st_size)
        changed, same = across.applied([entry, plain])
        assert same is plain
        assert isinstance(changed, FileEntry)
        path = tmp_path / "changed.so"
        assert isinstance(changed.content, bytes)
        path.write_bytes(changed.content)
        with path.open("rb") as stream:
            section = ElfHeaders.from_stream(stream)
        assert section is not None
        assert [text.text for text in section.search_paths] == [
            "$ORIGIN/own:$ORIGIN/../../../../../base/share/venv/dynlib"
        ]
    own = file(f"{SITE}/libone.so.1", library.read_bytes())
    layers = stack.find(layers=["base"], dynlib_dirs=["base/share/venv/dynlib"])
    assert [*AcrossLayers.of(layers, [own], HeaderReader()).applied([entry])] == [entry]
