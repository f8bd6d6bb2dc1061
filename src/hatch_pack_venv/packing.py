"""Scan, plan, write: the core's front."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from .archives import ExportResult, PackResult, Reporter, silent, write_archives, write_folder
from .bundle import Bundle, make_bundle
from .bytecode import with_byte_code
from .editable_copies import settle_editables
from .environment import Environment, scan
from .errors import PlanError
from .floors import Floors
from .normalise import Times
from .places import places_of
from .plan import PackPlan, Recipe, build_plan
from .preview import Preview, preview
from .promise import check_promise, is_promise, promised_entries
from .search_paths import SearchPaths
from .selection import Selection
from .wheels import WheelOverlay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import StrPath

    from .entries import ScannedEntry
    from .options import PackOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project whose environment is packed.

    Parameters:
        wheel: the wheel just built; it replaces what the environment holds of the project.
        root: the project's folder.
        times: which modification times entries get.
    """

    name: str
    version: str | None = None
    wheel: Path | None = None
    root: Path | None = None
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
    environment = Environment.from_prefix(prefix)
    with _whole_plan(environment, options, project, report) as plan:
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
    with _whole_plan(environment, options, project, report) as plan:
        name = options.expand(options.archive_name, environment, project, plan.platform_tag)
        return _write(plan, directory / name, options, report)


def export(
    prefix: StrPath, target: StrPath, options: PackOptions, *, report: Reporter = silent
) -> ExportResult:
    """Write what an archive would hold into a folder.

    Raises:
        PackVenvError: it cannot be done; nothing was changed or left behind.
    """
    environment = Environment.from_prefix(prefix)
    with _whole_plan(environment, options, None, report) as plan:
        return write_folder(plan, Path(os.path.abspath(target)), report=report)


def preview_pack(prefix: StrPath, options: PackOptions) -> Preview:
    """Tell what `pack` would do; nothing is written.

    Raises:
        PackVenvError: there is no usable environment, or an option is wrong. What cannot be
            packed is no error here, but listed.
    """
    environment = Environment.from_prefix(prefix)
    try:
        plan = plan_environment(environment, options, None)
    except PlanError as error:
        return Preview(refused=error.problems)
    return preview(scan(environment), plan, environment, _selection(options))


def _write(
    plan: PackPlan, output_base: StrPath, options: PackOptions, report: Reporter
) -> list[PackResult]:
    return write_archives(
        plan, output_base, options.formats, level=options.compression_level, report=report
    )


@contextmanager
def _whole_plan(
    environment: Environment, options: PackOptions, project: Project | None, report: Reporter
) -> Iterator[PackPlan]:
    """Give the plan and the byte code that it is completed with."""
    plan = plan_environment(environment, options, project)
    patterns = Selection(exclude=options.exclude_files, include=options.include_files)
    with with_byte_code(
        plan, environment, options.bytecode, patterns=patterns, report=report
    ) as whole:
        yield whole


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
    promised = is_promise(options.interpreter)
    paths = SearchPaths(environment=environment, bundled=bundled)
    overlays = [_overlay(wheel, environment, paths) for wheel in wheels]
    excluded = canonicalize_name(project.name) if options.project == "exclude" else None
    replaced = {overlay.distribution.key for overlay in overlays}
    if excluded is not None:
        replaced.add(excluded)
    settled = settle_editables(environment, options.editables, frozenset(replaced))
    recipe = Recipe(
        name=project.name,
        version=project.version,
        install_target=options.install_target,
        interpreter="bundled" if bundled else "promised" if promised else "target",
        places=places_of(
            environment,
            project=project.root or project_folder(environment.given),
            home=os.path.expanduser("~"),
        ),
        excluded_project=excluded,
        excluded_editables=settled.excluded,
        selection=_selection(options),
        times=times,
    )
    scanned = [*paths.made_portable(settled.applied(scan(environment)))]
    bundle = _bundle(environment, options, recipe, scanned, overlays) if bundled else None
    runtime: tuple[ScannedEntry, ...] = () if bundle is None else bundle.entries
    if promised:
        runtime = promised_entries(options.interpreter, environment)
    read = [*scanned, *(entry for overlay in overlays for entry in overlay.entries), *runtime]
    plan = build_plan(
        scanned if bundle is None else bundle.scanned,
        environment=settled.environment,
        recipe=replace(recipe, floors=Floors.read(read, environment.interpreter.executable)),
        runtime=runtime,
        overlays=overlays,
    )
    tag = plan.platform_tag
    top = options.expand(options.install_target, environment, project, tag)
    plan = replace(plan, install_target=top)
    if promised:
        note = check_promise(Path(options.interpreter), environment)
        told = {"interpreter_path": options.interpreter}
        plan = plan.with_facts(told, () if note is None else [note])
    return plan if bundle is None else plan.with_facts(bundle.told(plan.head), bundle.notes)


def _bundle(
    environment: Environment,
    options: PackOptions,
    recipe: Recipe,
    scanned: Sequence[ScannedEntry],
    overlays: Sequence[WheelOverlay],
) -> Bundle:
    packed = [
        entry
        for entry in [*scanned, *(entry for overlay in overlays for entry in overlay.entries)]
        if not recipe.selection.excludes(entry, environment)
    ]
    return make_bundle(
        environment,
        scanned,
        packed=packed,
        trim=options.interpreter_trim,
        vendoring=options.vendor_libraries,
    )


def _overlay(wheel: Path, environment: Environment, paths: SearchPaths) -> WheelOverlay:
    overlay = WheelOverlay.from_path(wheel, environment)
    return replace(overlay, entries=tuple(map(paths.portable_file, overlay.entries)))


def project_folder(prefix: Path) -> Path | None:
    """Return the folder of the project that an environment was made for, as far as can be told."""
    folder = prefix.parent
    known = prefix.name == ".venv" or (folder / "pyproject.toml").is_file()
    return folder if known else None


def _selection(options: PackOptions) -> Selection:
    return Selection(
        exclude=options.exclude_files,
        include=options.include_files,
        records=options.record_files == "update",
    )


def environment_name(prefix: Path) -> str:
    """Return the name that an environment gives its archive: its project's for a `.venv`."""
    return prefix.parent.name if prefix.name == ".venv" else prefix.name
