"""RECORD files (PEP 376, PEP 627) that match what is packed: pure functions.

With them, `pip install --upgrade`, `pip uninstall` and `importlib.metadata.files` work where an
archive was unpacked.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import posixpath
from typing import TYPE_CHECKING, Final

from ..model.entries import DirectoryEntry, FileEntry, PatchedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..model.distribution import InstalledDistribution
    from ..model.entries import Content, Entry


_COLUMNS: Final = 3  # path, hash, size


def updated_record(
    distribution: InstalledDistribution, record: bytes, entries: Mapping[str, Entry], prefix: Path
) -> bytes:
    """Return an installed RECORD with correct hashes, without the files that are not packed.

    Only entries that hold their bytes, or patches, can differ from what was installed. A RECORD
    with nothing to change is returned byte for byte.

    Parameters:
        entries: the packed entries, by arcname.
        prefix: the environment's real path, for rows with absolute paths.
    """
    site = posixpath.dirname(distribution.metadata_dir)
    inside = f"{site}/"
    installed = [*rows_of(record.decode("utf-8", "surrogateescape"))]
    rows: list[list[str]] = []
    for row in installed:
        arcname = recorded_arcname(row[0], site, prefix)
        entry = entries.get(arcname)
        if isinstance(entry, DirectoryEntry):
            rows += _rows_of_folder(arcname, site, installed, entries)
        if entry is None or isinstance(entry, DirectoryEntry):
            continue
        _, digest, size = row if len(row) == _COLUMNS else (*row, "", "")[:_COLUMNS]
        if digest and isinstance(entry, FileEntry) and not isinstance(entry.content, str):
            changed = _digest_of(entry.content)
            digest, size = (changed, str(entry.size)) if changed else (digest, size)
        is_inside = arcname.startswith(inside)
        name = arcname[len(inside) :] if is_inside else posixpath.relpath(arcname, site)
        rows.append([name, digest, size])
    return record if rows == installed else _text(rows)


def _rows_of_folder(
    folder: str, site: str, rows: Iterable[list[str]], entries: Mapping[str, Entry]
) -> Iterator[list[str]]:
    """Yield rows for the files that replace a link to a folder, which virtualenv lists as one row.

    If other rows list files in the folder, the RECORD merely names the folder as well.
    """
    inside = f"{posixpath.relpath(folder, site)}/"
    if any(row[0].startswith(inside) for row in rows):
        return
    for name, entry in entries.items():
        if name.startswith(f"{folder}/") and not isinstance(entry, DirectoryEntry):
            yield [posixpath.relpath(name, site), "", ""]


def rows_of(record: str) -> Iterator[list[str]]:
    """Yield the rows of a RECORD that name a file.

    Raises:
        ValueError: it is damaged (a field is longer than any name); the message gives the line.
    """
    rows = csv.reader(record.splitlines())
    try:
        yield from (row for row in rows if row and row[0])
    except csv.Error as error:
        message = f"line {rows.line_num} of its RECORD is damaged ({error})"
        raise ValueError(message) from None


def recorded_arcname(name: str, site: str, prefix: Path) -> str:
    """Return the arcname of a file that a RECORD in `site` names; it may lead out with `..`."""
    name = name.replace("\\", "/")
    if name.startswith("/"):
        return posixpath.relpath(name, prefix.as_posix())
    arcname = f"{site}/{name}"
    # Nearly all names are normalised already; normalising 20,000 takes a tenth of a second.
    may_be_longer = "/." in arcname or "//" in arcname or arcname.endswith("/")
    return posixpath.normpath(arcname) if may_be_longer else arcname


def new_record(distribution: InstalledDistribution, files: Iterable[FileEntry]) -> bytes:
    """Return the RECORD of a distribution, given all of its files."""
    site = posixpath.dirname(distribution.metadata_dir)

    def rows() -> Iterator[tuple[str, str, str]]:
        for entry in files:
            name = posixpath.relpath(entry.arcname, site)
            content = entry.content if isinstance(entry.content, bytes) else b""
            yield name, _digest(content), str(entry.size)
        yield f"{posixpath.basename(distribution.metadata_dir)}/RECORD", "", ""

    return _text(sorted(rows()))


def record_rows(site: str, digests: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return RECORD rows for files, sorted by name.

    Parameters:
        site: arcname of the folder that contains the RECORD's own folder.
        digests: SHA-256 and size of each file, by arcname.
    """
    named = {posixpath.relpath(name, site): facts for name, facts in digests.items()}
    return _text(
        (name, _spelled(digest), str(size)) for name, (digest, size) in sorted(named.items())
    )


def _digest_of(content: Content) -> str | None:
    match content:
        case bytes():
            return _digest(content)
        case PatchedFile(sha256=bytes(sha256)):
            return _spelled(sha256)
    return None


def with_byte_code_rows(record: bytes, site: str, byte_code: Mapping[str, str]) -> bytes:
    """Return a RECORD that lists the bytecode of its sources as pip does, without hashes.

    An installer that replaces the distribution removes the files listed. If it did not know of the
    bytecode, new sources would run as the old ones.

    Parameters:
        site: arcname of the folder that contains the RECORD's own folder.
        byte_code: arcnames of the bytecode, by those of the sources.
    """
    rows: list[tuple[str, ...]] = []
    for row in rows_of(record.decode("utf-8", "surrogateescape")):
        arcname = posixpath.normpath(posixpath.join(site, row[0]))
        if arcname in byte_code:
            rows.append((posixpath.relpath(byte_code[arcname], site), "", ""))
        rows.append(tuple(row))
    named = {row[0]: row for row in reversed(rows)}
    return _text(sorted(named.values()))


def _digest(content: bytes) -> str:
    return _spelled(hashlib.sha256(content).digest())


def _spelled(digest: bytes) -> str:
    """Return a hash as RECORD spells it: URL-safe base64 without padding (PEP 427)."""
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _text(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
