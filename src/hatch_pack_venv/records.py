"""RECORD files (PEP 376, PEP 627), true for what is packed: pure.

With them `pip install --upgrade`, `pip uninstall` and `importlib.metadata.files` work where an
archive was unpacked.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import posixpath
import re
from typing import TYPE_CHECKING, Final

from .entries import DirectoryEntry, Entry, FileEntry

_ODD: Final = re.compile(r"//|(^|/)\.\.?(/|$)|/$")

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .distributions import InstalledDistribution


def updated_record(
    distribution: InstalledDistribution, record: bytes, entries: Mapping[str, Entry], prefix: Path
) -> bytes:
    """Return an installed RECORD without the files that are not packed, its hashes made true.

    Only files that carry their bytes can differ from what was installed.

    Parameters:
        entries: what is packed, by arcname.
        prefix: the environment's real path, for rows that name a file by it.
    """
    site = posixpath.dirname(distribution.metadata_dir)
    rows: list[tuple[str, str, str]] = []
    for name, *facts in csv.reader(record.decode("utf-8", "surrogateescape").splitlines()):
        arcname = recorded_arcname(name, site, prefix)
        entry = entries.get(arcname)
        if entry is None or isinstance(entry, DirectoryEntry):
            continue
        digest, size, *_ = [*facts, "", ""]
        if isinstance(entry, FileEntry) and isinstance(entry.content, bytes) and digest:
            digest, size = _digest(entry.content), str(entry.size)
        inside = arcname.startswith(f"{site}/")
        row = arcname[len(site) + 1 :] if inside else posixpath.relpath(arcname, site)
        rows.append((row, digest, size))
    return _text(rows)


def recorded_arcname(name: str, site: str, prefix: Path) -> str:
    """Return the arcname of a file that a RECORD in `site` names; it may lead out by `..`."""
    name = name.replace("\\", "/")
    if name.startswith("/"):
        return posixpath.relpath(name, prefix.as_posix())
    arcname = f"{site}/{name}"
    # Nearly every name is as short as can be; normalising 20,000 takes a tenth of a second.
    return posixpath.normpath(arcname) if _ODD.search(arcname) else arcname


def new_record(distribution: InstalledDistribution, files: Iterable[FileEntry]) -> bytes:
    """Return the RECORD of a distribution whose files are all at hand."""
    site = posixpath.dirname(distribution.metadata_dir)

    def rows() -> Iterator[tuple[str, str, str]]:
        for entry in files:
            name = posixpath.relpath(entry.arcname, site)
            content = entry.content if isinstance(entry.content, bytes) else b""
            yield name, _digest(content), str(entry.size)
        yield f"{posixpath.basename(distribution.metadata_dir)}/RECORD", "", ""

    return _text(sorted(rows()))


def _digest(content: bytes) -> str:
    """Return a hash as RECORD spells it: URL-safe base64 without padding (PEP 427)."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={encoded.decode().rstrip('=')}"


def _text(rows: Iterable[tuple[str, str, str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
