"""What a target must have, read from compiled shared objects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.binaries import compile_library, compile_needing_glibc, rpath, runpath
from support.environments import run, tool
from support.fakes import SITE, file, inputs, plan
from support.machine import needs

from hatch_pack_venv.binary.elf import ElfFile
from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.requirements import Floor, describe_requirements
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.platforms.linux.requirements import (
    LinuxFileRequirements,
    LinuxRequirements,
    SymbolRequirements,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

pytestmark = needs("gcc")

PYTHON = Path(sys.executable).resolve()


STDCXX = "libstdc++.so.6"


def entries_of(paths: Iterable[Path]) -> list[FileEntry]:
    return [
        FileEntry(arcname=str(path).lstrip("/"), content=str(path), size=path.stat().st_size)
        for path in paths
    ]


def read(entries: list[FileEntry]) -> LinuxFileRequirements:
    """Read what files require, with the interpreter that runs the tests."""
    return LinuxFileRequirements.read(entries, PYTHON, HeaderReader())


def test_the_highest_version_and_its_file_are_found(tmp_path: Path) -> None:
    """The file with the highest requirement is named, whatever the order."""
    high = compile_needing_glibc(tmp_path / "b/high.so", "9.100")
    lower = compile_needing_glibc(tmp_path / "a/lower.so", "9.99")
    entries = [*entries_of([lower, high, PYTHON]), file("note.so", b"\x7fELF damaged")]
    for order in (entries, entries[::-1]):
        needs = read(order).of(order)
        assert needs.glibc == Floor(version=(9, 100), file=str(high)[1:])
        assert needs.platform_tag("linux_x86_64") == "manylinux_9_100_x86_64"


def test_a_file_that_stands_for_another_counts_alone(tmp_path: Path) -> None:
    """The floor of a file that a wheel replaces does not count."""
    high = entries_of([compile_needing_glibc(tmp_path / "x.so", "9.99")])
    over = [FileEntry(arcname=high[0].arcname, content=str(PYTHON), size=PYTHON.stat().st_size)]
    needs = read([*high, *over]).of([*high, *over])
    assert needs.glibc is not None
    assert needs.glibc.version < (9,)


def test_files_of_other_machines_do_not_count(tmp_path: Path) -> None:
    """A library for another processor is data."""
    path = compile_needing_glibc(tmp_path / "x.so", "9.99")
    content = bytearray(path.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
    entries = [file("x.so", bytes(content))]
    assert read(entries).of(entries) == LinuxRequirements()


@pytest.mark.parametrize("library", ["libstdc++.so.6", "libstdc++-1b2c3d.so.6"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_packed_libstdcxx_asks_nothing_of_the_target(
    tmp_path: Path, library: str, packed: bool
) -> None:
    """GLIBCXX counts where the system's library has to have it."""
    user = compile_needing_glibc(tmp_path / "user.so", "3.4.99", node="GLIBCXX", library=library)
    entries = entries_of([user])
    if packed:
        content = compile_library(tmp_path / library).read_bytes()
        entries.append(FileEntry.from_bytes(f"lib/{library}", content))
    needs = read(entries).of(entries)
    counts = library == "libstdc++.so.6" and not packed
    assert (needs.glibcxx is not None) == counts
    if counts:
        assert describe_requirements(needs.facts("linux_x86_64"))[-1].startswith(
            "libstdc++ with GLIBCXX 3.4.99 or later ("
        )


@pytest.mark.parametrize("flags", [runpath, rpath])
def test_a_libstdcxx_in_the_same_wheel_asks_nothing_of_the_target(
    tmp_path: Path, flags: Callable[[str], tuple[str, str]]
) -> None:
    """What a file finds by its own search path counts only if it is packed."""
    path = compile_needing_glibc(tmp_path / "user.so", "3.4.99", node="GLIBCXX", library=STDCXX)
    run(tool("patchelf"), *(["--force-rpath"] if flags is rpath else []), "--set-rpath",
        "/nowhere:${ORIGIN}/../pkg.libs", path)  # fmt: skip
    user = FileEntry.from_bytes(f"{SITE}/pkg/user.so", path.read_bytes())
    content = compile_library(tmp_path / STDCXX).read_bytes()
    beside = FileEntry.from_bytes(f"{SITE}/pkg.libs/{STDCXX}", content)
    elsewhere = FileEntry.from_bytes(f"{SITE}/other.libs/{STDCXX}", content)
    assert read([user]).of([user, beside]).glibcxx is not None
    for entries, asks in (([user, beside], False), ([user, elsewhere], True)):
        assert (read(entries).of(entries).glibcxx is not None) == asks


def bundle_files(tmp_path: Path, module: str, *, user: str | None = None) -> list[FileEntry]:
    """Return a bundle with a standard library module that loads a library for glibc 9.99."""
    library = compile_needing_glibc(tmp_path / "libfuture.so.1", "9.99")
    middle = compile_library(tmp_path / "libmiddle.so.1", "-Wl,--no-as-needed", str(library))
    loader = compile_library(tmp_path / "loader.so", "-Wl,--no-as-needed", str(middle))
    python = compile_needing_glibc(tmp_path / "python", "2.35")
    files = {
        "bin/python3.11": python,
        f"lib/python3.11/lib-dynload/{module}.cpython-311-x86_64-linux-gnu.so": loader,
        "lib/libfuture.so.1": library,
        "lib/libmiddle.so.1": middle,
        **({} if user is None else {user: loader}),
    }
    return [FileEntry.from_bytes(name, path.read_bytes()) for name, path in files.items()]


def test_what_hardly_any_application_imports_refuses_no_system(tmp_path: Path) -> None:
    """A library bundled only for crypt is reported, but affects neither the tag nor the check."""
    entries = bundle_files(tmp_path, "_crypt")
    needs = read(entries).of(entries)
    facts = needs.facts("linux_x86_64")
    assert facts["tag"] == "manylinux_2_35_x86_64"
    assert facts["seldom"] == [{"module": "crypt", "version": "9.99", "file": "lib/libfuture.so.1"}]
    assert describe_requirements(facts) == [
        "glibc 2.35 or later (bin/python3.11)",
        "glibc 9.99 or later for crypt alone (lib/libfuture.so.1)",
    ]
    assert needs.check() == ""


@pytest.mark.parametrize(
    ("module", "user"),
    [("_ssl", None), ("_crypt", f"{SITE}/pkg/_x.so"), ("_crypt", "lib/libpython3.11.so.1.0")],
)
def test_what_anything_else_loads_counts(tmp_path: Path, module: str, user: str | None) -> None:
    """A common module, a package or the interpreter itself that loads it makes it a floor."""
    entries = bundle_files(tmp_path, module, user=user)
    needs = read(entries).of(entries)
    assert needs.glibc == Floor(version=(9, 99), file="lib/libfuture.so.1")
    assert needs.optional_modules == {}
    # What the interpreter needs to start is reported by the loader itself.
    assert (needs.check() == "") == (user == "lib/libpython3.11.so.1.0")


def test_a_library_of_musl_is_known_by_its_name(tmp_path: Path) -> None:
    """What needs libc.musl-x86_64.so.1 is for musl."""
    compile_library(tmp_path / "libc.musl-x86_64.so.1", "-nostdlib")
    user = compile_library(
        tmp_path / "user.so", "-nostdlib", f"-L{tmp_path}", "-l:libc.musl-x86_64.so.1",
        "-Wl,--no-as-needed", source="extern int x; int *y = &x;",
    )  # fmt: skip
    file = ElfFile.from_path(user)
    assert file is not None
    assert SymbolRequirements.of(file.headers).libc == "musl"


def test_left_out_files_ask_for_nothing(tmp_path: Path) -> None:
    """A file that a pattern excludes does not affect the tag."""
    high = compile_needing_glibc(tmp_path / "x.so", "9.99").read_bytes()
    entries = [file(f"{SITE}/a/x.so", high)]
    floors = read(entries)
    packed = plan(*entries, inputs=inputs(floors=floors))
    assert packed.platform_tag == "manylinux_9_99_x86_64"
    assert packed.needs == ("glibc 9.99 or later (a/x.so)",)
    selection = Selection(exclude=("*.so",))
    packed = plan(*entries, inputs=inputs(floors=floors, selection=selection))
    assert (packed.platform_tag, packed.needs) == ("linux_x86_64", ())
