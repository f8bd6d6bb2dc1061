"""The commands that read archives and folders: `inspect`, `verify` and `sbom`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.options import PackOptions
from ..config.wording import COMMAND_LINE, option_name
from ..model.errors import ArchiveProblem, OptionsError
from ..write.atomic import PendingFile, telling_write_errors
from .arguments import given_keys
from .output import (
    blocks,
    one_or_all,
    print_result,
    progress_of,
    proof_reports_of,
    stdout_style,
)
from .render import describe_findings, inspection_lines, licence_lines, verification_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from ..model.results import Reporter
    from ..read.verify import Verification


def inspect(parsed: argparse.Namespace) -> None:
    """Report what archives or folders contain."""
    from ..read.inspect import inspect as inspected
    from ..read.verify import check_is_there

    for path in parsed.paths:
        check_is_there(path)
    report = progress_of(parsed, "Reading")
    if parsed.licenses:
        _print_licences(parsed, report)
        return
    found = [inspected(path, report=report) for path in parsed.paths]
    if parsed.html is not None:
        from .page import page

        _write_page(parsed.html, page(found))
    lines = blocks(inspection_lines(each, stdout_style()) for each in found)
    print_result(one_or_all([each.to_dict() for each in found]), lines, parsed)


def _write_page(path: Path, text: str) -> None:
    """Write a page completely or not at all.

    Raises:
        OutputProblem: if it cannot be written.
    """
    with telling_write_errors(path), PendingFile(path) as file:
        file.stream.write(text.encode("utf-8", "backslashreplace"))
        file.finish()
        file.commit()


def _print_licences(parsed: argparse.Namespace, report: Reporter) -> None:
    from ..read.licences import licences_in

    found = [licences_in(path, report=report) for path in parsed.paths]
    lines = blocks(licence_lines(each, stdout_style()) for each in found)
    print_result(one_or_all([each.to_dict() for each in found]), lines, parsed)


def sbom(parsed: argparse.Namespace) -> None:
    """Print a bill of materials.

    Raises:
        PackVenvError: if there is none, or the environment cannot be packed.
    """
    from ..api.sbom import is_packed, sbom_of_archive, sbom_of_environment
    from ..read.verify import check_is_there

    check_is_there(parsed.path)
    report = progress_of(parsed, "Reading")
    given = given_keys(parsed)
    if not is_packed(parsed.path):
        options = PackOptions.from_mapping(given, COMMAND_LINE, ())
        options = replace(options, sbom=options.sbom or "beside")
        found = sbom_of_environment(parsed.path, options, as_spdx=parsed.spdx, report=report)
    elif given:
        option = option_name(next(iter(given)))
        problem = f"{option} applies to packing, but {parsed.path} is already packed: remove it"
        raise OptionsError("the options conflict", [problem])
    else:
        found = sbom_of_archive(parsed.path, as_spdx=parsed.spdx, report=report)
    print_result(found, json.dumps(found, indent=1).splitlines(), parsed)


def verify(parsed: argparse.Namespace) -> None:
    """Compare archives or folders with their manifests.

    Raises:
        ArchiveProblem: if one is not as it was packed.
        OptionsError: if a room is named but nothing is run.
    """
    from ..read.verify import check_is_there
    from ..read.verify import verify as verified

    if parsed.prove_room is not None and not parsed.runs:
        problem = "--prove-room only applies with --run: add --run, or remove it"
        raise OptionsError("the options conflict", [problem])
    for path in parsed.paths:
        check_is_there(path)
    report = progress_of(parsed, "Verifying")
    if parsed.runs:
        _run(parsed)
        return
    results = [
        verified(path, external_links=parsed.external_links, report=report) for path in parsed.paths
    ]
    lines = blocks(verification_lines(each, stdout_style()) for each in results)
    print_result(one_or_all([each.to_dict() for each in results]), lines, parsed)
    _refuse_damaged(results)


def _run(parsed: argparse.Namespace) -> None:
    """Compare archives or folders with their manifests, and run those that are as packed."""
    from ..api.proof import run_again
    from ..api.report import proof_lines, terminal_width

    reports = proof_reports_of(parsed)
    results = [
        run_again(path, parsed.prove_room, reports, external_links=parsed.external_links)
        for path in parsed.paths
    ]
    lines = blocks(
        [
            *verification_lines(found, stdout_style()),
            *([] if proof is None else proof_lines(proof, terminal_width())),
        ]
        for found, proof in results
    )
    told = [
        {**found.to_dict(), "proof": None if proof is None else proof.to_dict()}
        for found, proof in results
    ]
    print_result(one_or_all(told), lines, parsed)
    _refuse_damaged([found for found, _ in results])


def _refuse_damaged(results: Sequence[Verification]) -> None:
    damaged = [describe_findings(each) for each in results if not each.is_whole]
    if damaged:
        raise ArchiveProblem("; ".join(damaged))
