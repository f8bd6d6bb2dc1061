"""The seed API's archives, packed in every format and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv import CompressionFormat, create_archive
from support.reading import Member, members

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = list(CompressionFormat)
every_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)


def packed(source: Path, format: CompressionFormat | str | None = None, **more: object) -> Path:
    """Pack an environment into `out`, two folders above it, without showing progress."""
    arguments: dict[str, object] = {"show_progress": False, "format": format, **more}
    return create_archive(source, source.parents[1] / "out/app", **arguments)  # type: ignore[arg-type]


def contents(path: Path) -> dict[str, Member]:
    """Return the members of an archive by name."""
    return members(path)
