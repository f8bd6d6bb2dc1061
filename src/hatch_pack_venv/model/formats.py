"""The archive formats: their names, suffixes and compression levels."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from .errors import OptionsError

if TYPE_CHECKING:
    from _typeshed import StrPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The compression levels of a format, from fastest to smallest."""

    fastest: int
    smallest: int
    default: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionOptions:
    """What may be spent on compressing.

    Parameters:
        level: of the formats' own scale; `None` for each format's default.
        threads: how many compress, `None` for the CPUs that this process may use; the bytes do not
            depend on it.
    """

    level: int | None = None
    threads: int | None = None

    def for_format(self, format: CompressionFormat, *, x86: bool) -> Compression:
        """Return how an archive is compressed; `x86` tells what machine code it holds."""
        level = self.level
        if level is None:
            level = format.levels.default if format.levels is not None else 0
        return Compression(
            format=format, level=level, threads=self.threads or usable_cpus(), x86=x86
        )


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How one archive is compressed.

    Parameters:
        level: of the format's own scale; of no use where nothing is compressed.
        threads: how many compress.
        x86: whether the machine code in the archive is for x86.
    """

    format: CompressionFormat
    level: int
    threads: int
    x86: bool = False


class CompressionFormat(enum.StrEnum):
    """The compression of an archive; its value is the compressor's name."""

    UNCOMPRESSED = ""
    BZIP2 = "bzip2"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"

    @classmethod
    def get_format(cls, format: str | None) -> Self:
        """Return the format of a name: `"xz"`, `"tar.xz"`, a member, `None` for the platform's own.

        Raises:
            OptionsError: there is no such format.
        """
        if format is None:
            return cls(cls.ZIP if os.name == "nt" else cls.XZ)
        for member in cls:
            if format in (member.value, member.suffix.removeprefix(".")):
                return member
        choices = ", ".join(repr(member.suffix.removeprefix(".")) for member in cls)
        raise OptionsError("unknown archive format", [f"expected one of {choices}, not {format!r}"])

    @property
    def suffix(self) -> str:
        """The file name's ending, with its dot."""
        return _SUFFIXES[self.value]

    @property
    def is_tar_format(self) -> bool:
        """Whether the archive is a tar, compressed or not."""
        return self is not CompressionFormat.ZIP

    @property
    def levels(self) -> Levels | None:
        """The compression levels; `None` where nothing is compressed."""
        return _LEVELS.get(self.value)

    def archive_path(self, base_name: StrPath) -> Path:
        """Return the path of the archive with this base name."""
        return Path(os.fspath(base_name) + self.suffix)


_SUFFIXES: Final = {
    "": ".tar",
    "bzip2": ".tar.bz2",
    "gzip": ".tar.gz",
    "xz": ".tar.xz",
    "zstd": ".tar.zst",
    "zip": ".zip",
}
_LEVELS: Final = {
    "bzip2": Levels(fastest=1, smallest=9, default=9),
    "gzip": Levels(fastest=0, smallest=9, default=5),
    "xz": Levels(fastest=0, smallest=9, default=6),
    "zstd": Levels(fastest=1, smallest=22, default=9),
    "zip": Levels(fastest=0, smallest=9, default=6),
}
