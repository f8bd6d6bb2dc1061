"""Keeps archives and environments out of hatchling's own targets.

hatchling itself excludes only `dist` and folders named `.venv`. A hook can reserve paths for the
targets it runs for; for other targets, it can only stop and name the missing line.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from ..metadata.files import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


class FileSelection(Protocol):
    """The parts of hatchling's `BuilderConfig` used here."""

    build_reserved_paths: set[str]

    @property
    def root(self) -> str:
        """The project's folder."""
        ...

    @property
    def only_include(self) -> Mapping[str, str]:
        """The absolute paths that are walked instead of the whole project."""
        ...

    @property
    def force_include(self) -> Mapping[str, str]:
        """The absolute paths included regardless of the patterns, with their target paths."""
        ...

    def path_is_artifact(self, relative_path: str) -> bool:
        """Return whether a file is included even if it is excluded by patterns."""
        ...

    def directory_is_excluded(self, name: str, relative_path: str) -> bool:
        """Return whether a folder is not walked."""
        ...

    def include_path(self, relative_path: str, *, explicit: bool, is_package: bool) -> bool:
        """Return whether patterns include a file."""
        ...

    def get_distribution_path(self, relative_path: str) -> str:
        """Return a file's path in the distribution."""
        ...


By: TypeAlias = Literal["the patterns", "artifacts", "force-include"]
_PATTERNS: Final[tuple[By, ...]] = ("the patterns", "artifacts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A folder from which a target would include files.

    Parameters:
        pattern: the folder as a pattern for `exclude`.
        by: what includes it; `exclude` only works against the patterns.
        source: what `force-include` names, relative to the project if inside it.
    """

    pattern: str
    by: By
    source: str = ""


def inside(root: Path, path: Path) -> str | None:
    """Return a path relative to the project, with `/`, or `None` if it is outside."""
    relative = os.path.relpath(path, root)
    is_outside = relative == os.curdir or relative.split(os.sep)[0] == os.pardir
    return None if is_outside or os.path.isabs(relative) else relative.replace(os.sep, "/")


def reserve(config: FileSelection, *paths: Path) -> None:
    """Keep folders of the project out of the target being built."""
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
    """Yield a folder's files under the names by which hatchling checks them.

    If a target lists its contents explicitly, hatchling checks files only, not folders.
    """
    for source, target in (*config.only_include.items(), *config.force_include.items()):
        if path.is_relative_to(source):
            for folder, _, files in walk(path):
                relative = os.path.relpath(folder, source)
                below = "" if relative == os.curdir else relative
                yield from (os.path.join(target, below, name) for name in files)


def taken_folders(
    config: FileSelection, folders: Mapping[Path, Iterable[str]], ignored: Collection[str]
) -> Iterator[Taken]:
    """Yield the folders from which a target would include files, by hatchling's own rules.

    Parameters:
        folders: each with the names of files that will be added to those it already has.
        ignored: names of folders that hatchling never walks.
    """
    root = Path(config.root)
    for folder, names in folders.items():
        relative = inside(root, folder)
        forced = _forcing(config, folder, ignored)
        if forced is not None:
            shown = inside(root, Path(forced)) or os.path.relpath(forced, root)
            yield Taken(pattern=f"/{relative or folder}", by="force-include", source=shown)
        elif relative is not None:
            chosen = _Chosen(config, folder, relative, ignored)
            found = {chosen.by(*file) for file in chosen.files(names)}
            yield from (Taken(pattern=f"/{relative}", by=by) for by in _PATTERNS if by in found)


def _forcing(config: FileSelection, folder: Path, ignored: Collection[str]) -> str | None:
    """Return the `force-include` source that contains a folder, or is the folder itself.

    Sources below the folder are intentional.
    """
    for source in config.force_include:
        if folder.is_relative_to(source) and not _is_ignored(folder, Path(source), ignored):
            return source
    return None


def _is_ignored(folder: Path, source: Path, ignored: Collection[str]) -> bool:
    return bool(set(folder.relative_to(source).parts) & set(ignored))


class _Chosen:
    """What a target's patterns include from one folder."""

    def __init__(
        self, config: FileSelection, folder: Path, relative: str, ignored: Collection[str]
    ) -> None:
        self.config = config
        self.folder = folder
        self.relative = relative
        self.ignored = ignored
        self.explicit = bool(config.only_include)

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Yield the files that hatchling would visit, and whether they are in a package."""
        if not self._comes_here():
            return
        yield from ((f"{self.relative}/{name}", False) for name in names)
        for here, folders, files in walk(self.folder):
            below = os.path.relpath(here, self.folder)
            place = os.path.normpath(os.path.join(self.relative, below))
            folders[:] = [name for name in folders if not self._is_passed_over(name, place)]
            yield from ((os.path.join(place, name), "__init__.py" in files) for name in files)

    def by(self, file: str, is_package: bool) -> By | None:  # noqa: FBT001
        """Return what includes a file, or `None` if nothing does."""
        if self.config.path_is_artifact(file):
            return "artifacts"
        taken = self.config.include_path(file, explicit=self.explicit, is_package=is_package)
        return "the patterns" if taken else None

    def _comes_here(self) -> bool:
        if self.explicit:
            return any(
                self.folder.is_relative_to(source)
                and not _is_ignored(self.folder, Path(source), self.ignored)
                for source in self.config.only_include
            )
        parts = self.relative.split("/")
        return not any(
            self._is_passed_over(name, os.path.join(*parts[:number]) if number else "")
            for number, name in enumerate(parts)
        )

    def _is_passed_over(self, name: str, place: str) -> bool:
        if self.explicit:
            return name in self.ignored
        return self.config.directory_is_excluded(name, place)


def describe_taken(
    build: Mapping[str, Any], where: tuple[str, str], target: str, found: Iterable[Taken]
) -> tuple[str, list[str]]:
    """Return what a target would include, and for each kind the line that prevents it.

    Parameters:
        build: the build table.
        where: the file it is in, and its TOML path there.
    """
    file, build_path = where
    found = list(found)
    lines = []
    # Without `/**`, a pattern that matches a file by name would take precedence over the folder's.
    kinds = (("exclude", "the patterns", "{}"), ("artifacts", "artifacts", "!{}/**"))
    for key, by, form in kinds:
        patterns = [form.format(each.pattern) for each in found if each.by == by]
        if patterns:
            table, line = added_lines(build, build_path, target, key, patterns)
            lines.append(f"set in {table} of {file}: {line}")
    lines += [
        f"force-include names {each.source!r}, from which no pattern can exclude {each.pattern}:"
        " name only what is needed from it"
        for each in found
        if each.by == "force-include"
    ]
    return " and ".join(dict.fromkeys(each.pattern for each in found)), lines


def added_lines(
    build: Mapping[str, Any], build_path: str, target: str, key: str, patterns: Iterable[str]
) -> tuple[str, str]:
    """Return the table and the line that keep paths out of a target, with existing values.

    Parameters:
        build: the build table.
        build_path: its TOML path.
    """
    own = build.get("targets", {}).get(target, {}).get(key)
    everywhere = build.get(key)
    table = f"{build_path}.targets.{target}"
    if own is None and everywhere is not None:
        table, own = build_path, everywhere
    listed = ", ".join(json.dumps(pattern) for pattern in [*(own or []), *patterns])
    return f"[{table}]", f"{key} = [{listed}]"
