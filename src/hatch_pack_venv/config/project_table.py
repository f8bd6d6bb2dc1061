"""The table in which a project configures its archives, in pyproject.toml or hatch.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ..model.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


PLUGIN_NAME: Final = "pack-venv"
HOOK_TABLE: Final = f"hooks.{PLUGIN_NAME}"
WHEEL_HOOK_TABLE: Final = f"targets.wheel.hooks.{PLUGIN_NAME}"
TARGET_TABLE: Final = f"targets.{PLUGIN_NAME}"
"""Tables below the build table, whose own path `build_table` returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTable:
    """A project's configuration of its archives.

    Parameters:
        root: the project's folder.
        file: the file that configures its builds.
        where: the table's TOML path.
        table: the plugin's keys; hatchling's own are left out.
        name: the project's name as written; `None` if it is not in pyproject.toml.
        version: the project's version as written; `None` if it is dynamic.
        reproducible: whether archives get fixed times (`tool.hatch.build.reproducible`).
    """

    root: Path
    file: str
    where: str
    table: Mapping[str, Any]
    name: str | None = None
    version: str | None = None
    reproducible: bool = True

    @classmethod
    def find(cls, root: Path) -> Self | None:
        """Return the table of a project's target or hook, or `None` if it configures neither.

        Raises:
            OptionsError: if a file cannot be read.
        """
        project, hatch = _load(root / "pyproject.toml"), hatch_table(root)
        build = _table(hatch, "build")
        found = chosen(build)
        if found is None:
            return None
        name, table, hatchlings = found
        file, path = build_table(root)
        facts = _table(project, "project")
        return cls(
            root=root,
            file=file,
            where=f"{path}.{name}",
            table={key: value for key, value in table.items() if key not in hatchlings},
            name=facts.get("name"),
            version=facts.get("version"),
            reproducible=build.get("reproducible") is not False,
        )


def build_table(root: Path) -> tuple[str, str]:
    """Return the file that configures a project's builds, and the TOML path of the table in it.

    The `build` table of a `hatch.toml`, if it has one, replaces that of pyproject.toml (hatchling's
    `ProjectMetadata.hatch`).
    """
    try:
        own = "build" in _load(root / "hatch.toml")
    except OptionsError:
        own = False  # hatchling has read it already, or says why it cannot
    return ("hatch.toml", "build") if own else ("pyproject.toml", "tool.hatch.build")


def hatch_table(root: Path) -> Mapping[str, Any]:
    """Return a project's `tool.hatch`; tables in hatch.toml override those of the same name.

    Raises:
        OptionsError: if a file cannot be read.
    """
    project = _load(root / "pyproject.toml")
    return {**_table(project, "tool", "hatch"), **_load(root / "hatch.toml")}


def chosen(build: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], frozenset[str]] | None:
    """Return the name of the table that applies, the table, and hatchling's own keys in it.

    It is the target's own, else the hook's for wheels, else the hook's; `None` if there is none. A
    target without keys of its own uses those of the hook.
    """
    from .options import HATCHLING_HOOK_KEYS, HATCHLING_TARGET_KEYS  # hooks need only the names

    hooks = (
        (WHEEL_HOOK_TABLE, _table(build, "targets", "wheel", "hooks")),
        (HOOK_TABLE, _table(build, "hooks")),
    )
    target = _table(build, "targets").get(PLUGIN_NAME)
    if isinstance(target, dict) and (target or not any(PLUGIN_NAME in each for _, each in hooks)):
        return TARGET_TABLE, target, HATCHLING_TARGET_KEYS
    for name, table in hooks:
        if isinstance(table.get(PLUGIN_NAME), dict):
            return name, table[PLUGIN_NAME], HATCHLING_HOOK_KEYS
    return None


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        told = error.strerror if isinstance(error, OSError) else error
        raise OptionsError("the configuration cannot be read", [f"{path}: {told}"]) from error


def _table(table: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a nested table, or an empty one if there is none."""
    for name in names:
        found = table.get(name, {})
        table = found if isinstance(found, dict) else {}
    return table
