"""The licences of what an archive or an unpacked folder holds, from the metadata in it."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from ..metadata.installed import about_of, headers_of
from ..metadata.licences import licence_named, licence_of, metadata_folder, text_names
from ..model.components import LICENCES
from ..model.distribution import About
from ..model.errors import ArchiveProblem
from ..model.results import silent
from .contents import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..model.components import Licence
    from ..model.results import Reporter


_METADATA: Final = (".dist-info/METADATA", ".egg-info/PKG-INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceRow:
    """A component, its licence, and the names of the licence texts that are packed with it."""

    name: str
    version: str | None
    licence: Licence | None
    texts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-compatible values."""
        return {
            "name": self.name,
            "version": self.version,
            "license": None if self.licence is None else self.licence.text,
            "is_expression": self.licence is not None and self.licence.is_expression,
            "texts": list(self.texts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Licences:
    """The licences of all components, by name."""

    path: Path
    rows: tuple[LicenceRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
        return {"path": str(self.path), "licenses": [row.to_dict() for row in self.rows]}


def licences_in(path: Path, *, report: Reporter = silent) -> Licences:
    """Read the licences of what an archive or a folder holds.

    Raises:
        ArchiveProblem: it cannot be read, is damaged or refused, or is none of ours.
    """
    contents = Contents.from_path(
        path, hashing=False, keep=lambda name: name.endswith(_METADATA), report=report
    )
    if contents.damage is not None:
        raise ArchiveProblem(contents.damage)
    rows = [*_distributions(contents), *_interpreter(contents.listing.head, contents)]
    return Licences(path=path, rows=tuple(sorted(rows, key=lambda row: row.name.casefold())))


def _distributions(contents: Contents) -> Iterator[LicenceRow]:
    found: dict[str, tuple[str, About]] = {}
    files: defaultdict[str, list[str]] = defaultdict(list)
    for name in contents.listing.files:
        folder = metadata_folder(name)
        if folder is not None:
            files[folder].append(name)
    for name, data in contents.kept.items():
        if name.endswith(_METADATA):
            text = bytes(data).decode("utf-8", "replace").replace("\r\n", "\n")
            headers = headers_of(text)
            key = str(canonicalize_name(headers.get("Name") or ""))
            found.setdefault(key, (posixpath.dirname(name), about_of(headers)))
    for told in contents.listing.head.get("distributions", ()):
        folder, about = found.get(str(canonicalize_name(told["name"])), ("", About()))
        yield LicenceRow(
            name=told["name"],
            version=told["version"],
            licence=licence_of(about),
            texts=tuple(text_names(folder, files[folder], about.licence_files)),
        )


def _interpreter(head: Mapping[str, Any], contents: Contents) -> Iterator[LicenceRow]:
    bundle = head.get("bundle")
    if bundle is None:
        return
    version = str(head["python"].get("version"))
    owner = bundle.get("package")
    packages = {str(each.get("package") or each.get("name")): each for each in bundle["libraries"]}
    packages |= {str(owner.get("package")): owner} if owner else {}
    yield LicenceRow(
        name="CPython",
        version=version,
        licence=licence_named("Python-2.0"),
        texts=tuple(_of_cpython(version, owner, contents)),
    )
    for name, each in packages.items():
        yield LicenceRow(
            name=name,
            version=each.get("version"),
            licence=licence_named(each.get("license")),
            texts=tuple(_below(name, contents)),
        )


def _of_cpython(version: str, owner: Mapping[str, Any] | None, contents: Contents) -> Iterable[str]:
    minor = ".".join(version.split(".")[:2])
    places = {f"{folder}/python{minor}/LICENSE.txt" for folder in ("lib", "lib64")}
    own = [name for name in contents.listing.files if name in places]
    package = str(owner.get("package")) if owner else "python"
    return own or [*_below("python", contents)] or _below(package, contents)


def _below(package: str, contents: Contents) -> Iterator[str]:
    folder = f"{LICENCES}/{package}/"
    yield from sorted(name for name in contents.listing.files if name.startswith(folder))
