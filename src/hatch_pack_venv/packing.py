"""Scan, plan, write: the core's front."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from .archives import ExportResult, PackResult, Reporter, silent, write_archives, write_folder
from .environment import Environment, scan
from .formats import Effort
from .normalise import Times
from .plan import PackPlan, Recipe, build_plan
from .runtime import runtime_entries
from .selection import Selection
from .wheels import WheelOverlay

if TYPE_CHECKING:
    from _typeshed import StrPath

    from .options import PackOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project whose environment is packed.

    Parameters:
        wheel: the wheel just built; it replaces what the environment holds of the project.
        times: which modification times entries get.
    """

    name: str
    version: str | None = None
    wheel: Path | None = None
    times: Times | None = None


def pack(
    prefix: StrPath,
    output_base: StrPath,
    options: PackOptions,
    *,
    project: Project | None = None,
    report: Reporter = silent,
) -> list[PackResult]:
    """Pack a prepared environment into an archive for each of the options' formats.

    Parameters:
        prefix: the environment.
        output_base: the archives' path without the format's suffix.
        project: what the archive is of; by default the environment itself.

    Raises:
        PackVenvError: it cannot be done; nothing was changed or left behind.
    """
    plan = plan_environment(Environment.from_prefix(prefix), options, project)
    return _write(plan, output_base, options, report)


def pack_project(
    prefix: StrPath,
    directory: Path,
    options: PackOptions,
    project: Project,
    *,
    report: Reporter = silent,
) -> list[PackResult]:
    """Do as `pack` does, with archives in a folder, named by the options' template.

    Raises:
        PackVenvError: it cannot be done; nothing was changed or left behind.
    """
    environment = Environment.from_prefix(prefix)
    plan = plan_environment(environment, options, project)
    name = options.expand(options.archive_name, environment, project)
    return _write(plan, directory / name, options, report)


def export(
    prefix: StrPath, target: StrPath, options: PackOptions, *, report: Reporter = silent
) -> ExportResult:
    """Write what an archive would hold into a folder.

    Raises:
        PackVenvError: it cannot be done; nothing was changed or left behind.
    """
    plan = plan_environment(Environment.from_prefix(prefix), options, None)
    target = Path(os.path.abspath(target))
    return write_folder(plan, target, threads=options.threads, report=report)


def _write(
    plan: PackPlan, output_base: StrPath, options: PackOptions, report: Reporter
) -> list[PackResult]:
    effort = Effort(level=options.compression_level, threads=options.threads)
    return write_archives(plan, output_base, options.formats, effort=effort, report=report)


def plan_environment(
    environment: Environment, options: PackOptions, project: Project | None
) -> PackPlan:
    """Scan an environment and decide what is packed of it."""
    project = project or Project(name=environment_name(environment.given))
    times = project.times or Times.reproducible(os.environ)
    wheels = [*options.wheels]
    if project.wheel is not None and options.project == "wheel":
        wheels.append(project.wheel)
    bundled = options.interpreter == "bundled"
    recipe = Recipe(
        name=project.name,
        version=project.version,
        install_target=options.expand(options.install_target, environment, project),
        interpreter="bundled" if bundled else "target",
        excluded_project=canonicalize_name(project.name) if options.project == "exclude" else None,
        selection=Selection(
            exclude=options.exclude_files,
            include=options.include_files,
            records=options.record_files == "update",
        ),
        times=times,
    )
    return build_plan(
        scan(environment),
        environment=environment,
        recipe=recipe,
        runtime=runtime_entries(environment) if bundled else (),
        overlays=[WheelOverlay.from_path(wheel, environment) for wheel in wheels],
    )


def environment_name(prefix: Path) -> str:
    """Return the name that an environment gives its archive: its project's for a `.venv`."""
    return prefix.parent.name if prefix.name == ".venv" else prefix.name
