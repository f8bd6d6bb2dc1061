"""The machine that an interpreter is made for, by its ELF header."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.binaries import make_elf

from hatch_pack_venv.injected.postinstall import machine_of

if TYPE_CHECKING:
    from pathlib import Path

I386, ARM, X86_64, AARCH64, S390X = 3, 40, 62, 183, 22


@pytest.mark.parametrize(
    ("machine", "wide", "kernel", "expected"),
    [
        (I386, False, "x86_64", "i686"),
        (I386, False, "i586", "i586"),
        (X86_64, True, "i686", "x86_64"),  # under `linux32`
        (X86_64, True, "x86_64", "x86_64"),
        (ARM, False, "aarch64", "armv7l"),
        (ARM, False, "armv6l", "armv6l"),
        (AARCH64, True, "x86_64", "aarch64"),
        (S390X, True, "s390x", "s390x"),
    ],
)
def test_the_header_decides(
    tmp_path: Path, machine: int, wide: bool, kernel: str, expected: str
) -> None:
    """A kernel also runs programs for machines other than the one it reports."""
    program = tmp_path / "python"
    content = bytearray(make_elf(wide=wide))
    content[18:20] = machine.to_bytes(2, "little")
    program.write_bytes(content)
    assert machine_of(str(program), kernel) == expected


def test_what_is_no_program_of_linux_says_nothing(tmp_path: Path) -> None:
    """For a script, or a file that cannot be read, the kernel's answer is used."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\n")
    assert machine_of(str(script), "x86_64") == "x86_64"
    assert machine_of(str(tmp_path / "none"), "riscv64") == "riscv64"
    assert machine_of(sys.executable, "any") != "any"
