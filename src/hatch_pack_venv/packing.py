"""Scan, plan, write: the core's front."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.utils import canonicalize_name

from .archives import ExportResult, PackResult, Reporter, silent, write_archives, write_folder
from .behind import Told
from .bundle import Bundle, make_bundle
from .bytecode import with_byte_code
from .copies import without_links
from .editable_copies import settle_editables
from .environment import Environment, scan
from .errors import PlanError
from .formats import CompressionFormat, Effort
from .needs import Given, find_needs
from .normalise import Times
from .places import places_of
from .plan import PackPlan, Recipe, build_plan
from .preview import Preview, preview
from .promise import check_promise, is_promise, promised_entries
from .search_paths import SearchPaths
from .selection import Selection
from .sizes import check_size
from .wheels import WheelOverlay
from .windows_floors import read_floors
from .windows_plan import check_possible, for_windows, told_for_windows
from .windows_runtime import windows_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import StrPath

    from .distributions import InstalledDistribution
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
        return _write(plan, output_base, _with_formats(options, environment), report)


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
        return _write(plan, directory / name, _with_formats(options, environment), report)


def export(
    prefix: StrPath, target: StrPath, options: PackOptions, *, report: Reporter = silent
) -> ExportResult:
    """Write what an archive would hold into a folder.

    Raises:
        PackVenvError: it cannot be done; nothing was changed or left behind.
    """
    environment = Environment.from_prefix(prefix)
    target = Path(os.path.abspath(target))
    with _whole_plan(environment, options, None, report) as plan:
        return write_folder(plan, target, threads=options.threads, report=report)


def preview_pack(prefix: StrPath, options: PackOptions) -> Preview:
    """Tell what `pack` would do; nothing is written.

    Raises:
        PackVenvError: there is no usable environment, or an option is wrong. What cannot be
            packed is no error here, but listed.
    """
    environment = Environment.from_prefix(prefix)
    try:
        plan = plan_environment(environment, options, None)
        check_size(plan, options.max_size)
    except PlanError as error:
        return Preview(refused=error.problems)
    return preview(scan(environment), plan, environment, _selection(options))


def _write(
    plan: PackPlan, output_base: StrPath, options: PackOptions, report: Reporter
) -> list[PackResult]:
    effort = Effort(level=options.compression_level, threads=options.threads)
    return write_archives(plan, output_base, options.formats, effort=effort, report=report)


@contextmanager
def _whole_plan(
    environment: Environment, options: PackOptions, project: Project | None, report: Reporter
) -> Iterator[PackPlan]:
    """Give the plan and the byte code that it is completed with."""
    plan = plan_environment(environment, options, project)
    check_size(plan, options.max_size)  # before anything is compiled
    patterns = Selection(exclude=options.exclude_files, include=options.include_files)
    with with_byte_code(
        plan, environment, options.bytecode, patterns=patterns, report=report
    ) as whole:
        check_size(_as_written(whole, _with_formats(options, environment)), options.max_size)
        yield for_windows(whole, environment)  # byte code has the longest names


def _with_formats(options: PackOptions, environment: Environment) -> PackOptions:
    """Return options with the environment's own format where none was asked for."""
    own = CompressionFormat.ZIP if environment.is_windows else CompressionFormat.XZ
    return replace(options, formats=options.formats or (own,))


def _as_written(plan: PackPlan, options: PackOptions) -> PackPlan:
    """Return a plan as the largest of the formats has it: some hold copies instead of links."""
    if options.max_size is None or all(format.is_tar_format for format in options.formats):
        return plan
    return replace(plan, entries=tuple(without_links(plan.entries)))


def plan_environment(
    environment: Environment, options: PackOptions, project: Project | None
) -> PackPlan:
    """Scan an environment and decide what is packed of it."""
    promised = is_promise(options.interpreter)
    check_possible(environment, bytecode=options.bytecode, promised=promised)
    given = project
    project = project or Project(name=environment_name(environment.given))
    bundled = options.interpreter == "bundled"
    paths = SearchPaths(environment=environment, bundled=bundled)
    overlays = [_overlay(wheel, environment, paths) for wheel in _wheels(project, options)]
    excluded = canonicalize_name(project.name) if options.project == "exclude" else None
    needs = find_needs(_given(environment, options, given, overlays), options, _selection(options))
    replaced = {overlay.distribution.key for overlay in overlays} | needs.left
    if excluded is not None:
        replaced.add(excluded)
    settled = settle_editables(environment, options.editables, frozenset(replaced))
    recipe = replace(
        _recipe(environment, options, project),
        excluded_project=excluded,
        excluded_editables=settled.excluded,
        problems=needs.problems,
        notes=needs.notes,
    )
    there = [*paths.made_portable(settled.applied(scan(environment)))]
    behind = needs.behind
    scanned = there if behind is None else [*behind.applied(there)]
    bundle = _bundle(environment, options, recipe, scanned, overlays) if bundled else None
    runtime: tuple[ScannedEntry, ...] = () if bundle is None else bundle.entries
    if is_promise(options.interpreter):
        runtime = promised_entries(options.interpreter, environment)
    read = [*scanned, *(entry for overlay in overlays for entry in overlay.entries), *runtime]
    plan = build_plan(
        scanned if bundle is None else bundle.scanned,
        environment=settled.environment if behind is None else behind.without(settled.environment),
        recipe=replace(recipe, floors=read_floors(read, environment.interpreter)),
        runtime=runtime,
        overlays=overlays,
    )
    if behind is not None:
        plan = Told(behind=behind, environment=settled.environment, scanned=there).added_to(plan)
    if bundle is not None:
        plan = plan.with_facts(bundle.told(plan.head), bundle.notes)
    return told_for_windows(_named(plan, environment, options, project), environment)


def _named(
    plan: PackPlan, environment: Environment, options: PackOptions, project: Project
) -> PackPlan:
    """Return a plan with what only the whole plan tells: its top folder, what a promise means."""
    top = options.expand(options.install_target, environment, project, plan.platform_tag)
    plan = replace(plan, install_target=top)
    if not is_promise(options.interpreter):
        return plan
    note = check_promise(Path(options.interpreter), environment)
    told = {"interpreter_path": options.interpreter}
    return plan.with_facts(told, () if note is None else [note])


def _whose(interpreter: str) -> Literal["bundled", "target", "promised"]:
    if is_promise(interpreter):
        return "promised"
    return "bundled" if interpreter == "bundled" else "target"


def _wheels(project: Project, options: PackOptions) -> list[Path]:
    own = project.wheel if options.project == "wheel" else None
    return [*options.wheels] if own is None else [*options.wheels, own]


def _given(
    environment: Environment,
    options: PackOptions,
    project: Project | None,
    overlays: Sequence[WheelOverlay],
) -> Given:
    """Tell where requirements begin: at the project, at wheels that are named."""
    wheels = {overlay.path: overlay.distribution for overlay in overlays}
    excluded = project is not None and options.project == "exclude"
    own = None
    if project is not None:
        key = canonicalize_name(project.name)
        own = next((each for each in environment.distributions if each.key == key), None)
        if project.wheel is not None and options.project != "installed":
            own = wheels.get(project.wheel) or _overlaid(project.wheel, environment)
    return Given(
        environment=environment,
        wheels=tuple(wheels.values()),
        project=own,
        excluded=canonicalize_name(project.name) if project is not None and excluded else None,
    )


def _overlaid(wheel: Path, environment: Environment) -> InstalledDistribution:
    return WheelOverlay.from_path(wheel, environment).distribution


def _recipe(environment: Environment, options: PackOptions, project: Project) -> Recipe:
    return Recipe(
        name=project.name,
        version=project.version,
        install_target=options.install_target,
        interpreter=_whose(options.interpreter),
        places=places_of(
            environment,
            project=project.root or project_folder(environment.given),
            home=os.path.expanduser("~"),
        ),
        selection=_selection(options),
        times=project.times or Times.reproducible(os.environ),
    )


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
    if environment.is_windows:
        trim = options.interpreter_trim
        return windows_bundle(environment, scanned, packed=packed, trim=trim)
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
