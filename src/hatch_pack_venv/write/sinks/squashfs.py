"""Squashfs images, made by `mksquashfs` of a tar that it is fed.

What it makes of the same tar has the same bytes for any number of processors, once nothing is left
to what it would look up: the time, its user, the mode of the root.
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
_OLDEST: Final = (4, 5)  # reads a tar; of July 2021
_INSTALL: Final = (
    "install squashfs-tools, as Debian, Ubuntu and Fedora call the package, or choose another"
    " format"
)
_LATEST: Final = (1 << 32) - 1  # a time in an inode
_PIPE: Final = 1 << 20
_ALWAYS: Final = (
    *("-tar", "-noappend", "-comp", "zstd", "-b", "128K", "-all-root", "-root-mode", "755"),
    # Holes are of no use to what is compressed, and 4.7 to 4.7.4 could spoil files that have some.
    *("-no-xattrs", "-no-sparse", "-quiet", "-no-progress", "-mem", "256M"),
)


def find_mksquashfs() -> str:
    """Return the path of the program.

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
        is_version = (
            "tells no version" if match is None else f"has the version {match[1]}.{match[2]}"
        )
        raise OutputProblem(
            f"the format 'squashfs' needs {_PROGRAM} 4.5 or later, and {path} {is_version}:"
            f" {_INSTALL}"
        )
    return path


class SquashfsSink(TarSink):
    """Feeds a tar to the program, which writes the file itself.

    Parameters:
        output: of the file; learns its size and its hash in the end.
        newest: the time of the newest entry, which is that of the image and of its root.
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
        """End the tar and wait for the image."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._program.finish(len(self._folders) + self._others)
        self._file.take_over()

    def discard(self) -> None:
        """End the program."""
        super().discard()
        self._program.kill()

    def _header(self, entry: Entry, kind: bytes, *, size: int = 0, link: str = "") -> bytes:
        """Return a header of GNU's kind: of links in others, 4.5 takes the first `../` away."""
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
    """The running program; it ends with its input, however this process ends.

    It opens the file by its descriptor: by a name it would make another one, if this process was
    interrupted and has removed that in the meantime.
    """

    def __init__(self, file: int, compression: Compression, newest: int) -> None:
        self._file = file
        level, threads = str(compression.level), str(compression.threads)
        program = find_mksquashfs()
        options = [*_ALWAYS, "-Xcompression-level", level, "-processors", threads]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        # Of the options for times, 4.5 passes over the root's. No entry is later than this one.
        variables = {**os.environ, "SOURCE_DATE_EPOCH": str(newest)}
        with _beside_standard_streams(file) as shared:
            self._process = subprocess.Popen(
                [program, "-", f"/dev/fd/{shared}", *options],
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(shared,),
                start_new_session=True,  # what a terminal sends is handled here
            )
        self._input = cast("BinaryIO", self._process.stdin)
        _enlarge(self._input)

    def write(self, data: bytes | memoryview, /) -> None:
        """Feed it the next bytes.

        Raises:
            OutputProblem: it has ended.
        """
        try:
            self._input.write(data)
        except BrokenPipeError:
            raise self._failure() from None

    def finish(self, count: int) -> None:
        """End its input, and wait for its end.

        Parameters:
            count: how many inodes there must be, as it passes over what it does not understand.

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
                f"{_PROGRAM} has put {found} files and folders into the image instead of {count}:"
                " use another version of it, or another format"
            )
        self._said.close()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._input.close()
        self._said.close()

    def _failure(self) -> OSError | OutputProblem:
        """Return the error for what it has said."""
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace")
        if os.strerror(ENOSPC) in said:
            return OSError(ENOSPC, os.strerror(ENOSPC))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"it ended with status {status}"
        return OutputProblem(f"{_PROGRAM} cannot write the image: {reason}")


@contextmanager
def _beside_standard_streams(file: int) -> Iterator[int]:
    """Give another descriptor of a file, which leaves those of a program's standard streams free.

    Whoever is started without them, by `<&-` for example, opens files in their place.
    """
    shared = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        yield shared
    finally:
        os.close(shared)


def _enlarge(pipe: BinaryIO) -> None:
    """Let a pipe hold more, if this user has not as much in pipes already as it may (pipe(7))."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
