"""Damage to bytes and to JSON, decided by a source of random numbers.

In the test suite the source is that of hypothesis, which can then shrink an example; in a long run
it is Python's own, which is a hundred times as fast.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random


_NUMBERS: Final = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 1 << 20, 1 << 31)
_LARGE: Final = (
    (1 << 31) - 1,
    (1 << 32) - 1,
    1 << 40,
    1 << 60,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
_WIDTHS: Final = (1, 2, 4, 8)
_TEXTS: Final = (
    b"-1",
    b"0",
    b"1e400",
    b"9" * 20,
    b"9" * 5000,
    b"0x7f",
    b"\xff",
    b"\0",
    b"\r",
    b"\x85",
)
_MANY: Final = 4096
_MOST: Final = 1 << 17  # bytes that one step inserts


def mutated(source: Random, seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """Return one of the seeds after some damage.

    Parameters:
        words: byte strings that have a meaning in this kind of file.
    """
    data = source.choice(seeds)
    for _ in range(_count(source)):
        step = source.choice(_STEPS)
        data = step(source, data, (*seeds, *words))
        if words and source.randrange(3) == 0:
            data = _with(source, data, source.choice(words))
    return data


def _count(source: Random) -> int:
    return source.choice((1, 1, 1, 2, 2, 3, 5, 12))


def _place(source: Random, data: bytes) -> int:
    """Return an offset, half of the time near the beginning, where the headers are."""
    most = len(data) + 1
    return source.randrange(min(most, 1024) if source.randrange(2) else most)


def _chunk(source: Random, data: bytes) -> tuple[int, int]:
    start = _place(source, data)
    return start, min(len(data), start + source.choice((1, 2, 4, 8, 16, 64, 512, 4096)))


def _with(source: Random, data: bytes, word: bytes) -> bytes:
    start, end = _chunk(source, data)
    return data[:start] + word + data[source.choice((start, start + len(word), end)) :]


def _bit(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = _place(source, data[:-1])
    return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]


def _number(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    width = source.choice(_WIDTHS)
    at = _place(source, data[: max(0, len(data) - width)])
    order = source.choice(("little", "big"))
    there = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
    value = source.choice((*_NUMBERS, *_LARGE, there + 1, there - 1, there + 4096, len(data)))
    new = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return data[:at] + new + data[at + width :]


def _digits(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = [*re.finditer(rb"\d+", data)]
    if not found:
        return data
    match = source.choice(found)
    new = source.choice((*_TEXTS, b"%d" % source.choice((*_NUMBERS, *_LARGE))))
    return data[: match.start()] + new + data[match.end() :]


def _without(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(source, data)
    return data[:start] + data[end:]


def _cut(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: _place(source, data)]


def _repeated(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(source, data)
    times = source.choice((1, 2, 3, 16, _MANY))
    return data[:end] + (data[start:end] * times)[:_MOST] + data[end:]


def _moved(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(source, data)
    at = _place(source, data)
    rest = data[:start] + data[end:]
    return rest[:at] + data[start:end] + rest[at:]


def _spliced(source: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = source.choice(others)
    return data[: _place(source, data)] + other[_place(source, other) :]


def _odd(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _with(source, data, source.choice(_TEXTS) * source.choice((1, 1, 1, 3, 300)))


def _line(source: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at = source.randrange(len(lines))
    match source.randrange(4):
        case 0:
            lines.insert(source.randrange(len(lines)), lines[at])
        case 1:
            del lines[at]
        case 2:
            lines[at] = lines[at].rstrip() + source.choice(lines)
        case _:
            lines[at] = lines[at].rstrip() + source.choice((b"\r\n", b"\n \n", b"\x0b", b""))
    return b"".join(lines)


_STEPS: Final[Sequence[Callable[[Random, bytes, Sequence[bytes]], bytes]]] = (
    *(_bit, _number, _digits, _without, _cut, _repeated, _moved, _spliced, _odd, _line),
    *(_bit, _number, _digits, _line),
)

_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1 << 63, 1 << 64, -(1 << 80), 0.5, 1e308, float("inf")),
    *("", "x", "/", "..", "../..", "a/../b", "/etc", "a\0b", "\ud800", "\x1b[2J", "é", "x" * 5000),
    *(
        "file:///x",
        "file://[v6",
        "https://u:p@h/x",
        "C:\\x",
        ".",
        "*",
        "{name}",
        "%00",
        "1.0",
        "0" * 64,
    ),
    *([], {}, [[]], [{}], {"": {}}, [None], {"x": None}, [1, "x"], {"path": "x", "target": ".."}),
)


def mutated_json(source: Random, value: Any, words: Sequence[str] = ()) -> Any:
    """Return a JSON value after some changes anywhere in it."""
    for _ in range(_count(source)):
        value = _changed(source, value, words)
    return value


def _changed(source: Random, value: Any, words: Sequence[str]) -> Any:
    inner = isinstance(value, (dict, list)) and value and source.randrange(8)
    if not inner:
        return _another(source, value, words)
    if isinstance(value, dict):
        key = source.choice([*value])
        match source.randrange(12):
            case 0:
                return {each: value[each] for each in value if each != key}
            case 1:
                return {**value, source.choice(("", "x", "\ud800", *words)): value[key]}
        return {**value, key: _changed(source, value[key], words)}
    at = source.randrange(len(value))
    match source.randrange(12):
        case 0:
            return [*value[:at], *value[at + 1 :]]
        case 1:
            return [*value, value[at]]
    return [*value[:at], _changed(source, value[at], words), *value[at + 1 :]]


def _another(source: Random, value: Any, words: Sequence[str]) -> Any:
    match source.randrange(10):
        case 0:
            return [value]
        case 1:
            return {"x": value}
        case 2 if isinstance(value, str):
            return mutated(source, [value.encode("utf-8", "surrogatepass")]).decode(
                "utf-8", "surrogateescape"
            )
        case 3:
            return _nested(source.choice((3, 60, 70)), value)
    return source.choice((*_VALUES, *words))


def _nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def json_text(source: Random, value: Any) -> bytes:
    """Return JSON as others write it, occasionally damaged."""
    text = json.dumps(value, ensure_ascii=source.randrange(2) == 0).encode("utf-8", "surrogatepass")
    if source.randrange(6) == 0:
        return mutated(
            source, [text], (b"[" * 100, b"{", b'"', b"NaN", b"\\ud800", b"\xef\xbb\xbf")
        )
    return text
