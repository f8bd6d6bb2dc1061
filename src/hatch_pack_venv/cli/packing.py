"""The commands that pack: `pack`, its `--dry-run`, and `export`."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.progress import from_the_start, logged_phase
from ..api.report import result_lines
from ..config.options import PackOptions
from ..config.wording import COMMAND_LINE
from ..model.environment import environment_name
from ..model.errors import OptionsError, PlanError
from ..model.formats import SHORT_NAMES, CompressionFormat
from .arguments import given_keys
from .output import print_result, progress_of, proof_reports_of, stdout_style
from .render import preview_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from ..api.pack import Output
    from ..api.source import Source
    from ..config.project_table import ProjectTable
    from ..model.environment import Project
    from ..model.results import PackResult
    from ..plan.explain import Preview


logger = logging.getLogger("hatch_pack_venv")


def pack(parsed: argparse.Namespace) -> None:
    """Write archives, or report what they would contain.

    Raises:
        PackVenvError: if something is wrong; nothing was written.
    """
    from ..api.pack import pack_source, preview_source

    doing = "Compiling" if parsed.dry_run else "Packing"
    given = given_keys(parsed)
    base = _named_base(parsed, given)
    with (
        from_the_start(progress_of(parsed, doing)) as report,
        _what(parsed, given) as (source, project),
    ):
        output = _output(parsed, base, source, project)
        if parsed.dry_run:
            found = preview_source(source, output, project, report=report)
        else:
            reports = proof_reports_of(parsed)
            done = pack_source(source, output, project, report=report, proof_reports=reports)
    if parsed.dry_run:
        _show_preview(parsed, source, found)
    else:
        _show_results(parsed, done)


@contextmanager
def _what(
    parsed: argparse.Namespace, given: dict[str, Any]
) -> Iterator[tuple[Source, Project | None]]:
    """Yield what to pack: as a project configures it, or as the options say."""
    from ..api.project import ConfiguredProject
    from ..api.source import Source

    table = None if parsed.no_project else _project_table()
    parsed.table = None if table is None else table.file  # messages speak of its keys from here on
    found = None if table is None else ConfiguredProject.of(table, parsed.prefix, given)
    if found is not None:
        logger.info("configured by [%s] of %s", found.table.where, found.table.file)
        with found.source() as (source, project):
            yield source, project
        return
    parsed.table = None
    options = PackOptions.from_mapping(given, COMMAND_LINE, ()).for_release()
    with logged_phase("read the environment"):
        source = Source.read(_prefix(parsed), options)
    yield source, None


def _project_table() -> ProjectTable | None:
    """Return the table of the project in the current folder, which may be an unrelated project.

    Raises:
        OptionsError: if a file cannot be read; names the option that ignores the project.
    """
    from ..config.project_table import ProjectTable

    try:
        return ProjectTable.find(Path.cwd())
    except OptionsError as error:
        way = "correct it, or ignore the project in this directory with --no-project"
        raise OptionsError(error.summary, [f"{each}; {way}" for each in error.problems]) from error


def _prefix(parsed: argparse.Namespace) -> Path:
    """Return the environment to pack if no project configures one."""
    return Path(".venv") if parsed.prefix is None else parsed.prefix


def _named_base(parsed: argparse.Namespace, given: dict[str, Any]) -> str | None:
    """Return the file path given by `-o` without its suffix, which becomes the option `format`.

    Raises:
        OptionsError: if the path names one format and `--format` another.
    """
    output: str | None = parsed.output
    if output is None or _is_folder(output):
        return None
    suffixes = [each.suffix.removeprefix(".") for each in CompressionFormat]
    named = next((each for each in (*suffixes, *SHORT_NAMES) if output.endswith(f".{each}")), None)
    if named is None:
        return output
    name = SHORT_NAMES.get(named, named)
    if [SHORT_NAMES.get(each, each) for each in given.setdefault("format", [name])] != [name]:
        asked = " and ".join(given["format"])
        problem = f"-o {output} names .{named}, but --format names {asked}: remove one"
        raise OptionsError("the formats disagree", [problem])
    return output if named in SHORT_NAMES else output.removesuffix(f".{named}")


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or os.path.isdir(output)


def _output(
    parsed: argparse.Namespace, base: str | None, source: Source, project: Project | None
) -> Output:
    """Return where archives go.

    Parameters:
        base: the path given by `-o` without its suffix, unless `-o` gives a folder.
        project: the project whose options apply if `-o` is not given.
    """
    from ..api.pack import Output

    if base is not None:
        return Output.at(base, force=parsed.force)
    folder = source.options.output_directory if project is not None else Path()
    name = None if project is not None else environment_name(Path(os.path.abspath(_prefix(parsed))))
    chosen = folder if parsed.output is None else Path(parsed.output)
    return Output(folder=chosen, name=name, force=parsed.force)


def _show_results(parsed: argparse.Namespace, done: list[PackResult]) -> None:
    results: list[dict[str, Any]] = [
        {
            "path": str(result.path),
            "format": result.format.suffix.removeprefix("."),
            **result.to_dict(),
            **({} if result.proof is None else {"proof": result.proof.to_dict()}),
        }
        for result in done
    ]
    print_result(results, result_lines(done, base=Path.cwd()), parsed)


def _show_preview(parsed: argparse.Namespace, source: Source, found: Preview) -> None:
    every = parsed.volume == "verbose"
    print_result(
        found.to_dict(), preview_lines(found, stdout_style(), Path.cwd(), every=every), parsed
    )
    if found.refused:
        raise PlanError(f"{source.environment.requested} cannot be packed", found.refused)


def export(parsed: argparse.Namespace) -> None:
    """Write a folder.

    Raises:
        PackVenvError: if something is wrong; nothing was written.
    """
    from ..api.pack import export_source

    given = given_keys(parsed)
    _refuse_what_lies_beside(given)
    hard_links = parsed.link_mode == "hardlink"
    with (
        from_the_start(progress_of(parsed)) as report,
        _what(parsed, given) as (source, project),
    ):
        result = export_source(
            source, parsed.directory, project, hard_links=hard_links, report=report
        )
    results = [
        {
            "path": str(result.path),
            "content_digest": result.content_digest,
            "entry_count": result.entry_count,
            "size": result.size,
            "findings": [finding.to_dict() for finding in result.findings],
            "needs": list(result.needs),
        }
    ]
    print_result(results, result_lines([result], base=Path.cwd()), parsed)


def _refuse_what_lies_beside(given: Mapping[str, Any]) -> None:
    """Refuse options that request documents next to a folder; a project's table is about archives.

    Raises:
        OptionsError: if there is one; names it.
    """
    asked = "--provenance" if given.get("provenance") else ""
    asked = "--sbom beside" if given.get("sbom") == "beside" else asked
    if asked:
        problem = f"{asked} writes a file next to an archive, but export writes a folder: remove it"
        raise OptionsError("the options conflict", [problem])
