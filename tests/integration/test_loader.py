"""The search for shared libraries, compared with ldconfig and ldd where possible."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.binaries import compile_library, rpath, runpath
from support.machine import needs

from hatch_pack_venv.binary.elf import ElfFile
from hatch_pack_venv.platforms.linux.libraries import Loader

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("gcc")


def read(path: Path) -> ElfFile:
    file = ElfFile.from_path(path)
    assert file is not None
    return file


def place(loader: Loader, name: str, *chain: ElfFile) -> Path | None:
    file = loader.find(name, chain)
    return None if file is None else file.path


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """Return a loader that knows no folder of the system."""
    return Loader(cache=tmp_path / "no cache", folders=())


def test_the_cache_is_read_as_ldconfig_prints_it(tmp_path: Path) -> None:
    """Every x86-64 or AArch64 library that ldconfig lists is found in the same place."""
    command = [shutil.which("ldconfig", path="/sbin:/usr/sbin") or "ldconfig", "-p"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    kind = read(compile_library(tmp_path / "libmine.so"))
    expected: dict[str, str] = {}
    for line in lines[1:]:
        name, _, rest = line.strip().partition(" (")
        if "libc6,x86-64)" in rest or "libc6,AArch64)" in rest:
            expected.setdefault(name, rest.rpartition(" => ")[2])
    assert len(expected) > 20
    known = Loader(folders=())
    assert {name: str(place(known, name, kind)) for name in expected} == expected


def test_the_search_paths_count_as_for_the_real_loader(tmp_path: Path, loader: Loader) -> None:
    """DT_RPATH of the file and of what loaded it counts; its own DT_RUNPATH hides all others."""
    wanted = compile_library(tmp_path / "lib/libwanted.so.1")
    link = ("-Wl,--no-as-needed", str(wanted))
    above = read(compile_library(tmp_path / "bin/above.so", *rpath("$ORIGIN/../lib")))
    plain = read(compile_library(tmp_path / "a/plain.so", *link))
    own = read(compile_library(tmp_path / "b/own.so", *link, *runpath("${ORIGIN}/../lib")))
    hiding = read(compile_library(tmp_path / "c/hiding.so", *link, *runpath("$ORIGIN/nowhere")))
    later = read(compile_library(tmp_path / "d/later.so", *runpath("$ORIGIN/../lib")))
    assert plain.needed[0] == wanted.name
    assert place(loader, wanted.name, plain, above) == wanted
    assert place(loader, wanted.name, plain) is None
    assert place(loader, wanted.name, own) == wanted
    assert place(loader, wanted.name, hiding, above) is None
    assert place(loader, wanted.name, plain, later) is None
    listed = subprocess.run(["ldd", own.path], capture_output=True, text=True, check=True).stdout
    assert f"{wanted.name} => {tmp_path}/b/../lib/{wanted.name}" in listed


def test_libraries_of_another_machine_are_passed_over(tmp_path: Path) -> None:
    """A file with the right name that is for another processor, or not ELF, is skipped."""
    right = compile_library(tmp_path / "right/libwanted.so.1")
    other = bytearray(right.read_bytes())
    other[18:20] = b"\x16\x00"  # e_machine: IBM S/390
    for folder, content in (("other", bytes(other)), ("text", b"/* GNU ld script */")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / right.name).write_bytes(content)
    folders = [str(tmp_path / name) for name in ("other", "text", "right")]
    loader = Loader(cache=tmp_path / "no cache", folders=folders)
    assert place(loader, right.name, read(right)) == right


@pytest.mark.parametrize("content", [b"", b"ld.so-1.7.0", b"glibc-ld.so.cache1.1" + b"\xff" * 40])
def test_a_damaged_cache_holds_nothing(tmp_path: Path, content: bytes) -> None:
    """A cache that cannot be read is ignored, as the loader ignores it."""
    cache = tmp_path / "ld.so.cache"
    cache.write_bytes(content)
    mine = read(compile_library(tmp_path / "libmine.so"))
    assert place(Loader(cache=cache, folders=()), "libz.so.1", mine) is None
