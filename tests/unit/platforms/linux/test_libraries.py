"""Which libraries come along, of a made-up set of compiled ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatch_pack_venv.binary.elf import ElfFile
from hatch_pack_venv.platforms.linux.libraries import (
    Loader,
    is_of_glibc,
    needs_private_glibc,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("libc.so.6", True),
        ("ld-linux-x86-64.so.2", True),
        ("ld-linux-aarch64.so.1", True),
        ("libm.so.6", True),
        ("libpthread.so.0", True),
        ("libnsl.so.1", True),
        ("libnss_files.so.2", True),
        ("libnsl.so.2", False),
        ("libcrypt.so.1", False),
        ("libstdc++.so.6", False),
        ("libgcc_s.so.1", False),
        ("libcap.so.2", False),
        ("libcrypto.so.3", False),
        ("libmd.so.0", False),
    ],
)
def test_glibc_is_known_by_its_parts(name: str, expected: bool) -> None:
    """glibc and its loader stay the target's; names that only begin alike do not."""
    assert is_of_glibc(name) is expected


def test_what_belongs_to_one_glibc_is_told_by_its_symbols() -> None:
    """A part of glibc uses private symbols of its libc; an ordinary library does not."""
    file = ElfFile.from_path(Path("/bin/ls"))
    assert file is not None
    loader = Loader()
    resolver = loader.find("libresolv.so.2", [file])
    libz = loader.find("libz.so.1", [file])
    assert resolver is not None
    assert libz is not None
    assert needs_private_glibc(resolver)
    assert not needs_private_glibc(libz)
