"""The smallest inputs that once ended in anything other than a result or a sentence."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from support.binaries import small_pe
from support.windows import PYTHON, archived

from . import seeds

_DIGITS: Final = b"9" * 5000  # more than CPython converts to a number
_LAUNCHER: Final = small_pe(tail=f"#!{PYTHON}\n".encode() + archived())
_TRAMPOLINE: Final = small_pe(tail=archived(f"#!{PYTHON}\n".encode()) + PYTHON.encode())


def _zip(data: bytes, offset: int, value: bytes) -> bytes:
    """Change the first record of a zip file's directory."""
    at = data.index(b"PK\1\2") + offset
    return data[:at] + value + data[at + len(value) :]


@cache
def _empty_site_packages() -> bytes:
    changed = {**seeds.manifest(), "layout": {**seeds.manifest()["layout"], "site_packages": []}}
    return json.dumps(changed).encode()


@cache
def _half_of_a_pair() -> bytes:
    neighbours = {**seeds.manifest()["neighbours"]}
    neighbours["base_runtime"] = {**neighbours["base_runtime"], "python": "\ud800"}
    return json.dumps({**seeds.manifest(), "neighbours": neighbours}).encode()


def _old_trampoline(offset: int, value: bytes) -> bytes:
    path = PYTHON.encode()
    return _zip(_TRAMPOLINE, offset, value) + len(path).to_bytes(4, "little") + b"UVSC"


def _before_its_beginning() -> bytes:
    """Return a launcher whose archive says that it begins later than it does."""
    data = _old_trampoline(8, b"\0")
    at = data.index(b"PK\5\6") + 16
    return data[:at] + bytes([data[at] + 1]) + data[at + 1 :]


def _elf_with_sections(elf: bytes, count: int, table: bytes) -> bytes:
    """Return an ELF file of a header and a table of sections, the first of which holds names."""
    fields = (0, 64, count, 0)  # segments, size of a section, sections, the one with their names
    counts = b"".join(field.to_bytes(2, "little") for field in fields)
    return elf[:40] + (64).to_bytes(8, "little") + elf[48:56] + counts + table


def finds() -> dict[str, tuple[bytes, ...]]:
    """Return the inputs by target."""
    elf = seeds.elf_files()[0]
    wheel = seeds.wheels()[0]
    return {
        "METADATA": (
            b"Name: demo\nRequires-Dist: demo>=1\nVersion: " + _DIGITS,
            b"Name: demo\nVersion: 1\nRequires-Dist: x; python_version < '" + _DIGITS + b"'\n",
            b"Name: demo\nVersion: 1\nRequires-Dist: x; 'a' in extras\n",
        ),
        "RECORD": (b"x" * 300 + b",,\n", b"\0.pth,,\n"),
        ".pth": (b"/\n", b")\n" * 70_000),
        "activate": (b"VIRTUAL_ENV=/x\0y\n",),
        "script": (b"#!/x\0/bin/python\n",),
        "pyvenv.cfg": (b"home = /\0/bin\n",),
        "pyvenv.cfg of Windows": (
            b"version = 3." + b"9" * 300 + b".1\n",
            b"version = 3." + _DIGITS + b".1\n",
        ),
        "postinstall": (_empty_site_packages(),),
        "manifest": (_half_of_a_pair(),),
        "ELF": (
            elf[:56] + b"\0\0",  # no more than half of its header
            _elf_with_sections(elf, 1, b""),
            _elf_with_sections(elf, 2, bytes(24) + b"\0\0\x10\0" + bytes(100)),  # a name far away
            elf[:40] + b"\xff" * 8 + elf[48:56] + b"\0\0\1\0\1\0\0\0",  # sections beyond any disk
            elf[:56] + b"\0\0" + elf[58:60] + b"\2\0" + elf[62:] + bytes(256),  # no segments
        ),
        "PE": (_old_trampoline(10, b"\x63"), _zip(_LAUNCHER, 6, b"\xff\0")),
        "launcher": (
            _LAUNCHER.replace(b"PE\0\0\x64", b"PE\0\0\x60"),  # for no machine
            _zip(_LAUNCHER, 6, b"\xff\0"),  # needs a later version of zip
            _old_trampoline(10, b"\x63"),  # compressed by an unknown method
            _before_its_beginning(),
            b"#!C:\\x\\Scripts\\python.exe \xff\r\n",
        ),
        "launcher of POSIX": (b'#!/build/env/bin/python\n"' + b"9" * 1_500_000,),
        "credentials": (
            b"a" * 120_000 + b" https://user:s3cr3t-token@pypi.corp.test/",
            b"a-" * 60_000 + b"!x://",
        ),
        "lock": (
            b"a = " + b"[" * 2000,
            b"lock-version = '1.0'\ncreated-by = 'x'\npackages = []\nrequires-python = '>="
            + _DIGITS
            + b"'\n",
            b"lock-version = '1.0'\ncreated-by = 'x'\npackages = []\nenvironments = ["
            b"\"python_version < '" + _DIGITS + b"'\"]\n",
            b"lock-version = '1.0'\ncreated-by = 'x'\npackages = []\nenvironments = ["
            b"\"'x' in extra\"]\n",
            b"lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'demo'\nversion = '1'\n"
            b"marker = \"'x' in extra\"\n",
        ),
        "wheel": (
            _zip(wheel, 6, b"\xff\0"),
            _zip(wheel, 10, b"\x63"),
            _zip(wheel, 8, b"\x40"),  # encrypted
            _zip(wheel, 20, b"\xff\xff\xff\xfe"),  # a member of four gigabytes
        ),
    }
