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
from support.fakes import SITE

from hatch_pack_venv.binary.elf import ElfHeaders, VersionNeed
from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.requirements import Floor
from hatch_pack_venv.platforms.linux.requirements import (
    LinuxFileRequirements,
    LinuxRequirements,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


PYTHON = Path(sys.executable).resolve()


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
        section = ElfHeaders.from_stream(stream)
        return [] if section is None else list(section.versions)


def entries_of(paths: Iterable[Path]) -> list[FileEntry]:
    return [
        FileEntry(arcname=str(path).lstrip("/"), content=str(path), size=path.stat().st_size)
        for path in paths
    ]


def read(entries: list[FileEntry]) -> LinuxFileRequirements:
    """Read the requirements of files for the interpreter that runs the tests."""
    return LinuxFileRequirements.read(entries, PYTHON, HeaderReader())


def test_versions_are_those_that_pyelftools_reads() -> None:
    """Library, version and weakness agree for every real file, in order."""
    paths = real_files()
    assert len(paths) > 60
    assert {path: by_us(path) for path in paths} == {path: by_pyelftools(path) for path in paths}
    assert any(by_us(path) for path in paths)


def test_hundreds_of_files_take_no_time() -> None:
    """Reading takes less than two milliseconds of CPU time per file."""
    entries = entries_of(real_files())
    start = time.process_time()
    read(entries)
    assert time.process_time() - start < 0.002 * len(entries)


def test_a_launcher_tells_of_a_libstdcxx_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loader's error becomes one sentence; all other errors go to the previous hook."""
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
    """Tags follow PEP 600 and PEP 656; with nothing compiled the tag is the platform's."""
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
    """If the target provides libstdc++, the tag is one whose systems have that version."""
    needs = LinuxRequirements(
        libc="glibc",
        glibc=Floor(version=glibc, file="x.so"),
        glibcxx=Floor(version=glibcxx, file="x.so"),
    )
    assert needs.platform_tag("linux_x86_64") == tag


def test_tags_of_other_machines_begin_where_theirs_do() -> None:
    """No manylinux tag of another machine is below 2.17; tags of other systems stay."""
    needs = LinuxRequirements(libc="glibc", glibc=Floor(version=(2, 4), file="x"))
    assert needs.platform_tag("linux_aarch64") == "manylinux_2_17_aarch64"
    assert needs.platform_tag("macosx_11_0_arm64") == "macosx_11_0_arm64"


def test_launchers_check_what_the_interpreter_does_not() -> None:
    """They check only what exceeds the interpreter's own floor, and name the file."""
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
    """Versions compare as numbers, a distributor's suffix is ignored, another libc has no glibc."""

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
