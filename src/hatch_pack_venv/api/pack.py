"""Scan, plan, write: the entry points of the core."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..model.entries import SymlinkEntry
from ..model.errors import PlanError
from ..model.formats import CompressionFormat, CompressionOptions, usable_cpus
from ..model.results import silent
from ..plan.explain import Preview, preview
from ..plan.links import without_links
from ..plan.validate import check_size, check_zip_names, for_windows
from ..write.archive import write_archives, write_folder
from ..write.bytecode import with_byte_code
from .planning import Source, plan_source, selection_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import StrPath

    from ..config.options import PackOptions
    from ..model.environment import Project
    from ..model.plan import PackPlan
    from ..model.results import ExportResult, PackResult, Reporter


_NEW_OBJECTS: Final = 200_000


@contextmanager
def _gc_relaxed() -> Iterator[None]:
    """Run Python's cyclic garbage collector rarely: a plan has many objects and no cycles.

    Otherwise it takes a tenth of the time for 20,000 files.
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@_gc_relaxed()
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
        project: the project to pack; by default the environment itself.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    source = Source.read(prefix, options)
    with _whole_plan(source, project, report, Path(output_base).parent) as plan:
        return _write(plan, output_base, source.options, report)


@_gc_relaxed()
def pack_project(
    source: Source, directory: Path, project: Project, *, report: Reporter = silent
) -> list[PackResult]:
    """Do the same as `pack`, with archives in a folder, named by the options' template.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    options = source.options
    with _whole_plan(source, project, report, directory) as plan:
        name = options.expand(options.archive_name, source.environment, project, plan.platform_tag)
        return _write(plan, directory / name, options, report)


@_gc_relaxed()
def export(
    prefix: StrPath,
    target: StrPath,
    options: PackOptions,
    *,
    hard_links: bool = False,
    report: Reporter = silent,
) -> ExportResult:
    """Write the contents of an archive into a folder.

    Parameters:
        hard_links: share inodes with the environment where possible.

    Raises:
        PackVenvError: if exporting fails; nothing was changed or left behind.
    """
    source = Source.read(prefix, options)
    target = Path(os.path.abspath(target))
    with _whole_plan(source, None, report, target.parent) as plan:
        return write_folder(
            plan, target, threads=options.threads, hard_links=hard_links, report=report
        )


def preview_pack(prefix: StrPath, options: PackOptions, *, report: Reporter = silent) -> Preview:
    """Report what `pack` would do; writes nothing except requested byte code, temporarily.

    Raises:
        PackVenvError: if there is no usable environment, or an option is wrong. Whatever cannot be
            packed is not an error here, but listed.
    """
    source = Source.read(prefix, options)
    try:
        with _whole_plan(source, None, report, Path.cwd()) as plan:
            return preview(plan)
    except PlanError as error:
        return Preview(refused=error.problems)


def _write(
    plan: PackPlan, output_base: StrPath, options: PackOptions, report: Reporter
) -> list[PackResult]:
    compression = CompressionOptions(level=options.compression_level, threads=options.threads)
    return write_archives(
        plan, output_base, options.formats, compression=compression, report=report
    )


@contextmanager
def _whole_plan(
    source: Source, project: Project | None, report: Reporter, archives: Path
) -> Iterator[PackPlan]:
    """Yield the plan, completed with its byte code."""
    environment, options = source.environment, source.options
    plan = plan_source(source, project, archives)
    check_size(plan, options.max_size)  # before anything is compiled
    with with_byte_code(
        plan,
        environment,
        options.bytecode,
        patterns=selection_of(options),
        threads=options.threads or usable_cpus(),
        report=report,
    ) as whole:
        check_size(*_as_written(whole, options))
        if CompressionFormat.ZIP in options.formats:
            check_zip_names(whole)
        yield for_windows(whole, environment)  # byte code has the longest names


def _as_written(
    plan: PackPlan, options: PackOptions
) -> tuple[PackPlan, int | None, list[SymlinkEntry]]:
    """Return a plan as in the largest of the formats, the limit, and links that are copied there.

    Some formats store copies instead of links.
    """
    limit = options.max_size
    if limit is None or all(format.is_tar_format for format in options.formats):
        return plan, limit, []
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    return replace(plan, entries=tuple(without_links(plan.entries))), limit, links
