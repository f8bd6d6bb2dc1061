"""Damaged ELF files give headers or a `DamagedElfError`, quickly and in little memory."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.binaries import DT_RUNPATH, make_elf

from hatch_pack_venv.binary.elf import DamagedElfError, ElfHeaders
from hatch_pack_venv.binary.strip import has_appended_data

if TYPE_CHECKING:
    from pathlib import Path

WORDS = [0, 1, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def sample() -> bytes:
    """Return a shared object with a search path."""
    return make_elf((DT_RUNPATH, "/build/env/lib"))


def read(data: bytes) -> None:
    stream = io.BytesIO(data)
    with suppress(DamagedElfError):
        headers = ElfHeaders.from_stream(stream)
        if headers is not None:
            headers.symbol_names(stream)
            for text in headers.search_paths:
                headers.is_shared(stream, text)


@pytest.mark.parametrize("width", ["<H", "<I", "<Q"])
def test_each_changed_word_is_headers_or_an_error(width: str) -> None:
    """Each word takes each odd value in turn, and every file is read within a second and 8 MiB."""
    good = sample()
    size = struct.calcsize(width)
    tracemalloc.start()
    try:
        for place in range(4, min(len(good), 1024) - size, 2):
            for word in WORDS:
                data = bytearray(good)
                struct.pack_into(width, data, place, word & (1 << 8 * size) - 1)
                began = time.monotonic()
                read(bytes(data))
                assert time.monotonic() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_random_damage_is_headers_or_an_error() -> None:
    """Five words at a time."""
    good, source = sample(), random.Random(1)  # noqa: S311 - no secret
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(5):
            place = source.randrange(4, len(good) - 8)
            struct.pack_into("<Q", data, place, source.choice(WORDS))
        read(bytes(data))


def test_a_file_on_disk_is_not_sought_beyond_its_end(tmp_path: Path) -> None:
    """Operating systems refuse such offsets with their own error, unlike `BytesIO`."""
    path = tmp_path / "x.so"
    good = sample()
    for word in WORDS:
        data = bytearray(good)
        struct.pack_into("<Q", data, 32, word)
        path.write_bytes(data)
        with path.open("rb") as stream, suppress(DamagedElfError):
            ElfHeaders.from_stream(stream)


@pytest.mark.parametrize("word", WORDS)
def test_a_section_table_far_away_is_no_payload_of_its_own(word: int) -> None:
    """There is an answer wherever the header says that the section table is."""
    data = bytearray(sample())
    struct.pack_into("<Q", data, 40, word)
    assert has_appended_data(bytes(data)) in (True, False)
    assert has_appended_data(bytes(data)[:57]) is True
