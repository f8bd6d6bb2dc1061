"""The commands that read archives and folders: `inspect` and `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import ArchiveProblem
from ..write.atomic import PendingFile, telling_write_errors
from .output import (
    blocks,
    one_or_all,
    print_result,
    progress_of,
    proof_reports_of,
    stdout_style,
)
from .render import describe_findings, inspection_lines, verification_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from ..read.verify import Verification


def inspect(parsed: argparse.Namespace) -> None:
    """Tell what archives or folders hold."""
    from ..read.inspect import inspect as inspected
    from ..read.verify import check_is_there

    for path in parsed.paths:
        check_is_there(path)
    report = progress_of(parsed, "Reading")
    found = [inspected(path, report=report) for path in parsed.paths]
    if parsed.html is not None:
        from .page import page

        _write_page(parsed.html, page(found))
    lines = blocks(inspection_lines(each, stdout_style()) for each in found)
    print_result(one_or_all([each.to_dict() for each in found]), lines, parsed)


def _write_page(path: Path, text: str) -> None:
    """Write a page whole or not at all.

    Raises:
        OutputProblem: if it cannot be written.
    """
    with telling_write_errors(path), PendingFile(path) as file:
        file.stream.write(text.encode("utf-8", "backslashreplace"))
        file.finish()
        file.commit()


def verify(parsed: argparse.Namespace) -> None:
    """Compare archives or folders with their manifests.

    Raises:
        ArchiveProblem: if one is not as it was packed.
    """
    from ..read.verify import check_is_there
    from ..read.verify import verify as verified

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
    """Compare archives or folders with their manifests, and run what is as it was packed."""
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
