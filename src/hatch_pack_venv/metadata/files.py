"""Reading files that others wrote: regular ones only, of bounded size, in any encoding.

A FIFO would block, a device never ends, and a few kilobytes of JSON can fill the memory. All
readers of metadata, settings and manifests use this module.
"""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import os
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from packaging.utils import canonicalize_name

from ..model import manifest
from ..model.errors import is_failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import StrPath


SIZE_LIMIT: Final = 16 << 20
"""Maximum bytes of a metadata file: five times the longest RECORD of the projects on PyPI."""
DEPTH_LIMIT: Final = 64
"""Maximum nesting of JSON lists and objects; installers and this project write six levels."""
IGNORE_ALL: Final = "*\n"
"""The content of `.gitignore` in a folder of archives."""
ZIP_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, KeyError, OSError, RuntimeError, ValueError),
)
"""What `zipfile` raises for data that are damaged, or that it cannot unpack."""
_VALUES: Final = 100_000
_BYTES_PER_VALUE: Final = 16
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SPECIAL: Final = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
_LIKE_ABSENT: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def open_file(path: StrPath) -> BinaryIO:
    """Open a regular file for reading, without blocking.

    Raises:
        OSError: it cannot be opened, or is a folder, a FIFO, a socket or a device.
    """
    return os.fdopen(open_descriptor(path), "rb")


def open_descriptor(path: StrPath) -> int:
    """Open a file as `open_file` does, and return the descriptor."""
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError:  # for a name that others chose
        raise OSError(errno.EINVAL, "its name contains a NUL", os.fspath(path)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            what = _SPECIAL.get(stat.S_IFMT(mode), "a device")
            raise OSError(errno.EINVAL, f"it is {what}, not a file", os.fspath(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: StrPath, limit: int = SIZE_LIMIT) -> bytes:
    """Return the bytes of a regular file.

    Parameters:
        limit: the most bytes that it may have.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger; `strerror` says which.
    """
    descriptor = open_descriptor(path)
    try:
        size = os.fstat(descriptor).st_size
        data = b"" if size > limit else read_descriptor(descriptor, limit + 1)
    finally:
        os.close(descriptor)
    if max(size, len(data)) > limit:
        told = f"it has {max(size, len(data))} bytes; at most {limit} were expected"
        raise OSError(errno.EFBIG, told, os.fspath(path))
    return data


def read_descriptor(descriptor: int, most: int) -> bytes:
    """Read an open file to its end; files can grow, and those in `/proc` have no size."""
    size = min(os.fstat(descriptor).st_size + 1, most)
    data = os.read(descriptor, max(size, 512))
    while data and len(data) < most and (more := os.read(descriptor, min(most, 1 << 20))):
        data += more
    return data


def read_text(path: StrPath, errors: str = "surrogateescape") -> str | None:
    """Return the text of a metadata file with `\\n` as line endings; `None` if there is none.

    A folder, or a file that this user may not read, counts as absent, as in `importlib.metadata`.

    Parameters:
        errors: how to handle bytes that are not UTF-8; by default they are kept.

    Raises:
        OSError: it is a FIFO, a socket or a device, is too large, or is a link that forms a loop.
    """
    try:
        data = read_file(path)
    except _LIKE_ABSENT:
        return None
    text = data.decode("utf-8", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def walk(top: StrPath) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a tree as `os.walk` does, but to any depth: before CPython 3.12, that one recurses.

    Raises:
        OSError: the disk fails; folders that cannot be listed are skipped.
    """
    left = [os.fspath(top)]
    while left:
        here = left.pop()
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(here) as children:
                for child in children:
                    (folders if child.is_dir() else files).append(child.name)
        except OSError as error:
            if is_failure(error):
                raise
            continue
        yield here, folders, files
        below = (os.path.join(here, name) for name in reversed(folders))
        left += [path for path in below if not os.path.islink(path)]


def read_json(path: StrPath, limit: int = SIZE_LIMIT) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: it cannot be read, is not a regular file, or is too large.
        ValueError: it is not JSON, or `parse_json` refuses it.
    """
    return parse_json(read_file(path, limit))


def parse_json(data: str | bytes | bytearray) -> Any:
    """Parse JSON text in UTF-8.

    Its depth and number of values are checked before anything is parsed: each value takes ten times
    as many bytes in memory as it may take in the text, and each level of nesting one of the stack.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has far too many values for its length.
    """
    content = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    brackets = content.count(b"[") + content.count(b"{")
    if content.count(b",") + brackets > _VALUES + len(content) // _BYTES_PER_VALUE:
        message = "it contains too many values for its length"
        raise ValueError(message)
    if brackets > DEPTH_LIMIT:
        _check_depth(content)
    return json.loads(content.decode("utf-8", "surrogatepass"))


def _check_depth(content: bytes | bytearray) -> None:
    """Refuse JSON that is nested too deeply, by repeatedly removing the innermost brackets.

    Each step runs in C: a manifest of 20,000 files takes a few milliseconds.
    """
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    without_strings = b"".join(content.translate(None, _NO_STRUCTURE).split(b'"')[::2])
    for _ in range(DEPTH_LIMIT):
        without_strings = without_strings.replace(b"[]", b"").replace(b"{}", b"")
    if without_strings:
        message = f"it is nested more than {DEPTH_LIMIT} levels deep, or its brackets do not match"
        raise ValueError(message)


_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))


def proven_archive(
    facts: Path, name: str | None = None, *, archive: Path | None = None
) -> Path | None:
    """Return the archive that a `.json` describes, even if missing; `None` if it proves nothing.

    A file is an archive of ours if the `.json` next to it says so, with its size and SHA-256.

    Parameters:
        name: the project that the archive must belong to; by default any.
        archive: the archive; by default the one that the name of `facts` implies.
    """
    told = _read_facts(facts)
    archive = archive or facts.with_name(facts.name.removesuffix(".json"))
    head = told.get("manifest")
    if told.get("archive") != archive.name or not isinstance(head, dict):
        return None
    if head.get("format_version") != manifest.FORMAT_VERSION:
        return None
    if name is not None and canonicalize_name(str(head.get("name"))) != canonicalize_name(name):
        return None
    return archive if not archive.exists() or _is_as_told(archive, told) else None


def _read_facts(facts: Path) -> dict[str, Any]:
    try:
        told = {} if facts.is_symlink() else read_json(facts)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_as_told(archive: Path, told: dict[str, Any]) -> bool:
    if archive.is_symlink() or not archive.is_file():
        return False
    if archive.stat().st_size != told.get("size"):
        return False
    with open_file(archive) as stream:
        digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
    return digest.hexdigest() == told.get("sha256")
