"""Files that others wrote: regular ones only, bounded in size, depth and number of values."""

from __future__ import annotations

import os
import socket
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from support.trees import shallow_stack

from hatch_pack_venv.metadata.files import (
    DEPTH_LIMIT,
    SIZE_LIMIT,
    open_file,
    parse_json,
    read_file,
    read_json,
    read_text,
    walk,
)

if TYPE_CHECKING:
    from pathlib import Path


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_endless, make_folder, make_loop])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    """The call does not block, and no descriptor stays open."""
    path = tmp_path / "odd"
    assert callable(make)
    make(path)
    before = len(os.listdir("/proc/self/fd"))
    for read in (read_file, read_json, open_file):
        with pytest.raises(OSError, match=r"odd|No such device"):
            read(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_size_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    """A sparse gigabyte costs nothing; what the limit allows is read to its last byte."""
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=f"at most {SIZE_LIMIT} were expected"):
            read_file(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    path.write_bytes(b"x" * 5000)
    assert read_file(path, 5000) == b"x" * 5000
    with pytest.raises(OSError, match="it has 5000 bytes"):
        read_file(path, 4999)


def test_a_file_without_a_size_is_read(tmp_path: Path) -> None:
    """Files of `/proc` say that they are empty."""
    assert b"\nName:" in b"\n" + read_file("/proc/self/status")
    with pytest.raises(OSError, match="at most 10"):
        read_file("/proc/self/status", 10)
    assert tmp_path.is_dir()


def test_text_keeps_what_is_no_utf_8(tmp_path: Path) -> None:
    """Bytes are kept, line endings are normalised, and an absent file is not an error."""
    path = tmp_path / "RECORD"
    assert read_text(path) is None
    assert read_text(tmp_path) is None
    path.write_bytes(b"caf\xe9\r\nb\rc\n")
    text = read_text(path)
    assert text is not None
    assert os.fsencode(text) == b"caf\xe9\nb\nc\n"


def nested(depth: int, pair: str = "[]") -> str:
    return pair[0] * depth + pair[1] * depth


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        nested(100_000),
        '{"a":' * 100_000,
        '["]",' * 100_000 + '""' + "]" * 100_000,
        r'["\"]",' * 100_000 + '""' + "]" * 100_000,
        r'["\\",' * 100_000 + '""' + "]" * 100_000,
        '["' + r"\\" * 9 + '",' * 100_000,
        "[]]" * 100,
        nested(3 * DEPTH_LIMIT),
        "[" + "0," * 1_000_000 + "0]",
        "[" + "[]," * 1_000_000 + "0]",
        "\xff",
        "",
        '{"a": 1',
        "9" * 5000,
    ],
)
def test_json_that_would_hurt_is_a_value_error(text: str) -> None:
    """JSON that is nested too deeply, expands too much or is invalid is refused."""
    for data in (text, text.encode("utf-8")):
        with pytest.raises(ValueError, match=r"."):
            parse_json(data)


@pytest.mark.parametrize(
    "text",
    [
        nested(DEPTH_LIMIT),
        "[" + ",".join(['{"a": ["]", "\\\\", "\\"["]}'] * 1000) + "]",
        '"' + "[" * 1000 + '"',
        '["' + '\\"[' * 1000 + '"]',
    ],
)
def test_honest_json_is_read(text: str) -> None:
    """Brackets and quotes within strings do not count."""
    assert parse_json(text) == parse_json(text.encode())


def test_json_in_another_encoding_is_refused() -> None:
    """`json` would detect UTF-16, in which brackets are encoded differently."""
    with pytest.raises(ValueError, match=r"."):
        parse_json('["\u0122", 1]'.encode("utf-16"))


def test_folders_are_walked_however_deep(tmp_path: Path) -> None:
    """`os.walk` before CPython 3.12 raises a RecursionError for such a tree."""
    deep = tmp_path.joinpath(*"d" * 400)
    deep.mkdir(parents=True)
    (deep / "file").touch()
    with shallow_stack():
        *_, last = walk(tmp_path)
    assert last == (str(deep), [], ["file"])


def test_a_walk_can_be_pruned_and_does_not_follow_links(tmp_path: Path) -> None:
    """As `os.walk` does it, from the top."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c/d").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    seen = []
    for folder, folders, _ in walk(tmp_path):
        seen.append(os.path.relpath(folder, tmp_path))
        folders[:] = [name for name in folders if name != "c"]
    assert seen == [".", "a", "a/b"]
