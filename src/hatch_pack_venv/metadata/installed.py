"""What is installed in an environment, read from its metadata and never imported."""

from __future__ import annotations

import keyword
import os
import posixpath
import re
from contextlib import suppress
from dataclasses import replace
from email.parser import HeaderParser
from email.utils import getaddresses
from importlib.metadata import PathDistribution
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from ..model.distribution import About, EntryPoint, InstalledDistribution
from ..model.errors import EnvironmentProblem
from .editables import developed, recognise
from .files import open_file, parse_json, read_text, walk
from .record import recorded_arcname, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message
    from os import PathLike
    from pathlib import Path

    from packaging.direct_url import DirectUrl

    from ..model.distribution import Editable


# The first lines of both kinds of scripts that `setup.py develop` writes.
_DEVELOP_SCRIPT: Final = re.compile(
    rb"#![^\n]*\n# EASY-INSTALL-(?:ENTRY|DEV)-SCRIPT: '([^'=]+)(?:==[^']*)?',"
)


class Metadata(PathDistribution):
    """The metadata of one distribution, read with the precautions for files that others wrote.

    Raises:
        OSError: one of its files is not a regular file, or is too large.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def read_text(self, filename: str | PathLike[str]) -> str | None:
        """Return a file's text; only in files with names are bytes that are not UTF-8 preserved."""
        path = os.path.join(self.folder, filename) if filename else self.folder
        return read_text(path, "surrogateescape" if filename in _NAMING_FILES else "replace")


_NAMING_FILES: Final = {"RECORD", "top_level.txt", "direct_url.json", "entry_points.txt"}


def _read_distribution(found: Metadata, site: str, prefix: Path) -> InstalledDistribution:
    """Read one distribution in the site-packages folder `site` (an arcname).

    Raises:
        EnvironmentProblem: its metadata is unreadable; the message names the folder.
    """
    metadata_dir = posixpath.join(site, found.folder.name)
    try:
        metadata = _headers(found)
        name, version = metadata["Name"], metadata["Version"]
        entry_points = tuple(parse_entry_points(found.read_text("entry_points.txt") or ""))
        files = frozenset(_recorded_files(found, site, prefix))
        files = files or frozenset(files_without_record(found.folder, site, prefix))
        requires = tuple(_requirements(found, metadata))
        direct_url = found.read_text("direct_url.json")
    except OSError as error:
        raise EnvironmentProblem(
            f"{error.filename} cannot be read: {error.strerror}; reinstall the package"
        ) from error
    except ValueError as error:
        raise EnvironmentProblem(
            f"{metadata_dir} cannot be read: {error}; reinstall the package"
        ) from error
    if not name or not version:
        raise EnvironmentProblem(
            f"{prefix / metadata_dir} has no name or version in its metadata, as after an"
            " interrupted installation: remove the folder or reinstall the package"
        )
    editable = recognise(prefix, site, files, direct_url)
    if editable is not None:
        editable = replace(editable, names=_module_names(found, name, entry_points))
    return InstalledDistribution(
        name=name,
        version=version,
        metadata_dir=metadata_dir,
        files=files,
        entry_points=entry_points,
        requires=requires,
        requires_python=metadata.get("Requires-Python"),
        extras=tuple(metadata.get_all("Provides-Extra") or ()),
        direct_url=direct_url,
        editable=editable,
        about=about_of(metadata),
    )


def _read_developed(
    found: Metadata, editable: Editable, site: str, prefix: Path, scripts: str
) -> InstalledDistribution:
    """Read a distribution that `setup.py develop` installed, with metadata in its source folder.

    `metadata_dir` is the folder that a regular installation would create.
    """
    read = _read_distribution(found, site, prefix)
    name = re.sub(r"[-_.]+", "_", read.name)
    return replace(
        read,
        metadata_dir=f"{site}/{name}-{read.version}.dist-info",
        files=editable.hooks | frozenset(_develop_scripts(prefix, scripts, read.key)),
        editable=replace(editable, names=_module_names(found, read.name, read.entry_points)),
    )


def installed_distributions(
    prefix: Path, sites: tuple[str, ...], scripts: str = "bin"
) -> Iterator[InstalledDistribution]:
    """Yield the distributions installed below a prefix, in the order of names.

    Parameters:
        sites: arcnames of the site-packages folders.
        scripts: arcname of the scripts folder.

    Raises:
        EnvironmentProblem: metadata is unreadable or was left half deleted.
    """
    installed = [
        _read_distribution(found, site, prefix)
        for site in sites
        for found in _with_metadata(prefix / site)
    ]
    yield from installed
    yield from _developed_distributions(prefix, sites, installed, scripts)


def _with_metadata(site: Path) -> list[Metadata]:
    """Return the metadata of what is installed in a folder, as `importlib.metadata` finds it.

    Unlike `importlib.metadata`, fail if the folder cannot be listed.
    """
    return [
        Metadata(site / name)
        for name in sorted(os.listdir(site))
        # pip renames what it is about to remove to `~ame`; an interrupted run leaves it.
        if name.lower().endswith((".dist-info", ".egg-info")) and not name.startswith("~")
    ]


def _developed_distributions(
    prefix: Path, sites: tuple[str, ...], installed: list[InstalledDistribution], scripts: str
) -> Iterator[InstalledDistribution]:
    """Yield the distributions that only links and `.pth` lines to their source folders reveal."""
    keys = {distribution.key for distribution in installed}
    owned = {line for each in installed if each.editable for line in each.editable.lines}
    for site in sites:
        for metadata, editable in developed(prefix, site, owned):
            distribution = _read_developed(Metadata(metadata), editable, site, prefix, scripts)
            if distribution.key not in keys:
                keys.add(distribution.key)
                yield distribution


def about_of(metadata: Message) -> About:
    """Return what core metadata say about a distribution for people."""
    addresses = getaddresses(metadata.get_all("Author-email") or ())
    authors = [metadata.get("Author"), *(name or address for name, address in addresses)]
    classifiers = metadata.get_all("Classifier") or ()
    return About(
        summary=metadata.get("Summary"),
        authors=tuple(each for each in dict.fromkeys(authors) if each),
        licence_expression=metadata.get("License-Expression"),
        licence=metadata.get("License"),
        classifiers=tuple(each for each in classifiers if each.startswith("License ::")),
        licence_files=tuple(metadata.get_all("License-File") or ()),
    )


def _headers(found: Metadata) -> Message:
    """Return the core metadata without the description."""
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or found.read_text("") or ""
    return headers_of(text)


def headers_of(text: str) -> Message:
    """Return core metadata without the description, which takes most of the time to parse."""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def _requirements(found: Metadata, metadata: Message) -> Iterable[str]:
    if found.folder.suffix == ".dist-info":
        return metadata.get_all("Requires-Dist") or ()
    return found.requires or ()  # reads the metadata again, or requires.txt


def _recorded_files(found: Metadata, site: str, prefix: Path) -> Iterator[str]:
    for row in rows_of(found.read_text("RECORD") or ""):
        arcname = recorded_arcname(row[0], site, prefix)
        if not arcname.startswith("../"):
            yield arcname


def _module_names(found: Metadata, name: str, entry_points: Iterable[EntryPoint]) -> frozenset[str]:
    """Return the top-level modules that metadata mention, and the one named like the project."""
    named = [name.replace("-", "_"), *(point.module for point in entry_points)]
    named += (found.read_text("top_level.txt") or "").split()
    for field in ("Import-Name", "Import-Namespace"):  # PEP 794
        named += _headers(found).get_all(field) or ()
    return frozenset(re.split(r"[.;\s/]", each, maxsplit=1)[0] for each in named)


def _develop_scripts(prefix: Path, scripts: str, key: str) -> Iterator[str]:
    for path in sorted((prefix / scripts).iterdir()):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
            continue
        with open_file(path) as stream:
            match = _DEVELOP_SCRIPT.match(stream.read(1024))
        if match and canonicalize_name(match[1].decode("utf-8", "replace")) == key:
            yield f"{scripts}/{path.name}"


_MODULES: Final = (".py", ".so", ".pyd")


def files_without_record(metadata: Path, site: str, prefix: Path) -> Iterator[str]:
    """Yield the arcnames of a distribution's files that its metadata list or imply.

    `installed-files.txt` lists them (pip, for `setup.py install`). Otherwise they are the modules
    and the regular packages that `top_level.txt` names. A namespace package is skipped, because it
    may contain others' files.

    Parameters:
        metadata: the `.dist-info` or `.egg-info`, a folder or a file.
        site: arcname of the folder that contains it.
    """
    listed = _lines(metadata / "installed-files.txt")
    if listed:
        folder = f"{site}/{metadata.name}"
        for line in listed:
            arcname = posixpath.normpath(posixpath.join(folder, line))
            if not arcname.startswith(("../", "/")):
                yield arcname
        return
    tops = _lines(metadata / "top_level.txt")
    found = [name for top in tops for name in _files_of(prefix / site, top)]
    if found:
        yield from (f"{site}/{name}" for name in sorted(found))
        yield from (f"{site}/{metadata.name}/{name}" for name in sorted(os.listdir(metadata)))


def _lines(path: Path) -> list[str]:
    text = read_text(path) or ""  # missing, or the metadata are one file
    return [line.strip() for line in text.splitlines() if line.strip()]


def _files_of(site: Path, top: str) -> Iterator[str]:
    """Yield the files of a top-level module or regular package, relative to site-packages.

    The names come from listing the folder, because `top` may be any text.
    """
    folder, name = posixpath.split(top)
    if posixpath.normpath(top) != top or top.startswith(("..", "/")):
        return
    beside: list[str] = []
    with suppress(OSError, ValueError):
        beside = os.listdir(site / folder)
    package = site / top
    if name in beside and not package.is_symlink() and os.path.isfile(package / "__init__.py"):
        for below, _, names in walk(package):
            relative = os.path.relpath(below, site)
            yield from (posixpath.join(relative, each) for each in names)
    for each in beside:
        is_module = each.startswith(f"{name}.") and each.endswith(_MODULES)
        if is_module and os.path.isfile(site / folder / each):
            yield posixpath.join(folder, each)


_ENTRY_POINT_VALUE: Final = re.compile(
    r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(?:\[[^\]]*\])?"  # entry points specification
)


def parse_entry_points(text: str) -> list[EntryPoint]:
    """Return the console and GUI scripts that an `entry_points.txt` declares.

    Raises:
        ValueError: a line of these two sections is not `name = module:attr`; the message quotes it.
    """
    found: list[EntryPoint] = []
    section = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip()
        elif section in {"console_scripts", "gui_scripts"}:
            found.append(_entry_point(line, number, gui=section == "gui_scripts"))
    return found


def _entry_point(line: str, number: int, *, gui: bool) -> EntryPoint:
    name, _, value = (part.strip() for part in line.partition("="))
    match = _ENTRY_POINT_VALUE.fullmatch(value)
    names_a_file = name not in {"", ".", ".."} and not set(name) & {"/", "\0"}
    if not (match and names_a_file and _is_dotted(match["module"]) and _is_dotted(match["attr"])):
        msg = f"line {number}, {line!r}, is not of the form 'name = module:function'"
        raise ValueError(msg)
    return EntryPoint(name=name, module=match["module"], attr=match["attr"], gui=gui)


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def origin_of(distribution: InstalledDistribution) -> DirectUrl | None:
    """Return where a distribution was installed from (PEP 610), if that is recorded and valid."""
    if distribution.direct_url is None:
        return None
    from packaging.direct_url import DirectUrl, DirectUrlValidationError  # few have one

    try:
        return DirectUrl.from_dict(parse_json(distribution.direct_url))
    except (ValueError, AttributeError, TypeError, DirectUrlValidationError):
        return None
