"""What packing and exporting return, and how progress is reported."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .entries import FileEntry, source_of, with_copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .build_paths import Finding
    from .distribution import InstalledDistribution
    from .entries import ScannedEntry
    from .formats import CompressionFormat
    from .proof import Proof


Reporter: TypeAlias = "Callable[[int], AbstractContextManager[Progress]]"
"""Called with the number of bytes to be read; the context takes the size of each block read."""


def silent(_total: int) -> AbstractContextManager[Progress]:
    """Report nothing."""
    return nullcontext(lambda _count: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReports:
    """How the progress of a proof is reported: bytes unpacked, and answers."""

    unpacking: Reporter = silent
    running: Reporter = silent


NO_REPORTS: Final = ProofReports()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackResult:
    """An archive that was written.

    Parameters:
        path: the archive's path; these facts are next to it, in `<path>.json`.
        sha256: the archive's hash, as hexadecimal digits.
        size: the archive's size, in bytes.
        content_digest: SHA-256 of its contents, the same for every format.
        entry_count: number of files, folders and links, the same in every format: the top folder
            does not count, and a link counts as one even where a format stores copies instead.
        unpacked_size: total size of its files, in bytes.
        findings: files that name build paths, one finding per file.
        needs: requirements on the target, in words.
        install_target: the top folder, `"."` for none.
        seconds: from reading the environment to the finished archive.
        floor: what determines the oldest supported system, and how to lower it, in words.
        start: the command to type after unpacking, with `{top}` in place of the top folder.
        proof: what was run from it before it was released; `None` if that was not requested.
    """

    path: Path
    format: CompressionFormat
    sha256: str
    size: int
    content_digest: str
    entry_count: int
    unpacked_size: int
    findings: tuple[Finding, ...] = ()
    needs: tuple[str, ...] = ()
    install_target: str = "."
    seconds: float = 0.0
    floor: str | None = None
    start: str = ""
    proof: Proof | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON-compatible values, with the archive's file name."""
        proof = {} if self.proof is None else {"proof": self.proof.facts()}
        return {
            "archive": self.path.name,
            "sha256": self.sha256,
            "size": self.size,
            "content_digest": self.content_digest,
            "entry_count": self.entry_count,
            "unpacked_size": self.unpacked_size,
            "findings": [finding.to_dict() for finding in self.findings],
            "needs": list(self.needs),
            **proof,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A folder that was written.

    Parameters:
        path: the environment's absolute path.
        content_digest: SHA-256 of its contents, the same as an archive's.
        entry_count: as for an archive.
        size: total size of all files, in bytes.
        findings, needs, seconds, floor, start: as for an archive.
    """

    path: Path
    content_digest: str
    entry_count: int
    size: int
    findings: tuple[Finding, ...] = ()
    needs: tuple[str, ...] = ()
    seconds: float = 0.0
    floor: str | None = None
    start: str = ""


Progress: TypeAlias = "Callable[[int], None]"
"""Called with the number of bytes just read."""
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b)?", re.IGNORECASE)
_DIGITS: Final = 20  # no disk holds more bytes
REST: Final = "the interpreter and files of no distribution"


def human_size(size: int) -> str:
    """Return a number of bytes in a unit that leaves about three digits."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def parsed_size(text: str) -> int | None:
    """Return the bytes meant by `250MB`, `1.5 GiB` or `1000`, or `None` if it is not a size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        return None
    if len(match[1]) > _DIGITS:
        return None
    exponent = " kmgt".index((match[2] or " ").lower())
    return int(float(match[1]) * (1024 if match[3] else 1000) ** exponent)


def size_of(entries: Iterable[ScannedEntry]) -> int:
    """Return the total size in bytes of the files among some entries, copies of links included."""
    return sum(entry.size for entry in with_copies(entries))


def sizes_by_owner(
    entries: Iterable[ScannedEntry], distributions: Iterable[InstalledDistribution]
) -> Counter[str]:
    """Return the size in bytes of each distribution's files, and of files that none owns."""
    owners = {
        name: f"{distribution.name} {distribution.version}"
        for distribution in distributions
        for name in distribution.files
    }
    sizes: Counter[str] = Counter()
    for entry in entries:
        if isinstance(entry, FileEntry):
            sizes[owners.get(source_of(entry.arcname), REST)] += entry.size
    return sizes
