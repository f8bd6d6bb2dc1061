"""The questions to ask of an unpacked environment; nothing is run or imported here."""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from ..metadata.installed import Metadata, installed_distributions
from ..model.proof import Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from ..model.distribution import InstalledDistribution
    from ..model.proof import Asked


_MODULES: Final = (".py", ".so", ".pyd")
_DEPTH: Final = 3  # folders of a namespace package: google/cloud/storage


def questions_of(root: Path, head: Mapping[str, Any], asked: Asked) -> list[Question]:
    """Return what must run: modules, entry points, then the requested commands.

    Parameters:
        root: the unpacked environment.
        head: the head of its manifest.
        asked: `all`, or anything else for the project's own modules and entry points.
    """
    layout = head.get("layout", {})
    sites, scripts = tuple(layout.get("site_packages", ())), layout.get("scripts", "bin")
    packed = [*installed_distributions(root, sites, scripts)]
    there = dict(pair for site in sites for pair in _modules_in(root, site))
    if asked != "all":
        packed = [each for each in packed if each.key == canonicalize_name(head.get("name") or "")]
        there = dict(_own(packed, there))
    commands = asked if isinstance(asked, tuple) else ()
    return [
        *(Question(kind="module", name=name, module=name) for name in sorted(there)),
        *sorted({*_entry_points(root, packed)}, key=lambda each: (each.name, each.module)),
        *(Question(kind="command", name=command) for command in commands),
    ]


def _own(
    packed: Iterable[InstalledDistribution], there: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the modules of some distributions, guessed by name if one has no list of files."""
    for each in packed:
        guessed = each.key.replace("-", "_")
        owned = {name: path for name, path in there.items() if path in each.files}
        if not owned and guessed in there:
            owned = {guessed: there[guessed]}
        yield from owned.items()


def _modules_in(root: Path, folder: str, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the top-level modules of a folder, with the arcname of the file that is loaded.

    For a namespace package, for which no file is loaded, yield the modules in it instead.
    """
    for child in sorted(os.listdir(root / folder)):
        path = posixpath.join(folder, child)
        name, _, suffix = child.partition(".")
        if not name.isidentifier() or name == "__pycache__":
            continue
        if not suffix and (root / path).is_dir():
            loaded = _initial_file(root / path)
            if loaded is not None:
                yield above + name, f"{path}/{loaded}"
            elif above.count(".") < _DEPTH:
                yield from _modules_in(root, path, f"{above}{name}.")
        elif f".{suffix}".endswith(_MODULES) and not _is_library(child):
            yield above + name, path


def _initial_file(package: Path) -> str | None:
    names = sorted(os.listdir(package))
    return next((n for n in names if n.startswith("__init__.") and n.endswith(_MODULES)), None)


def _is_library(name: str) -> bool:
    """Whether this is a library that others load rather than a module: `libfoo.so`."""
    return name.startswith("lib") and name.endswith(".so") and name.count(".") == 1


def _entry_points(root: Path, packed: Iterable[InstalledDistribution]) -> Iterator[Question]:
    """Yield the entry points of all groups, except those that need an extra: it may be missing."""
    for distribution in packed:
        for point in _declared(root / distribution.metadata_dir):
            module, _, attr = point.value.partition(":")
            if "[" not in point.value and module.strip():
                yield Question(
                    kind="entry point",
                    name=point.name,
                    module=module.strip(),
                    attr=attr.strip(),
                )


def _declared(metadata: Path) -> Iterable[EntryPoint]:
    """Return the entry points of a distribution; none if Python itself could not read them."""
    with suppress(OSError, TypeError, ValueError):
        return Metadata(metadata).entry_points
    return ()
