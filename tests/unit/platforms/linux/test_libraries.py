"""Which libraries are bundled, and the data files that they read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatch_pack_venv.binary.elf import ElfFile, ElfHeaders, VersionNeed
from hatch_pack_venv.platforms.linux.libraries import (
    Loader,
    collect_libraries,
    data_left_behind,
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
    """glibc and its loader are left to the target; libraries with similar names are not."""
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


@pytest.mark.parametrize(("highest", "comes"), [("GLIBC_2.17", False), ("GLIBC_2.99", True)])
def test_what_glibc_opens_comes_along_if_it_raises_no_floor(highest: str, comes: bool) -> None:
    """The library would not load on all systems that an interpreter with a lower floor runs on."""
    file = ElfFile.from_path(Path("/bin/ls"))
    assert file is not None
    needs = (*_without_glibc(file.headers), VersionNeed("libc.so.6", highest, weak=False))
    interpreter = replace(file, headers=replace(file.headers, versions=needs))
    found = collect_libraries([], above=[interpreter], prefix=Path("/env")).found
    assert ("libgcc_s.so.1" in found) == comes


def _without_glibc(headers: ElfHeaders) -> list[VersionNeed]:
    return [need for need in headers.versions if not need.version.startswith("GLIBC_")]


@pytest.mark.parametrize(
    ("library", "file", "variable"),
    [
        ("usr/lib/x86_64-linux-gnu/libproj.so.25", "usr/share/proj/proj.db", "PROJ_DATA"),
        ("opt/geo/lib64/libgdal.so.32", "opt/geo/share/gdal/gdalvrt.xsd", "GDAL_DATA"),
        (
            "usr/lib/a/libgirepository-1.0.so.1",
            "usr/lib/a/girepository-1.0/GLib-2.0.typelib",
            "GI_TYPELIB_PATH",
        ),
        (
            "usr/lib64/libgdk_pixbuf-2.0.so.0",
            "usr/lib64/gdk-pixbuf-2.0/2.10.0/loaders.cache",
            "GDK_PIXBUF_MODULE_FILE",
        ),
    ],
)
def test_data_that_a_library_reads_are_known(
    tmp_path: Path, library: str, file: str, variable: str
) -> None:
    """Their place on this machine and their variable are found, unless the environment has them."""
    for name in (library, file):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    path = tmp_path / library
    libraries = {path.name: path, "libz.so.1": path}
    assert [*data_left_behind(libraries, ["lib/other.py"])] == [
        (path.name, tmp_path / file, variable)
    ]
    assert [*data_left_behind(libraries, [f"share/{file}"])] == []
    assert [*data_left_behind({"libz.so.1": path}, [])] == []
