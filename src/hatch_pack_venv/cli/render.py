"""Results as human-readable lines; only the command line prints them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TextIO

from ..api.report import field_lines, need_fields, shown, terminal_width
from ..model.errors import printable
from ..model.proof import amounts
from ..model.requirements import describe_needs
from ..model.results import human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..model.plan import Decision
    from ..plan.explain import Preview
    from ..read.inspect import Inspection, Part
    from ..read.licences import Licences
    from ..read.verify import Verification


_BAR_WIDTH: Final = 24
_SHOWN: Final = 8
_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How lines may look at their destination.

    Parameters:
        colours: whether ANSI codes are understood and wanted.
        blocks: whether the encoding has block characters; otherwise bars consist of `#`.
        width: in columns.
    """

    colours: bool = False
    blocks: bool = False
    width: int = 100

    @classmethod
    def of_stream(cls, stream: TextIO, environ: Mapping[str, str]) -> Self:
        """Return the style for a stream.

        Colours are used on a terminal unless NO_COLOR is set (https://no-color.org); FORCE_COLOR
        (https://force-color.org) enables them elsewhere, too.
        """
        dumb = environ.get("TERM") == "dumb"
        wanted = bool(environ.get("FORCE_COLOR")) or (stream.isatty() and not dumb)
        encoding = (stream.encoding or "ascii").lower().replace("-", "")
        return cls(
            colours=wanted and not environ.get("NO_COLOR"),
            blocks=encoding.startswith("utf"),
            width=terminal_width(),
        )

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, if colours are enabled."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.colours else text

    def bar(self, share: float) -> str:
        """Return a bar of fixed width; any share above zero is visible."""
        full = round(share * _BAR_WIDTH)
        if share > 0:
            full = max(full, 1)
        mark = "█" if self.blocks else "#"
        return self.paint(mark * full, "cyan") + " " * (_BAR_WIDTH - full)


_PAINTED: Final = re.compile(r"(\033\[(?:0|1|2|31|32|33|36)m)")


def for_terminal(line: str, style: Style) -> str:
    """Return a line that is safe to print on a terminal: only our own colour codes act on it."""
    if not style.colours:
        return printable(line)
    parts = _PAINTED.split(line)
    return "".join(part if number % 2 else printable(part) for number, part in enumerate(parts))


def inspection_lines(found: Inspection, style: Style) -> Iterator[str]:
    """Yield a description of an archive, then its distributions, largest first."""
    head = found.head
    name = " ".join(str(head[key]) for key in ("name", "version") if head.get(key))
    yield style.paint(name or str(found.path), "bold")
    yield from field_lines(facts_of(found), style.width, column=15)
    distributions = f"{len(found.distributions)} distributions"
    sections = (
        (distributions, found.distributions),
        ("other files", found.rest),
        ("all files by kind", found.kinds),
    )
    for title, parts in sections:
        if parts:
            yield ""
            yield style.paint(title, "bold")
            yield from _table(parts, style)


def facts_of(found: Inspection) -> Iterator[tuple[str, str]]:
    """Yield the facts about an archive, each with a label."""
    head, python, platform = found.head, found.head["python"], found.head["platform"]
    version = f"{python.get('implementation')} {python.get('version')}"
    if head.get("interpreter") == "bundled":
        yield "interpreter", f"bundled: {version}"
    elif head.get("interpreter") == "neighbour":
        path = head.get("neighbours", {}).get("base_runtime", {}).get("path")
        yield "interpreter", f"base runtime: {version}, expected at {path}"
    elif "interpreter_path" in head:
        yield "interpreter", f"promised: {version} at {head['interpreter_path']}"
    else:
        minor = ".".join(str(python.get("version")).split(".")[:2])
        yield "interpreter", f"target: needs {python.get('implementation')} {minor} there"
    for layer in head.get("neighbours", {}).get("layers", ()):
        relied_on = [f"{each['name']} {each['version']}" for each in layer["distributions"]]
        use = f"for {', '.join(relied_on)}" if relied_on else "not needed by any requirement"
        yield "layer", f"{layer['path']}, {use}"
    yield "ABI", f"{python.get('abi')}, {python.get('pointer_bits')} bits"
    yield "platform", str(platform.get("tag"))
    for key, value in platform.items():
        if key not in ("system", "machine", "tag", "libc") and isinstance(value, (str, int)):
            yield f"needs {key}", str(value)
    for need in describe_needs(head):
        yield "needs", need
    if found.needs_shell:
        yield "needs", "/bin/sh for its launchers (bin/python bin/NAME does not need it)"
    packed = f"{human_size(found.packed_size)} packed, " if found.packed_size is not None else ""
    yield "size", f"{packed}{human_size(found.size)} unpacked, {found.entry_count:,} entries"
    if found.packed_size is not None:
        yield "top folder", found.install_target if found.install_target != "." else "none"
    yield "content digest", head["content_digest"]
    if found.proof is not None and found.proof["room"] is not None:
        ran = amounts(found.proof.get("ran", {}))
        yield "ran", f"{', '.join(ran)} in a {found.proof['room']} room, before its release"


def _table(parts: Sequence[Part], style: Style) -> Iterator[str]:
    largest = max(part.size or 0 for part in parts)
    names = [printable(f"{part.name} {part.version or ''}".rstrip()) for part in parts]
    column = max(map(len, names))
    for name, part in zip(names, parts, strict=True):
        if part.size is None:
            yield f"  {name:<{column}}  size unknown: it has no RECORD"
            continue
        share = part.size / largest if largest else 0
        yield f"  {name:<{column}}  {style.bar(share)}  {human_size(part.size):>9}".rstrip()


def licence_lines(found: Licences, style: Style) -> Iterator[str]:
    """Yield a table of components and their licences, and how many have no licence text."""
    labels = [f"{row.name} {row.version or ''}".rstrip() for row in found.rows]
    stated = [" ".join(row.licence.text.split()) if row.licence else "-" for row in found.rows]
    widths = [max(map(len, column), default=0) for column in (labels, stated)]
    yield style.paint(str(found.path), "bold")
    for label, licence, row in zip(labels, stated, found.rows, strict=True):
        texts = "" if row.texts else style.paint("no text", "yellow")
        yield f"  {label:<{widths[0]}}  {licence:<{widths[1]}}  {texts}".rstrip()
    without = sum(not row.texts for row in found.rows)
    yield f"{len(found.rows)} components, {without} without a licence text"


def verification_lines(result: Verification, style: Style) -> Iterator[str]:
    """Yield each finding, or, if there is none, a line saying that everything is as packed."""
    for finding in result.findings:
        what = style.paint(f"{finding.what:<10}", "red")
        yield f"{what} {finding.path} {finding.detail}"
    if not result.is_whole:
        return
    parts = [f"{result.entry_count:,} entries", human_size(result.size)]
    if result.connected:
        parts.append("connected to an interpreter")
    if result.byte_code:
        parts.append(f"{result.byte_code:,} bytecode files written since, not compared")
    parts.append(f"content digest {result.head['content_digest']}")
    yield f"{result.path}  {style.paint('as packed', 'green')}: {', '.join(parts)}"


def describe_findings(result: Verification) -> str:
    """Return the error message for a failed verification."""
    counts: dict[str, int] = {}
    for finding in result.findings:
        counts[finding.what] = counts.get(finding.what, 0) + 1
    listed = ", ".join(f"{count} {what}" for what, count in counts.items())
    return f"{result.path} is not as it was packed: {listed}"


def preview_lines(
    found: Preview, style: Style, base: Path | None = None, *, every: bool
) -> Iterator[str]:
    """Yield what would be packed.

    Parameters:
        base: archives below this folder are shown relative to it.
        every: whether to list every file; otherwise, only rewritten ones are listed, and the rest
            are counted by reason.
    """
    if found.refused:
        return
    yield style.paint("nothing is written (--dry-run)", "dim")
    yield from (style.paint(str(shown(path, base)), "bold") for path in found.archives)
    size = f"{human_size(found.size)} unpacked, {found.entry_count:,} entries"
    yield from field_lines([("size", size), *need_fields(found.needs, found.floor)], style.width)
    yield from _largest(found, style, every=every)
    yield f"{found.unchanged:,} unchanged"
    yield from _section("rewritten", found.rewritten, style, every=True)
    yield from _section("added", found.added, style, every=every)
    yield from _section("left out", found.left_out, style, every=every)
    for note in found.notes:
        yield f"{style.paint('note', 'yellow')}: {note}"


def _largest(found: Preview, style: Style, *, every: bool) -> Iterator[str]:
    """Yield what takes up the most space."""
    shown = found.largest if every else found.largest[:_SHOWN]
    yield style.paint("largest", "bold")
    for name, size in shown:
        yield f"  {human_size(size):>9}  {name}"
    rest = found.largest[len(shown) :]
    if rest:
        yield f"  {human_size(sum(size for _, size in rest)):>9}  {len(rest)} more (-v lists them)"


def _section(title: str, steps: Iterable[Decision], style: Style, *, every: bool) -> Iterator[str]:
    steps = list(steps)
    if not steps:
        return
    size = human_size(sum(step.size for step in steps))
    yield f"{style.paint(f'{len(steps):,} {title}', 'bold')} ({size})"
    if every:
        yield from (f"  {step.path}: {step.why}" for step in steps)
        return
    counts = Counter(step.why for step in steps)
    sizes: Counter[str] = Counter()
    for step in steps:
        sizes[step.why] += step.size
    for why, count in counts.most_common():
        known = human_size(sizes[why]) if sizes[why] else ""  # folders have none
        yield f"  {count:>6,}  {known:>9}  {why}"
