"""The bill of materials of what would be packed or has been packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..documents.cyclonedx import content_of
from ..documents.spdx import is_ours, spdx
from ..metadata.files import parse_json, read_file
from ..model import manifest
from ..model.components import SBOM, SBOM_SUFFIX
from ..model.errors import ArchiveProblem
from ..model.results import silent
from ..read.contents import Contents
from ..scan.probe import environment_folder
from .pack import planned_documents

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.options import PackOptions
    from ..model.results import Reporter


def is_packed(path: Path) -> bool:
    """Whether a path is an archive or an unpacked folder rather than an environment."""
    folder = environment_folder(path)
    return not folder.is_dir() or (folder / manifest.ARCNAME).is_file()


def sbom_of_environment(
    prefix: Path, options: PackOptions, *, as_spdx: bool = False, report: Reporter = silent
) -> dict[str, Any]:
    """Return the bill of materials that an environment's archive would hold.

    Every file is read, because the document names the digest of their contents.

    Raises:
        PackVenvError: if the environment cannot be packed.
    """
    document = parse_json(planned_documents(prefix, options, report=report)[SBOM_SUFFIX])
    return spdx(document) if as_spdx else document


def sbom_of_archive(
    path: Path, *, as_spdx: bool = False, report: Reporter = silent
) -> dict[str, Any]:
    """Return the bill of materials in an archive or an unpacked folder, or else the one next to it.

    Raises:
        ArchiveProblem: if there is none, or if it belongs to another archive.
    """
    contents = Contents.from_path(
        path, hashing=False, keep=lambda name: f"/{name}".endswith(f"/{SBOM}"), report=report
    )
    if contents.damage is not None:
        raise ArchiveProblem(contents.damage)
    where = f"{path}: {SBOM}"
    data = contents.kept.get(SBOM)
    if data is None:
        where = f"{path}{SBOM_SUFFIX}"
        data = _beside(path, where)
    document = _parsed(bytes(data), where)
    if SBOM not in contents.kept:
        _check_is_of(document, contents, where)
    return spdx(document) if as_spdx else document


def _beside(path: Path, name: str) -> bytes:
    try:
        return read_file(name)
    except FileNotFoundError:
        raise ArchiveProblem(
            f"{path} contains no bill of materials ({SBOM}), and there is no {name}: it was packed"
            " with sbom = false, or by a version of pack-venv that wrote none; pack it again"
        ) from None
    except OSError as error:
        raise ArchiveProblem(f"{name} cannot be read: {error.strerror}") from error


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = parse_json(data)
    except ValueError as error:
        raise ArchiveProblem(f"the bill of materials {where} is damaged: {error}") from None
    if not is_ours(document):
        raise ArchiveProblem(
            f"the bill of materials {where} was not written by pack-venv: it is not a CycloneDX"
            " document, or parts of it are missing"
        )
    return dict(document)


def _check_is_of(document: dict[str, Any], contents: Contents, where: str) -> None:
    """Refuse a document next to an archive that belongs to another, for example an earlier one."""
    if content_of(document) != contents.listing.head["content_digest"]:
        raise ArchiveProblem(
            f"{where} is the bill of materials of another archive: it does not name the content"
            f" digest of {contents.path}; pack again"
        )
