"""Headers and resources of Windows programs."""

from __future__ import annotations

import io

import pytest
from support.binaries import small_pe, with_resources
from support.windows import setuptools_launcher, stub

from hatch_pack_venv.binary.pe import PeFile


@pytest.mark.parametrize("machine", ["amd64", "arm64", "win32"])
def test_headers_tell_machine_and_version(machine: str) -> None:
    """The machine has the name that ends `sysconfig.get_platform()`."""
    program = PeFile.from_bytes(small_pe(machine, (6, 2), tail=b"appended"))
    assert program is not None
    assert (program.machine, program.version, program.gui) == (machine, (6, 2), False)
    assert program.end == len(small_pe(machine))
    assert not program.signed


@pytest.mark.parametrize(
    ("content", "machine", "gui"),
    [
        (stub(), "amd64", False),
        (stub("gui"), "amd64", True),
        (stub(machine="win-ia32"), "win32", False),
        (stub(machine="win-arm64"), "arm64", False),
        (setuptools_launcher(), "amd64", False),
        (setuptools_launcher(32), "win32", False),
    ],
    ids=["t64", "w64", "t32", "t64-arm", "cli-64", "cli-32"],
)
def test_real_launchers_are_read(content: bytes, machine: str, gui: bool) -> None:
    """Those of distlib and setuptools end where their last section does."""
    program = PeFile.from_stream(io.BytesIO(content))
    assert program is not None
    assert (program.machine, program.gui, program.end) == (machine, gui, len(content))


@pytest.mark.parametrize(
    "content", [b"", b"MZ", b"#!python", b"\x7fELF", b"MZ" + bytes(100), small_pe()[:200]]
)
def test_damaged_files_are_no_programs(content: bytes) -> None:
    """A truncated file, or one that is something else, gives `None`."""
    assert PeFile.from_bytes(content) is None


def test_resources_are_found_by_name() -> None:
    """Their bytes are read back unchanged, and other names are not found."""
    content = with_resources(stub(), {"ONE": b"first", "TWO": b"x" * 1000})
    program = PeFile.from_bytes(content)
    assert program is not None
    for name, expected in (("ONE", b"first"), ("TWO", b"x" * 1000)):
        found = program.resource(content, name)
        assert found is not None
        assert content[found.offset : found.offset + found.size] == expected
    assert program.resource(content, "THREE") is None


def test_resources_of_other_types_are_passed_over() -> None:
    """distlib's launcher has an icon and a version, but no named raw data."""
    program = PeFile.from_bytes(stub())
    assert program is not None
    assert program.resources
    assert program.resource(stub(), "ONE") is None


def test_a_damaged_resource_is_not_there() -> None:
    """A resource located outside the file is not an error."""
    content = with_resources(small_pe(), {"ONE": b"first"})
    program = PeFile.from_bytes(content)
    assert program is not None
    assert program.resource(content[:-0x1F0], "ONE") is None
