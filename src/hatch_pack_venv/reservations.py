"""Keeping archives and environments out of what hatchling builds.

hatchling leaves out `dist` and folders called `.venv` by itself, nothing else. A hook can reserve
paths for the targets it runs for; for those it does not run for, all that can be done is to stop
and say which line is missing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


class FileSelection(Protocol):
    """What is used of hatchling's `BuilderConfig`."""

    build_reserved_paths: set[str]

    @property
    def root(self) -> str:
        """The project's folder."""
        ...

    @property
    def only_include(self) -> Mapping[str, str]:
        """The paths that are walked instead of the whole project, absolute."""
        ...

    def directory_is_excluded(self, name: str, relative_path: str) -> bool:
        """Whether a folder is not walked."""
        ...

    def include_path(self, relative_path: str, *, explicit: bool, is_package: bool) -> bool:
        """Whether patterns take a file."""
        ...

    def get_distribution_path(self, relative_path: str) -> str:
        """Return the name that a file gets."""
        ...


_PROBES: Final = ("bin/activate", "pyvenv.cfg")


def inside(root: Path, path: Path) -> str | None:
    """Return a path relative to the project, with `/`; `None` if it lies elsewhere."""
    relative = os.path.relpath(path, root)
    is_outside = relative == os.curdir or relative.split(os.sep)[0] == os.pardir
    return None if is_outside or os.path.isabs(relative) else relative.replace(os.sep, "/")


def reserve(config: FileSelection, *paths: Path) -> None:
    """Keep folders of the project out of the target that is being built."""
    root = Path(config.root)
    for path in paths:
        relative = inside(root, path)
        if relative is None:
            continue
        config.build_reserved_paths.add(relative.replace("/", os.sep))
        config.build_reserved_paths.update(
            config.get_distribution_path(name) for name in _listed_files(config, path)
        )


def _listed_files(config: FileSelection, path: Path) -> Iterator[str]:
    """Yield the files of a folder under the names by which hatchling asks for each.

    Where a target lists what it takes, it asks for files only, not for folders.
    """
    for source, target in config.only_include.items():
        if path.is_relative_to(source):
            for folder, _, files in os.walk(path):
                relative = os.path.relpath(folder, source)
                below = "" if relative == os.curdir else relative
                yield from (os.path.join(target, below, name) for name in files)


def is_taken(config: FileSelection, relative: str, ignored: Collection[str]) -> bool:
    """Whether a target takes a file of the project, by hatchling's own rules.

    Parameters:
        relative: the file, which need not be there yet.
        ignored: names of folders that hatchling never walks.
    """
    path = PurePath(relative)
    if not config.only_include:
        folders = [folder for folder in path.parents if folder.name]
        if any(config.directory_is_excluded(f.name, _parent(f)) for f in folders):
            return False
        return config.include_path(relative, explicit=False, is_package=True)
    for source in config.only_include:
        top = PurePath(os.path.relpath(source, config.root))
        if path.is_relative_to(top) and not set(path.relative_to(top).parts) & set(ignored):
            return config.include_path(relative, explicit=True, is_package=True)
    return False


def _parent(folder: PurePath) -> str:
    parent = str(folder.parent)
    return "" if parent == os.curdir else parent


def taken_folders(
    config: FileSelection, environment: Path, output: Path, ignored: Collection[str]
) -> Iterator[str]:
    """Yield which of the two folders a target would take files of, as patterns for `exclude`."""
    root = Path(config.root)
    for folder, probes in ((output, ("archive.tar.xz.json",)), (environment, _PROBES)):
        relative = inside(root, folder)
        if relative is not None and any(
            is_taken(config, f"{relative}/{probe}", ignored) for probe in probes
        ):
            yield f"/{relative}"


def exclude_lines(
    build: Mapping[str, Any], target: str, patterns: Iterable[str]
) -> tuple[str, str]:
    """Return the table and the line that keep paths out of a target, what is there included.

    Parameters:
        build: the table `tool.hatch.build`.
    """
    own = build.get("targets", {}).get(target, {}).get("exclude")
    everywhere = build.get("exclude")
    table = f"tool.hatch.build.targets.{target}"
    if own is None and everywhere is not None:
        table, own = "tool.hatch.build", everywhere
    listed = ", ".join(json.dumps(pattern) for pattern in [*(own or []), *patterns])
    return f"[{table}]", f"exclude = [{listed}]"
