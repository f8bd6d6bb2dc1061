"""What the hook and the target are going to pack, found out before the wheel is built."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from packaging.utils import canonicalize_name

from ..command.progress import terminal_progress
from ..environment import Environment
from ..layers.neighbours import find_neighbours
from ..packing import Project, pack_project
from .hatch_environments import find_hatch_environment

if TYPE_CHECKING:
    from pathlib import Path

    from ..archives import PackResult
    from ..options import PackOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A prepared environment, and where its archives go.

    Parameters:
        source: the environment.
        output: the folder that takes the archives.
    """

    source: Path
    output: Path
    options: PackOptions

    @classmethod
    def of(cls, base: Path, options: PackOptions) -> Self:
        """Find the environment and read it once, so that what is wrong with it is told early.

        Parameters:
            base: the folder that the options' paths are relative to.

        Raises:
            EnvironmentProblem: there is no usable environment.
            PlanError: its neighbours are not right.
        """
        source = source_folder(base, options)
        environment = Environment.from_prefix(source)
        options = replace(
            options.for_environment(environment),
            wheels=tuple(base / wheel for wheel in options.wheels),
            lock=_below(base, options.lock),
            containing_dir=_below(base, options.containing_dir),
            base_runtime=_below(base, options.base_runtime),
            layers=tuple(base / layer for layer in options.layers),
            dynlib_dirs=tuple(base / folder for folder in options.dynlib_dirs),
        )
        find_neighbours(environment, options)
        return cls(source=source, output=base / options.output_directory, options=options)

    def likely_names(self, name: str, version: str) -> list[str]:
        """Return what its archives will be called, as far as this is known before they are planned.

        Tags are stood in for: they depend on the packed files.
        """
        fields = {"name": canonicalize_name(name), "version": version}
        tags = {"python_tag": "cp311", "platform_tag": "linux_x86_64"}
        base = self.options.archive_name.format(**fields, **tags)
        names = [base + format.suffix for format in self.options.formats]
        return [*names, *(f"{each}.json" for each in names)]

    def pack(self, project: Project) -> list[PackResult]:
        """Write the archives."""
        return pack_project(
            self.source, self.output, self.options, project, report=terminal_progress
        )


def _below(base: Path, path: Path | None) -> Path | None:
    return None if path is None else base / path


def source_folder(base: Path, options: PackOptions) -> Path:
    """Return the environment's folder; an active environment plays no part.

    Raises:
        EnvironmentProblem: Hatch does not tell where its environment is.
    """
    given = os.environ.get("HATCH_PACK_VENV_SOURCE")
    if given:
        return base / given
    if options.hatch_env is not None:
        return find_hatch_environment(base, options.hatch_env, os.environ)
    return base / options.source
