"""Removing archives, and nothing but archives that were written here."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from .. import manifest

if TYPE_CHECKING:
    from pathlib import Path

_FACTS_LIMIT: Final = 1 << 24  # bytes


def remove_archives(folder: Path, name: str) -> list[Path]:
    """Remove a project's archives and the facts beside them; return what was removed.

    A file is an archive of ours if the `.json` beside it says so, with its size and SHA-256.

    Parameters:
        name: of the project; archives of others in the same folder stay.
    """
    removed: list[Path] = []
    for facts in sorted(folder.glob("*.json")):
        archive = _proven_archive(facts, name)
        if archive is not None:
            for path in (archive, facts):
                path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing."""
    with suppress(OSError):
        folder.rmdir()


def _proven_archive(facts: Path, name: str) -> Path | None:
    """Return the archive that a `.json` tells of, there or not; `None` if it proves nothing."""
    told = _read(facts)
    archive = facts.with_name(facts.name.removesuffix(".json"))
    head = told.get("manifest")
    if told.get("archive") != archive.name or not isinstance(head, dict):
        return None
    if head.get("format_version") != manifest.FORMAT_VERSION:
        return None
    if canonicalize_name(str(head.get("name"))) != canonicalize_name(name):
        return None
    return archive if not archive.exists() or _is_as_told(archive, told) else None


def _read(facts: Path) -> dict[str, Any]:
    try:
        if facts.is_symlink() or facts.stat().st_size > _FACTS_LIMIT:
            return {}
        told = json.loads(facts.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_as_told(archive: Path, told: dict[str, Any]) -> bool:
    if archive.is_symlink() or not archive.is_file():
        return False
    if archive.stat().st_size != told.get("size"):
        return False
    with archive.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == told.get("sha256")
