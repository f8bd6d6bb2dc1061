"""What the environment's Python runs to compile sources: standard library only, CPython 3.9+.

`bytecode.py` passes this text to that Python with `-c`. It prints `ready`, then answers requests. A
request is a line on standard input: the source's path, the path to write to and the name to compile
in, separated by zero bytes, as hexadecimal digits. The answer is a line on standard output: the
bytecode's size, `-` for a source that does not compile, or `!` and the reason why a file cannot be
read or written.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import sys
from types import CodeType
from typing import Any

# Before 3.12 each is one object per process; whether it is interned depends on other sources.
CHARACTERS = [sys.intern(text) for text in ["", *map(chr, range(256))]]
MARK = b"frozenset, in the order of its elements' bytes"


def byte_code(source: bytes, name: str, flags: int) -> bytes:
    """Return what a `.pyc` file holds: the header of PEP 552 and the code object.

    `flags` is 1 for a hash that imports do not compare with the source's, 3 for one that they do.

    How a code object is marshalled depends on which of its strings were interned before, say by
    other sources, and on reference counts (https://github.com/python/cpython/issues/129724). Hence
    it is compiled twice: while the first one exists, all strings of the second are interned and
    have further references, whatever came before. Forking a process for each source would not do:
    one module's bytecode depended on whether the standard library itself had bytecode.
    """
    first, code = (compile(source, name, "exec", dont_inherit=True, optimize=0) for _ in range(2))
    head = importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little")
    content = head + importlib.util.source_hash(source) + dumped(code)
    del first
    return content


def dumped(code: CodeType) -> bytes:
    """Return `marshal.dumps(code)` without traces of where objects are in memory.

    Before 3.11 the elements of a frozenset are written in the order of their hashes. PYTHONHASHSEED
    fixes those of strings, but those of None and the ellipsis are addresses.
    """
    return marshal.dumps(code) if sys.version_info >= (3, 11) else dumped_in_order(code)


def dumped_in_order(code: CodeType) -> bytes:
    """Return `marshal.dumps(code)` with frozensets in the order of their elements' bytes.

    They are written as tuples, which are then turned back into frozensets.
    """
    found: list[Any] = []
    ordered = marshal.dumps(with_tuples(code, found))
    if not found:
        return marshal.dumps(code)
    # `)` and `(` are tuples, with a length of one byte or of four (two of them suffice here); `>`
    # is a frozenset; the eighth bit is a flag. The mark is the tuple's first element.
    mark = re.escape(b"s" + len(MARK).to_bytes(4, "little") + MARK)
    ordered, count = re.subn(b"(?s)([)\xa9].|[(\xa8]..\0\0)" + mark, as_frozenset, ordered)
    if count != len(found) or marshal.loads(ordered) != code:  # noqa: S302 (our own bytes)
        raise ValueError("the code object cannot be written in a fixed order")
    return ordered


def with_tuples(constant: Any, found: list[Any]) -> Any:
    """Return a constant with marked tuples in place of frozensets without a fixed order."""
    if isinstance(constant, CodeType):
        parts = [with_tuples(each, found) for each in constant.co_consts]
        return constant.replace(co_consts=tuple(parts))
    if isinstance(constant, frozenset) and any(map(hashed_by_address, constant)):
        found.append(constant)
        elements = sorted(constant, key=lambda element: marshal.dumps(element, 2))
        # A new object each time: one that occurs twice would be written as a reference.
        return (bytes(bytearray(MARK)), *elements)
    return constant


def hashed_by_address(constant: Any) -> bool:
    """Return whether a constant's hash differs from process to process."""
    if isinstance(constant, tuple):
        return any(map(hashed_by_address, constant))
    return constant is None or constant is Ellipsis


def as_frozenset(match: "re.Match[bytes]") -> bytes:
    """Turn the head of a marked tuple into that of a frozenset."""
    head = match.group(1)
    length = int.from_bytes(head[1:], "little") - 1
    return bytes([ord(">") | head[0] & 0x80]) + length.to_bytes(4, "little")


def answer(request: str, flags: int) -> str:
    """Handle a request, and return the answer."""
    source, target, name = (os.fsdecode(part) for part in bytes.fromhex(request).split(b"\0"))
    try:
        with open(source, "rb") as stream:
            content = stream.read()
        try:
            result = byte_code(content, name, flags)
        except Exception:  # noqa: BLE001 (syntax, encoding, nesting: whatever is rejected)
            return "-"
        with open(target, "wb") as stream:
            stream.write(result)
    except OSError as error:
        return "!" + str(error).replace("\n", " ")
    return str(len(result))


def main() -> None:
    """Answer requests until there are no more."""
    flags = int(sys.argv[1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for request in sys.stdin:
        sys.stdout.write(answer(request, flags) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
