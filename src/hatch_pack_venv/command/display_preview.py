"""The preview of an archive as lines for people; only the command prints them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..sizes import human_size
from .display import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .display import Style
    from .preview import Preview, Step


def preview_lines(found: Preview, style: Style, *, every: bool) -> Iterator[str]:
    """Yield what would be packed.

    Parameters:
        every: whether to name every file; otherwise those that are rewritten are named, and the
            rest is counted by reason.
    """
    if found.refused:
        return
    yield style.paint("nothing is written (--dry-run)", "dim")
    yield f"{found.entry_count} entries, {human_size(found.size)} unpacked"
    yield f"{found.unchanged} as they are in the environment"
    yield from _section("rewritten", found.rewritten, style, every=True)
    yield from _section("added", found.added, style, every=every)
    yield from _section("left out", found.left_out, style, every=every)
    for note in found.notes:
        yield f"{style.paint('note', 'yellow')}: {note}"


def _section(title: str, steps: Iterable[Step], style: Style, *, every: bool) -> Iterator[str]:
    steps = list(steps)
    if not steps:
        return
    size = human_size(sum(step.size for step in steps))
    yield f"{style.paint(f'{len(steps)} {title}', 'bold')} ({size})"
    if every:
        yield from (f"  {shown(step.path)}: {shown(step.why)}" for step in steps)
        return
    counts = Counter(step.why for step in steps)
    sizes: Counter[str] = Counter()
    for step in steps:
        sizes[step.why] += step.size
    for why, count in counts.most_common():
        yield f"  {count:>6}  {human_size(sizes[why]):>9}  {why}"
