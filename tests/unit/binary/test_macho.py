"""Mach-O files, made by hand, as dyld reads them."""

from __future__ import annotations

import io

import pytest
from support.binaries import (
    EXECUTABLE,
    IOS,
    LIBRARY,
    LOAD,
    LOAD_WEAK,
    REEXPORT,
    build_version,
    fat,
    module,
    signature,
    text_command,
    thin,
    version_min,
)

from hatch_pack_venv.binary.macho import Load, MachO, Slice


def read(content: bytes) -> MachO | None:
    return MachO.from_stream(io.BytesIO(content))


def only(content: bytes) -> Slice:
    file = read(content)
    assert file is not None
    (part,) = file.slices
    return part


def test_what_a_library_wants_is_read() -> None:
    """Install name, libraries to load, search paths, minimum version and signature are read."""
    part = only(
        thin(
            [
                text_command(0x0D, "@rpath/libx.dylib"),
                text_command(LOAD, "@loader_path/.dylibs/liby.dylib"),
                text_command(LOAD_WEAK, "@rpath/libz.dylib"),
                text_command(REEXPORT, "/usr/lib/libSystem.B.dylib"),
                text_command(0x8000_001C, "@loader_path/../lib", dylib=False),
                text_command(0x8000_001C, "/opt/lib", dylib=False),
                build_version((12, 3, 1)),
                signature(),
            ],
            kind=LIBRARY,
        )
    )
    assert part == Slice(
        architecture="arm64",
        minos=(12, 3, 1),
        install_name="@rpath/libx.dylib",
        loads=(
            Load("@loader_path/.dylibs/liby.dylib", weak=False),
            Load("@rpath/libz.dylib", weak=True),
            Load("/usr/lib/libSystem.B.dylib", weak=False),
        ),
        rpaths=("@loader_path/../lib", "/opt/lib"),
        signed=True,
    )


@pytest.mark.parametrize(
    ("architecture", "order", "wide"),
    [("x86_64", "<", True), ("i386", "<", False), ("ppc", ">", False), ("arm64", "<", True)],
)
def test_every_kind_of_thin_file_is_read(architecture: str, order: str, wide: bool) -> None:
    """It may be 32-bit or 64-bit, in either byte order, with the older minimum-version command."""
    content = thin(
        [text_command(LOAD, "@executable_path/x", order), version_min((10, 9), order)],
        architecture=architecture,
        kind=EXECUTABLE,
        order=order,
        wide=wide,
    )
    part = only(content)
    assert (part.architecture, part.minos, part.executable) == (architecture, (10, 9), True)
    assert part.loads == (Load("@executable_path/x", weak=False),)


@pytest.mark.parametrize("wide", [False, True])
def test_universal_files_have_a_slice_for_each_architecture(wide: bool) -> None:
    """With 32-bit and 64-bit offsets; each slice has a floor of its own."""
    intel = thin([version_min((10, 13)), text_command(LOAD, "a")], architecture="x86_64")
    apple = thin([build_version((11, 0)), text_command(LOAD, "a"), text_command(LOAD, "b")])
    file = read(fat(("x86_64", intel), ("arm64", apple), wide=wide))
    assert file is not None
    assert [(part.architecture, part.minos) for part in file.slices] == [
        ("x86_64", (10, 13)),
        ("arm64", (11, 0)),
    ]
    assert file.architectures == {"x86_64", "arm64"}
    assert [load.name for load in file.loads] == ["a", "b"]


def test_the_floor_of_another_system_is_none_of_macos() -> None:
    """A file that is built for iOS states no macOS version."""
    assert only(thin([build_version((17, 0), IOS)])).minos == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF",
        b"\xca\xfe\xba\xbe\x00\x00\x00\x41" + bytes(100),  # a Java 21 class
        b"\xca\xfe\xba\xbe\x00\x00\x00\x01" + bytes(100),
        fat(("arm64", b"!<arch>\n" + bytes(60))),
        b"!<arch>\n",
    ],
)
def test_other_files_are_none(content: bytes) -> None:
    """A Java class begins as a universal file does; a static library may be universal."""
    assert read(content) is None


def test_damaged_files_are_none_and_no_error() -> None:
    """It may be cut off anywhere in its commands, or a command may have a wrong size."""
    whole = module("@rpath/x.dylib", rpaths=["@loader_path"])
    end = len(whole) - len(b"text")
    assert read(whole[:end]) is not None
    assert {read(whole[:length]) for length in range(end)} == {None}
    for size in (0, 4, 1 << 30):
        lying = bytearray(whole)
        lying[36:40] = size.to_bytes(4, "little")
        assert read(bytes(lying)) is None
