"""What was written, in a few aligned lines; used by the command and by builds."""

from __future__ import annotations

import shutil
import textwrap
from shlex import quote
from typing import TYPE_CHECKING, Final

from ..model.errors import printable
from ..model.formats import CompressionFormat
from ..model.proof import amounts
from ..model.results import PackResult, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..model.proof import Proof
    from ..model.results import ExportResult


_LABEL: Final = 9
_NARROWEST: Final = 40


def terminal_width() -> int:
    """Return the width to wrap at: COLUMNS, or else the terminal's, or 100 without a terminal."""
    return max(shutil.get_terminal_size((100, 24)).columns, _NARROWEST)


def field_lines(
    fields: Iterable[tuple[str, str]], width: int, column: int = _LABEL - 1
) -> Iterator[str]:
    """Yield one or more lines for each label and text, with the texts aligned and wrapped.

    Parameters:
        width: in columns; longer words, such as paths, are not broken.
        column: the width of the longest label.
    """
    for label, text in fields:
        yield from textwrap.wrap(
            printable(text),
            width,
            initial_indent=f"  {label:<{column}} ",
            subsequent_indent=" " * (3 + column),
            break_long_words=False,
            break_on_hyphens=False,
        )


def result_lines(
    results: Sequence[PackResult | ExportResult],
    *,
    base: Path | None = None,
    width: int | None = None,
    named: bool = True,
) -> Iterator[str]:
    """Yield what was written, then what it needs and what to type next.

    Parameters:
        base: paths below this folder are shown relative to it.
        width: by default the terminal's.
        named: whether to print the first path; hatchling itself prints the one a target returns.
    """
    width = terminal_width() if width is None else width
    for number, result in enumerate(results):
        if named or number:
            yield printable(str(shown(result.path, base)))
        yield from field_lines(_sizes(result), width)
    last = results[-1]
    if isinstance(last, PackResult) and last.proof is not None:
        yield from proof_lines(last.proof, width)
    yield from field_lines(need_fields(last.needs, last.floor), width)
    if last.start:
        first = shown(results[0].path, base)
        # Not wrapped, so that the command can be copied.
        yield f"  {'next':<{_LABEL}}{printable(next_step(first, results[0]))}"


def proof_lines(proof: Proof, width: int) -> Iterator[str]:
    """Yield what ran in the clean room: a start as one line, everything else as a table."""
    if proof.room is None:
        return
    where = {"none": "without a room", "bare": "in a bare room"}.get(proof.room, "in a clean room")
    if proof.asked == "start":
        ran = amounts({count.title: count.ran for count in proof.counts if count.ran})
        text = f"{', '.join(ran)} {where}, {proof.seconds:.1f} s"
        yield from field_lines([("ran", text)], width)
        return
    yield from field_lines([("ran", f"{where}, {proof.seconds:.1f} s")], width)
    titles = f"{'ran':>6} {'failed':>6} {'failed in environment':>21} {'seconds':>8}"
    yield f"{'':<{2 + _LABEL}}{'':<13} {titles}"
    for count in proof.counts:
        numbers = f"{count.ran:>6} {0:>6} {count.passed_over:>21} {count.seconds:>8.1f}"
        yield f"{'':<{2 + _LABEL}}{count.title:<13} {numbers}"


def shown(path: Path, base: Path | None) -> Path:
    """Return a path as it is printed: relative if it is below the base folder."""
    return path.relative_to(base) if base is not None and path.is_relative_to(base) else path


def _sizes(result: PackResult | ExportResult) -> Iterator[tuple[str, str]]:
    entries = f"{result.entry_count:,} entries"
    if not isinstance(result, PackResult):
        yield "size", f"{human_size(result.size)}, {entries}, in {result.seconds:.1f} s"
        return
    sizes = f"{human_size(result.size)} packed, {human_size(result.unpacked_size)} unpacked"
    yield "size", f"{sizes}, {entries}, in {result.seconds:.1f} s"
    yield "sha256", result.sha256


def need_fields(needs: Sequence[str], floor: str | None) -> Iterator[tuple[str, str]]:
    """Yield what the target must have, and how to lower that requirement."""
    for number, need in enumerate(needs):
        yield "" if number else "needs", need
    if floor:
        yield "lower it", floor


def next_step(path: Path, result: PackResult | ExportResult) -> str:
    """Return what to type next, to unpack and start what was packed.

    Parameters:
        path: the archive or folder, as shown.
    """
    start = result.start
    if not isinstance(result, PackResult):
        return start.replace("{top}", quote(str(path)))
    top, archive = quote(result.install_target), quote(str(path))
    if result.format is CompressionFormat.RUN:
        return archive if "/" in archive else f"./{archive}"
    if result.format is CompressionFormat.OCI:
        return f"docker load -i {archive}"
    if result.format is CompressionFormat.SQUASHFS:
        mounted = "mnt" if result.install_target == "." else f"mnt/{top}"
        return f"mkdir mnt && squashfuse {archive} mnt && {start.replace('{top}', mounted)}"
    unpack = f"tar -xf {archive}" if result.format.is_tar_format else f"unzip -q {archive}"
    return f"{unpack} && {start.replace('{top}', top)}"
