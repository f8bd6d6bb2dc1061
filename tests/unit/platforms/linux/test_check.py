"""Extension modules that do not fit the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.binaries import DT_NEEDED, make_elf
from support.fakes import environment, file

from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.platforms.linux.check import check
from hatch_pack_venv.platforms.linux.requirements import LinuxFileRequirements

if TYPE_CHECKING:
    from pathlib import Path

SITE = "lib/python3.11/site-packages"
OWN = ".cpython-311-x86_64-linux-gnu.so"
NEEDS_GLIBC, NEEDS_MUSL = (DT_NEEDED, "libc.so.6"), (DT_NEEDED, "libc.musl-x86_64.so.1")


def found(tmp_path: Path, modules: dict[str, bytes]) -> tuple[str, ...]:
    """Return the problems of modules, which are given by their names in site-packages."""
    python = tmp_path / "python3.11"
    python.write_bytes(make_elf(NEEDS_GLIBC))
    entries = {f"{SITE}/{n}": file(f"{SITE}/{n}", content) for n, content in modules.items()}
    files = LinuxFileRequirements.read(entries.values(), python, HeaderReader())
    return check(entries, files, environment()).problems


def of_arm() -> bytes:
    """Return a module for another machine."""
    content = bytearray(make_elf(NEEDS_GLIBC))
    content[18:20] = (183).to_bytes(2, "little")
    return bytes(content)


MISFITS = {
    "machine": (f"a/x{OWN}", of_arm(), "aarch64"),
    "machine, by content alone": ("a/x.abi3.so", of_arm(), "aarch64"),
    "pointers": (f"a/x{OWN}", make_elf(NEEDS_GLIBC, wide=False), "32-bit x86_64"),
    "libc": (f"a/x{OWN}", make_elf(NEEDS_MUSL), "a system with musl"),
    "version": ("a/x.cpython-312-x86_64-linux-gnu.so", make_elf(), "CPython 3.12"),
    "free-threaded": ("a/x.cpython-311t-x86_64-linux-gnu.so", make_elf(), "CPython 3.11t"),
    "no package": ("x.cpython-39-x86_64-linux-gnu.so", make_elf(), "CPython 3.9"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_module_that_the_interpreter_cannot_load_is_named(tmp_path: Path, kind: str) -> None:
    """There is one sentence per package, with what its modules are built for."""
    name, content, words = MISFITS[kind]
    (told,) = found(tmp_path, {name: content})
    assert told.startswith(f"{SITE}/{name} is built for {words}, so the interpreter ")
    if "/" in name:
        other = name.replace("/x.", "/y.")
        (told,) = found(tmp_path, {name: content, other: content})
        assert "(and 1 more in its package)" in told


FITS = {
    "its own": {f"a/x{OWN}": make_elf(NEEDS_GLIBC)},
    "needs no libc": {f"a/x{OWN}": make_elf(), "a/y.abi3.so": make_elf()},
    "one of several": {
        f"a/x{OWN}": make_elf(),
        "a/x.cpython-312-x86_64-linux-gnu.so": make_elf(),
        "a/arm/x.cpython-311-aarch64-linux-gnu.so": of_arm(),
    },
    "no module": {"a/libx.so": of_arm(), "a/attach_linux_x86.so": make_elf(wide=False)},
    "no ELF file": {"a/x.abi3.so": b"text"},
}


@pytest.mark.parametrize("kind", FITS)
def test_what_fits_or_is_no_module_is_passed_over(tmp_path: Path, kind: str) -> None:
    """Wheels may hold libraries for other systems, and a module for each of several Pythons."""
    assert found(tmp_path, FITS[kind]) == ()
