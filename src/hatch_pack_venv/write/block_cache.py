"""Compressed blocks that earlier builds have left, by what was compressed and how.

A block is a function of its bytes, of the parameters and of the library that compresses it. The key
holds nothing else, so no block can become outdated, and archives are the same without the cache.

A few lines of our own rather than a library: diskcache keeps pickles and an SQLite database, which
several builds would have to wait for and which a killed one may leave locked; joblib's Memory
hashes pickles of arguments, stores results by the function's source, and evicts only on request.
Both would need the same key from us, and neither checks what it reads.
"""

from __future__ import annotations

import _bz2
import _lzma
import ctypes
import hashlib
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from ..filesystem import cache_folder, make_cache_folder
from .sinks.compressors import ZSTD_VERSION
from .sinks.deflate import LIBRARIES, checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

logger = logging.getLogger("hatch_pack_venv")
_FORMAT: Final = "pack-venv block 7"
_LIMIT: Final = 2 << 30  # bytes
_PARTIAL: Final = ".partial"
_OURS: Final = re.compile(rf"[0-9a-f]{{64}}(\..+{re.escape(_PARTIAL)})?")
"""Names of blocks, whole and partial; other files in the folder are not touched."""
_ABANDONED: Final = 24 * 60 * 60
"""Seconds after which no build writes to a partial file any more."""
_CHECKSUM: Final = 4  # bytes of CRC-32


@dataclass(slots=True)
class BlockCache:
    """A folder of compressed blocks, for any number of threads and builds at once.

    A block that cannot be read or written costs the time to compress it, and nothing else.

    Parameters:
        folder: where the blocks are.
        room: bytes of the disk to leave free for other files, above all the archive.
        limit: the most bytes that all blocks together may have after a build.
    """

    folder: Path
    room: int = 0
    limit: int = _LIMIT
    found: int = 0
    found_size: int = 0
    made: int = 0
    made_size: int = 0
    _libraries: str = field(default_factory=lambda: _libraries())
    _full: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def opened(cls, room: int) -> Self | None:
        """Return the user's cache; `None` if there is none that can be trusted."""
        folder = cache_folder("blocks")
        try:
            make_cache_folder(folder)
        except OSError as error:
            where = error.filename or folder
            logger.info("no blocks are cached for the next build: %s: %s", where, error.strerror)
            return None
        return cls(folder, room, _LIMIT)

    def remembered(
        self, make: Callable[[], bytes], fingerprints: Iterable[bytes], how: str
    ) -> bytes:
        """Return what `make` returns, from the cache if it was made before.

        Parameters:
            fingerprints: of all data that it depends on.
            how: everything else that it depends on.
        """
        digest = hashlib.sha256(f"{_FORMAT}\0{self._libraries}\0{how}\0".encode())
        for each in fingerprints:
            digest.update(b"%d " % len(each) + each)
        path = self.folder / digest.hexdigest()
        block = _read(path)
        if block is not None:
            with self._lock:
                self.found += 1
                self.found_size += len(block)
            return block
        block = make()
        with self._lock:
            self.made += 1
            self.made_size += len(block)
        self._keep(path, block)
        return block

    @property
    def summary(self) -> str:
        """How much came from the cache, in one sentence."""
        size = self.found_size + self.made_size
        return (
            f"cache: {self.found} of {self.found + self.made} compressed blocks"
            f" ({self.found_size / 1e6:.1f} of {size / 1e6:.1f} MB) were found in {self.folder}"
        )

    def close(self) -> None:
        """Remove the least recently used blocks until the others are within the limit."""
        with suppress(OSError):
            self._evict()

    def _keep(self, path: Path, block: bytes) -> None:
        if self._full:
            return
        try:
            if shutil.disk_usage(self.folder).free < self.room + len(block):
                self._full = True
                return
            _write(path, block)
        except OSError as error:
            self._full = True
            logger.info("no more is cached for the next build: %s: %s", path, error.strerror)

    def _evict(self) -> None:
        kept: list[tuple[int, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in filter(lambda each: _OURS.fullmatch(each.name), entries):
                with suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    if not entry.name.endswith(_PARTIAL):
                        kept.append((facts.st_mtime_ns, facts.st_size, entry.path))
                    elif facts.st_mtime < time.time() - _ABANDONED:
                        os.unlink(entry.path)
        over = sum(size for _, size, _ in kept) - self.limit
        for _, size, path in sorted(kept):
            if over <= 0:
                break
            with suppress(OSError):  # another build was faster
                os.unlink(path)
            over -= size


def _libraries() -> str:
    """Identify the compressors; their output depends on nothing else about the machine.

    The standard library does not report the versions of its liblzma and libbz2, but these do; where
    they cannot be asked, because they are part of Python, Python's own build distinguishes them.
    """
    known = [sys.version, platform.machine(), f"zstd {ZSTD_VERSION}", LIBRARIES]
    for module, function in ((_lzma, "lzma_version_string"), (_bz2, "BZ2_bzlibVersion")):
        with suppress(OSError, AttributeError):
            version = getattr(ctypes.CDLL(module.__file__), function)
            version.restype = ctypes.c_char_p
            known.append(version().decode())
    return " ".join(known)


def _read(path: Path) -> bytes | None:
    """Return a block if it is intact, and mark it as used."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            block, end = file.read(max(size - _CHECKSUM, 0)), file.read()
    except OSError:
        return None
    if _checksum(path, block) != end:
        return None
    with suppress(OSError):
        os.utime(path)
    return block


def _write(path: Path, block: bytes) -> None:
    """Write a block under a temporary name of this build's own, then rename it."""
    handle, partial = tempfile.mkstemp(_PARTIAL, f"{path.name}.", path.parent)
    try:
        with open(handle, "wb", buffering=0) as file:
            for data in (block, _checksum(path, block)):  # kept aligned: copied faster
                left = memoryview(data)
                while left:
                    left = left[file.write(left) or 0 :]
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def _checksum(path: Path, block: bytes) -> bytes:
    """Return the checksum that ends a file; it detects another block under this name, too.

    It is meant for damage only: anyone who can write here can also write what is packed.
    """
    return checksum(block, checksum(path.name.encode())).to_bytes(_CHECKSUM, "little")
