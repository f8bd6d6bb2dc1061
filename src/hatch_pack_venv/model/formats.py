"""The archive formats: their names, suffixes and compression levels."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from .errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import StrPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The compression levels of a format, from fastest to smallest."""

    fastest: int
    smallest: int
    default: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionOptions:
    """How much effort to spend on compression.

    Parameters:
        level: the level on the formats' own scales, or `None` for each format's default.
        threads: number of compression threads, or `None` for the number of CPUs available to this
            process; the output does not depend on it.
        cache: whether compressed blocks are kept for the next build; this does not change the
            output either.
        zip_links: whether zip files store links instead of copies of their targets.
    """

    level: int | None = None
    threads: int | None = None
    cache: bool = False
    zip_links: bool = False

    def for_format(self, format: CompressionFormat, *, x86: bool) -> Compression:
        """Return how to compress an archive; `x86` says whether it holds x86 machine code."""
        level = self.level
        if level is None:
            level = format.levels.default if format.levels is not None else 0
        return Compression(
            format=format,
            level=level,
            threads=self.threads or usable_cpus(),
            x86=x86,
            holds_links=self.zip_links or format is not CompressionFormat.ZIP,
        )


def usable_cpus() -> int:
    """Return the number of CPUs available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


Remembered: TypeAlias = "Callable[[Callable[[], bytes], Iterable[bytes], str], bytes]"
"""Returns a function's result, which depends only on data, given by fingerprints, and a text."""


def not_remembered(make: Callable[[], bytes], _of: Iterable[bytes], _how: str) -> bytes:
    """Call the function; nothing is remembered."""
    return make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How one archive is compressed.

    Parameters:
        level: the level on the format's own scale; ignored if nothing is compressed.
        threads: number of compression threads.
        x86: whether the machine code in the archive is for x86.
        own: arcnames of the files that change with each release; they go into separate blocks.
        remembered: finds blocks that were compressed before, or compresses them.
        holds_links: whether the archive stores symbolic links; otherwise, it stores copies instead.
    """

    format: CompressionFormat
    level: int
    threads: int
    x86: bool = False
    own: frozenset[str] = frozenset()
    remembered: Remembered = not_remembered
    holds_links: bool = True


class CompressionFormat(enum.StrEnum):
    """The compression of an archive; the value is the compressor's name."""

    UNCOMPRESSED = ""
    BZIP2 = "bzip2"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"
    RUN = "run"
    OCI = "oci"
    SQUASHFS = "squashfs"

    @classmethod
    def get_format(cls, format: str | None) -> Self:
        """Return the format for `"xz"`, `"tar.xz"`, `"txz"` or a member.

        `None` means the platform default.

        Raises:
            OptionsError: if there is no such format.
        """
        if format is None:
            return cls(cls.ZIP if os.name == "nt" else cls.XZ)
        format = SHORT_NAMES.get(format, format)
        for member in cls:
            if format in (member.value, member.suffix.removeprefix(".")):
                return member
        choices = ", ".join(repr(member.suffix.removeprefix(".")) for member in cls)
        raise OptionsError("unknown archive format", [f"expected one of {choices}, not {format!r}"])

    @property
    def suffix(self) -> str:
        """The file name extension, including the leading dot."""
        return _SUFFIXES[self.value]

    @property
    def is_tar_format(self) -> bool:
        """Whether the archive is a tar file, compressed or not."""
        return self.suffix.startswith(".tar")

    @property
    def is_program(self) -> bool:
        """Whether the archive is a file to be executed."""
        return self is CompressionFormat.RUN

    @property
    def starts(self) -> bool:
        """Whether the archive starts a script of the environment by itself."""
        return self in (CompressionFormat.RUN, CompressionFormat.OCI)

    @property
    def runs_where_it_is(self) -> bool:
        """Whether its contents are run in place, without a step after unpacking."""
        return self.starts or self is CompressionFormat.SQUASHFS

    @property
    def levels(self) -> Levels | None:
        """The compression levels, or `None` if the format does not compress."""
        return _LEVELS.get(self.value)

    def archive_path(self, base_name: StrPath) -> Path:
        """Return the archive's path for a base name; one that ends in `.tgz` is left as it is."""
        path = os.fspath(base_name)
        whole = SHORT_NAMES.get(path.rpartition(".")[2]) == self.suffix.removeprefix(".")
        return Path(path if whole else path + self.suffix)


_SUFFIXES: Final = {
    "": ".tar",
    "bzip2": ".tar.bz2",
    "gzip": ".tar.gz",
    "xz": ".tar.xz",
    "zstd": ".tar.zst",
    "zip": ".zip",
    "run": ".run",
    "oci": ".oci",
    "squashfs": ".squashfs",
}
SHORT_NAMES: Final = {"tbz2": "tar.bz2", "tgz": "tar.gz", "txz": "tar.xz", "tzst": "tar.zst"}
"""conda-pack's names for formats. Archives get the usual extension, unless their name already has a
short one."""
_LEVELS: Final = {
    "bzip2": Levels(fastest=1, smallest=9, default=9),
    "gzip": Levels(fastest=0, smallest=9, default=5),
    "xz": Levels(fastest=0, smallest=9, default=6),
    "zstd": Levels(fastest=1, smallest=22, default=9),
    "zip": Levels(fastest=0, smallest=9, default=6),
    "run": Levels(fastest=0, smallest=9, default=5),  # its payload is a tar.gz
    "oci": Levels(fastest=0, smallest=9, default=5),  # and so is each of its layers
    "squashfs": Levels(fastest=1, smallest=22, default=9),  # zstd's
}
