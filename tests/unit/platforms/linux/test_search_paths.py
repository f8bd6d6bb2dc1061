"""Search paths of extension modules, in ELF files made by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.binaries import DT_NEEDED, DT_RPATH, DT_RUNPATH, make_elf
from support.fakes import INTERPRETER, SITE, environment, file, link

from hatch_pack_venv.binary.elf import ElfHeaders
from hatch_pack_venv.model.entries import FileEntry, PatchedFile, SymlinkEntry, TargetKind
from hatch_pack_venv.platforms.linux.search_paths import SearchPaths

if TYPE_CHECKING:
    from pathlib import Path

MODULE = f"{SITE}/pkg/_x.cpython-311-x86_64-linux-gnu.so"
BASE = INTERPRETER.base_prefix
BASE_LIB = f"{BASE}/lib/python3.11/config/../.."  # long enough for what replaces it


def paths_of(elf: bytes) -> list[tuple[int, str]]:
    section = ElfHeaders.from_stream(io.BytesIO(elf))
    assert section is not None
    return [(text.kind, text.text) for text in section.search_paths]


def portable(elf: bytes, arcname: str = MODULE, *, bundled: bool = True) -> bytes:
    paths = SearchPaths(environment=environment(), bundled=bundled)
    entry = paths.portable_file(file(arcname, elf))
    assert isinstance(entry.content, bytes)
    assert len(entry.content) == len(elf)
    return entry.content


KINDS = pytest.mark.parametrize("kind", [DT_RPATH, DT_RUNPATH])


@KINDS
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_folders_inside_become_relative_and_the_bases_library_too(
    kind: int, wide: bool, order: str
) -> None:
    """The kind of tag and foreign folders stay, in files of every class and byte order."""
    text = f"$ORIGIN/../x.libs:/build/env/lib/python3.11/site-packages/pkg:{BASE_LIB}:/usr/lib/cuda"
    elf = make_elf((DT_NEEDED, "libc.so.6"), (kind, text), wide=wide, order=order)
    changed = portable(elf)
    assert paths_of(changed) == [(kind, "$ORIGIN/../x.libs:$ORIGIN:$ORIGIN/../../..:/usr/lib/cuda")]
    section = ElfHeaders.from_stream(io.BytesIO(changed))
    assert section is not None
    assert section.needed == ("libc.so.6",)


@KINDS
@pytest.mark.parametrize(("bundled", "folder"), [(False, BASE_LIB), (True, f"{BASE}/lib/x")])
def test_what_is_not_packed_is_dropped(kind: int, bundled: bool, folder: str) -> None:
    """Only the base interpreter's `lib` is packed, and only in bundled mode."""
    elf = make_elf((kind, f"{folder}:$ORIGIN"))
    assert paths_of(portable(elf, bundled=bundled)) == [(kind, "$ORIGIN")]


@KINDS
def test_a_search_path_that_loses_all_goes(kind: int) -> None:
    """The tag is taken out, other tags stay, and the text is wiped."""
    elf = make_elf((kind, str(BASE / "lib")), (DT_NEEDED, "libm.so.6"))
    changed = portable(elf, bundled=False)
    section = ElfHeaders.from_stream(io.BytesIO(changed))
    assert section is not None
    assert (section.search_paths, section.needed) == ((), ("libm.so.6",))
    assert len(section.tags) == 4
    assert str(BASE).encode() not in changed


def test_without_room_the_bases_library_is_dropped() -> None:
    """Modules that the interpreter loads find it through the interpreter's own search path."""
    assert str(BASE / "lib") == "/opt/python/lib"
    elf = make_elf((DT_RUNPATH, "/opt/python/lib"))
    assert paths_of(portable(elf)) == []
    assert paths_of(portable(elf, "lib/x.so")) == [(DT_RUNPATH, "$ORIGIN")]


def test_a_text_that_another_name_shares_is_not_overwritten() -> None:
    """Linkers merge a name with the end of another one; the leak scan reports such a text."""
    text = f"{BASE_LIB}:$ORIGIN"
    end_of_text = 1 + text.index("lib/python3.11")
    shared = make_elf((DT_RUNPATH, text), symbol_at=end_of_text)
    assert portable(shared) == shared
    pruned = make_elf((DT_RUNPATH, text), (DT_NEEDED, "x"), symbol_at=1 + len(text) + 1)
    assert paths_of(portable(pruned)) == [(DT_RUNPATH, "$ORIGIN/../../..:$ORIGIN")]


def test_a_shared_text_does_not_keep_the_tag() -> None:
    """If no folder remains, the tag goes even though the text has to stay."""
    elf = make_elf((DT_RUNPATH, "/opt/python/lib"), symbol_at=13)
    changed = portable(elf, bundled=False)
    assert paths_of(changed) == []
    assert b"/opt/python/lib" in changed


def test_both_tags_of_one_text_change_together() -> None:
    """Old linkers wrote DT_RPATH and DT_RUNPATH side by side."""
    elf = make_elf((DT_RPATH, BASE_LIB), (DT_RUNPATH, BASE_LIB))
    assert {text for _, text in paths_of(portable(elf))} == {"$ORIGIN/../../.."}


def test_a_foreign_text_keeps_every_byte() -> None:
    """Duplicate folders stay if nothing else changes."""
    elf = make_elf((DT_RPATH, "$ORIGIN:/usr/lib/x:$ORIGIN"))
    assert portable(elf) == elf


def test_copies_of_the_interpreter_keep_theirs() -> None:
    """Without links, `bin/python` is a copy that has to run until it is replaced."""
    entry = file("bin/python3", make_elf((DT_RUNPATH, "/opt/python/lib")))
    paths = SearchPaths(environment=environment(), bundled=False)
    assert list(paths.made_portable([entry])) == [entry]


def test_a_system_pythons_folders_are_everyones() -> None:
    """`/usr/lib` stays where the base interpreter is the system's."""
    system = environment(
        interpreter=replace(INTERPRETER, base_prefix=INTERPRETER.base_prefix.__class__("/usr"))
    )
    elf = make_elf((DT_RUNPATH, "/usr/lib/x86_64-linux-gnu"))
    paths = SearchPaths(environment=system, bundled=True)
    assert paths.portable_file(file(MODULE, elf)).content == elf


@pytest.mark.parametrize("length", [0, 3, 16, 40, 64, 100, 190, 240])
def test_damaged_files_are_left_alone(length: int) -> None:
    """Test data of packages contains such files; a truncated file is packed unchanged."""
    elf = make_elf((DT_RUNPATH, "$ORIGIN"))[:length]
    assert portable(elf) == elf


def test_a_file_on_disk_is_patched_in_the_copy_only(tmp_path: Path) -> None:
    """The entry carries patches and the copy's hash; the file keeps its bytes."""
    elf = make_elf((DT_RUNPATH, BASE_LIB))
    (tmp_path / "x.so").write_bytes(elf)
    entry = FileEntry(arcname=MODULE, content=str(tmp_path / "x.so"), size=len(elf))
    outside = replace(
        link(MODULE, "/cache/x.so", "/cache/x.so", TargetKind.EXTERNAL_FILE), copies=(entry,)
    )
    paths = SearchPaths(environment=environment(), bundled=True)
    found, behind_link = paths.made_portable([entry, outside])
    assert isinstance(behind_link, SymlinkEntry)
    assert behind_link.copies == (found,)
    assert isinstance(found, FileEntry)
    assert isinstance(found.content, PatchedFile)
    assert found.content.sha256 is not None
    assert (tmp_path / "x.so").read_bytes() == elf
