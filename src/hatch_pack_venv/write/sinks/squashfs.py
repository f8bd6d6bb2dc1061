"""Squashfs images, made by `mksquashfs` from a tar stream.

The same tar becomes the same bytes on any number of processors, once everything is fixed that the
program would otherwise look up: the time, its user, the mode of the root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from errno import ENOSPC
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ...model.entries import mode_of
from ...model.errors import OutputProblem
from ...model.formats import CompressionFormat
from .tar import TarSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...model.entries import Entry
    from ...model.formats import Compression
    from .hashed_file import HashedOutput


if sys.platform != "win32":
    import fcntl
_PROGRAM: Final = "mksquashfs"
_OLDEST: Final = (4, 5)  # can read a tar; July 2021
_INSTALL: Final = (
    "install squashfs-tools (the package's name on Debian, Ubuntu and Fedora), or choose another"
    " format"
)
_LATEST: Final = (1 << 32) - 1  # largest time in an inode
_PIPE: Final = 1 << 20
_ALWAYS: Final = (
    *("-tar", "-noappend", "-comp", "zstd", "-b", "128K", "-all-root", "-root-mode", "755"),
    # Holes are of no use in compressed files, and 4.7 to 4.7.4 could corrupt files that have them.
    *("-no-xattrs", "-no-sparse", "-quiet", "-no-progress", "-mem", "256M"),
)


def find_mksquashfs() -> str:
    """Return the path of `mksquashfs`.

    Raises:
        OutputProblem: there is none, or it is too old.
    """
    path = shutil.which(_PROGRAM)
    if path is None:
        raise OutputProblem(
            f"the format 'squashfs' needs the program {_PROGRAM}, which is not on PATH: {_INSTALL}"
        )
    told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.(\d+)", told)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        is_version = "does not report its version" if match is None else f"is {match[1]}.{match[2]}"
        raise OutputProblem(
            f"the format 'squashfs' needs {_PROGRAM} 4.5 or later, but {path} {is_version}:"
            f" {_INSTALL}"
        )
    return path


class SquashfsSink(TarSink):
    """Feeds a tar to `mksquashfs`, which writes the file itself.

    Parameters:
        output: holds the file that the program writes; adopts its size and hash at the end.
        newest: the time of the newest entry, which the image and its root get, too.
    """

    def __init__(
        self,
        output: HashedOutput,
        compression: Compression,
        install_target: str,
        newest: int,
    ) -> None:
        self._file = output
        self._program = _Program(output.fileno(), compression, min(max(newest, 0), _LATEST))
        compression = replace(compression, format=CompressionFormat.UNCOMPRESSED)
        super().__init__(self._program, compression, install_target)
        self._folders = {""}
        self._others = 0

    def close(self, _digest: str) -> None:
        """End the tar, and wait for the image."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._program.finish(len(self._folders) + self._others)
        self._file.take_over()

    def discard(self) -> None:
        """Kill the program."""
        super().discard()
        self._program.kill()

    def _header(self, entry: Entry, kind: bytes, *, size: int = 0, link: str = "") -> bytes:
        """Return a header in GNU format: in others, 4.5 strips the first `../` from links."""
        info = tarfile.TarInfo(self._name(entry))
        self._count(info.name, kind)
        info.type, info.mode, info.size, info.linkname = kind, mode_of(entry), size, link
        info.mtime = min(entry.mtime or 0, _LATEST)
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")

    def _count(self, name: str, kind: bytes) -> None:
        self._others += kind != tarfile.DIRTYPE
        folder = name if kind == tarfile.DIRTYPE else name.rpartition("/")[0]
        while folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]


class _Program:
    """The running program; it exits when its input ends, however this process ends.

    It opens the file by its descriptor: given a name, it would create a new file if this process
    had been interrupted and had removed the first one in the meantime.
    """

    def __init__(self, file: int, compression: Compression, newest: int) -> None:
        self._file = file
        level, threads = str(compression.level), str(compression.threads)
        program = find_mksquashfs()
        options = [*_ALWAYS, "-Xcompression-level", level, "-processors", threads]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        # Of the options for times, 4.5 ignores the root's. No entry is later than this time.
        variables = {**os.environ, "SOURCE_DATE_EPOCH": str(newest)}
        with _beside_standard_streams(file) as shared:
            self._process = subprocess.Popen(
                [program, "-", f"/dev/fd/{shared}", *options],
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(shared,),
                start_new_session=True,  # signals of a terminal are handled here
            )
        self._input = cast("BinaryIO", self._process.stdin)
        _enlarge(self._input)

    def write(self, data: bytes | memoryview, /) -> None:
        """Feed it the next bytes.

        Raises:
            OutputProblem: it has exited.
        """
        try:
            self._input.write(data)
        except BrokenPipeError:
            raise self._failure() from None

    def finish(self, count: int) -> None:
        """Close its input, and wait until it has exited.

        Parameters:
            count: how many inodes there must be, because it skips what it does not understand.

        Raises:
            OutputProblem: it has failed.
        """
        try:
            self._input.close()
        except BrokenPipeError:
            raise self._failure() from None
        if self._process.wait():
            raise self._failure()
        found = int.from_bytes(os.pread(self._file, 4, 4), "little")
        if found != count:
            raise OutputProblem(
                f"{_PROGRAM} put {found} files and folders into the image instead of {count}:"
                " use another version of it, or choose another format"
            )
        self._said.close()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._input.close()
        self._said.close()

    def _failure(self) -> OSError | OutputProblem:
        """Return the error for what it has printed."""
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace")
        if os.strerror(ENOSPC) in said:
            return OSError(ENOSPC, os.strerror(ENOSPC))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"it exited with status {status}"
        return OutputProblem(f"{_PROGRAM} cannot write the image: {reason}")


@contextmanager
def _beside_standard_streams(file: int) -> Iterator[int]:
    """Yield another descriptor of a file, which leaves those of the standard streams free.

    A process that was started without standard streams, by `<&-` for example, opens files in their
    place.
    """
    shared = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        yield shared
    finally:
        os.close(shared)


def _enlarge(pipe: BinaryIO) -> None:
    """Let a pipe hold more, unless this user has reached the limit for pipes (pipe(7))."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
