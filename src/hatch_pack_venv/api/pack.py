"""Scan, plan, write: the entry points of the core."""

from __future__ import annotations

import gc
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ..model.environment import Project, environment_name
from ..model.errors import LinkError, PlanError
from ..model.formats import CompressionFormat, CompressionOptions, usable_cpus
from ..model.results import NO_REPORTS, human_size, silent, sizes_by_owner
from ..plan.explain import Preview, preview
from ..plan.select import Selection
from ..plan.validate import check_size, check_zip_names, for_windows
from ..write.archive import read_through, write_archives, write_folder
from ..write.bytecode import with_byte_code
from .planning import plan_source
from .progress import logged_phase
from .source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _typeshed import StrPath

    from ..config.options import PackOptions
    from ..model.plan import PackPlan
    from ..model.results import ExportResult, PackResult, ProofReports, Reporter
    from ..write.archive import Check


logger = logging.getLogger("hatch_pack_venv")
_NEW_OBJECTS: Final = 200_000
_LARGEST: Final = 5


@contextmanager
def _gc_relaxed() -> Iterator[None]:
    """Run Python's cyclic garbage collector less often: a plan has many objects but no cycles.

    With 20,000 files, it would otherwise take a tenth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where archives go.

    Parameters:
        folder: the folder that they are written into.
        name: their name without the format's suffix; by default, the options' template provides it.
        force: whether to replace files that are not archives written by pack-venv.
    """

    folder: Path
    name: str | None = None
    force: bool = False

    @classmethod
    def at(cls, base: StrPath, *, force: bool = False) -> Self:
        """Return the output for a base: the archives' path without the format's suffix."""
        return cls(folder=Path(base).parent, name=os.path.basename(base), force=force)

    def base(self, source: Source, project: Project | None, plan: PackPlan) -> Path:
        """Return the archives' path without the format's suffix."""
        if self.name is not None:
            return self.folder / self.name
        options, environment = source.options, source.environment
        named = project or Project(name=environment_name(environment.requested))
        name = options.expand(options.archive_name, environment, named, plan.platform_tag)
        return self.folder / name


def pack(
    prefix: StrPath,
    output_base: StrPath,
    options: PackOptions,
    *,
    project: Project | None = None,
    force: bool = True,
    report: Reporter = silent,
    proof_reports: ProofReports = NO_REPORTS,
) -> list[PackResult]:
    """Pack a prepared environment into one archive for each of the options' formats.

    Parameters:
        prefix: the environment.
        output_base: the archives' path without the format's suffix.
        project: the project to pack; by default the environment itself.
        force: replace any file at an archive's path; otherwise, only archives that pack-venv wrote
            are replaced, as proven by the `.json` next to them.
        report: reports the progress of packing.
        proof_reports: report the progress of unpacking and running, if the options request a proof.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    source = Source.read(prefix, options)
    output = Output.at(output_base, force=force)
    return pack_source(source, output, project, report=report, proof_reports=proof_reports)


@_gc_relaxed()
def pack_source(
    source: Source,
    output: Output,
    project: Project | None = None,
    *,
    report: Reporter = silent,
    proof_reports: ProofReports = NO_REPORTS,
) -> list[PackResult]:
    """Do the same as `pack` for an environment that has already been read.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    options, start = source.options, time.monotonic()
    compression = CompressionOptions(
        level=options.compression_level,
        threads=options.threads,
        cache=options.cache,
        zip_links=options.zip_links,
    )
    check = _check(source, project, proof_reports)
    with _whole_plan(source, project, report, output.folder) as plan:
        _log_largest(plan)
        with logged_phase(f"compressed with {options.threads or usable_cpus()} threads"):
            results = write_archives(
                plan,
                output.base(source, project, plan),
                options.formats,
                compression=compression,
                force=output.force,
                report=report,
                check=check,
            )
    seconds = time.monotonic() - start
    return [replace(result, seconds=seconds) for result in results]


def _check(source: Source, project: Project | None, reports: ProofReports) -> Check | None:
    """Return the check that proves the archives before their release, if a proof is requested."""
    if source.options.prove in (None, "none"):
        return None
    from .proof import prover  # not needed if nothing is run

    return prover(source, project, reports)


def _log_largest(plan: PackPlan) -> None:
    """Log what takes up the most space, if messages of this level are shown."""
    if logger.isEnabledFor(logging.INFO):
        sizes = sizes_by_owner(plan.entries, plan.distributions).most_common(_LARGEST)
        logger.info("largest: %s", ", ".join(f"{name} {human_size(size)}" for name, size in sizes))


def pack_project(
    source: Source,
    directory: Path,
    project: Project,
    *,
    report: Reporter = silent,
    proof_reports: ProofReports = NO_REPORTS,
) -> list[PackResult]:
    """Do the same as `pack_source`, into a folder and with names from the options' template.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    output = Output(folder=directory)
    return pack_source(source, output, project, report=report, proof_reports=proof_reports)


def export(
    prefix: StrPath,
    target: StrPath,
    options: PackOptions,
    *,
    hard_links: bool = False,
    report: Reporter = silent,
) -> ExportResult:
    """Write what an archive would contain into a folder.

    Parameters:
        hard_links: share inodes with the environment where possible.

    Raises:
        PackVenvError: if exporting fails; nothing was changed or left behind.
    """
    source = Source.read(prefix, options)
    return export_source(source, target, hard_links=hard_links, report=report)


@_gc_relaxed()
def export_source(
    source: Source,
    target: StrPath,
    project: Project | None = None,
    *,
    hard_links: bool = False,
    report: Reporter = silent,
) -> ExportResult:
    """Do the same as `export` for an environment that has already been read.

    Raises:
        PackVenvError: if exporting fails; nothing was changed or left behind.
    """
    start = time.monotonic()
    # What a project's archive formats cannot hold does not matter here.
    options = replace(source.options, formats=(CompressionFormat.UNCOMPRESSED,))
    source = replace(source, options=options)
    target = Path(os.path.abspath(target))
    with _whole_plan(source, project, report, target.parent) as plan:
        _log_largest(plan)
        result = write_folder(
            plan, target, threads=options.threads, hard_links=hard_links, report=report
        )
    return replace(result, seconds=time.monotonic() - start)


@_gc_relaxed()
def planned_documents(
    prefix: StrPath, options: PackOptions, *, report: Reporter = silent
) -> Mapping[str, bytes]:
    """Return the files that would be next to an archive, by suffix; write nothing.

    Raises:
        PackVenvError: if the environment cannot be packed.
    """
    source = Source.read(prefix, options)
    with _whole_plan(source, None, report, Path.cwd()) as plan:
        return read_through(plan, report=report)


def preview_pack(prefix: StrPath, options: PackOptions, *, report: Reporter = silent) -> Preview:
    """Report what `pack` would write into the current folder.

    Raises:
        PackVenvError: if there is no usable environment, or an option is wrong.
    """
    source = Source.read(prefix, options)
    output = Output.at(environment_name(source.environment.requested))
    return preview_source(source, output, report=report)


def preview_source(
    source: Source, output: Output, project: Project | None = None, *, report: Reporter = silent
) -> Preview:
    """Report what `pack_source` would do; write nothing but requested bytecode, temporarily.

    Raises:
        PackVenvError: if an option is wrong. Contents that cannot be packed are listed instead of
            being an error.
    """
    try:
        with _whole_plan(source, project, report, output.folder) as plan:
            base = output.base(source, project, plan)
            archives = [each.archive_path(base) for each in source.options.formats]
            return preview(plan, archives, copies_links=source.options.copies_links)
    except (PlanError, LinkError) as error:
        return Preview(refused=error.problems)


@contextmanager
def _whole_plan(
    source: Source, project: Project | None, report: Reporter, archives: Path
) -> Iterator[PackPlan]:
    """Yield the plan, completed with its bytecode."""
    environment, options = source.environment, source.options
    with logged_phase("planned"):
        plan = plan_source(source, project, archives)
    check_size(plan, options.max_size)  # before anything is compiled
    with with_byte_code(
        plan,
        environment,
        options.bytecode,
        patterns=Selection.of(options),
        threads=options.threads or usable_cpus(),
        report=report,
    ) as whole:
        check_size(whole, options.max_size, copies_links=options.copies_links)
        if CompressionFormat.ZIP in options.formats:
            check_zip_names(whole)
        yield for_windows(whole, environment)  # bytecode has the longest names
