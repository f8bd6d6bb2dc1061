"""The result of an inspection as one HTML page, without scripts or external resources."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.errors import printable
from ..model.results import human_size
from ..read.inspect import KINDS
from .render import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..read.inspect import Inspection, Part


_SMALLEST: Final = 0.0004
"""The share of the whole up to which owners are drawn together as one area: it is a few hundred of
a screen's pixels."""
_HUES: Final = (210, 160, 28, 272, 350, 185, 318, 55, 100, 240, 0)
_RATIO: Final = 1.8
_LEGIBLE: Final = 0.03
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { color: #888; } dd { margin: 0; overflow-wrap: anywhere; }
.map { position: relative; width: 100%; height: min(62vh, 60vw);
  min-height: 22rem; }
.map div { position: absolute; box-sizing: border-box; overflow: hidden; }
.owner { border: 1px solid Canvas; }
.owner > span { position: absolute; z-index: 1; left: 3px; top: 1px; right: 0; font-size: 12px;
  line-height: 1.2; color: #fff; text-shadow: 0 0 3px #000, 0 0 2px #000; pointer-events: none; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--soft); }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.bar { width: 30%; min-width: 5rem; } td.bar div { height: .7em; background: hsl(210 60% 50%); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; }
  td.bar, th.bar { display: none; } }
"""


def page(found: Sequence[Inspection]) -> str:
    """Return a page that shows archives or folders one below the other."""
    title = ", ".join(_name(each) for each in found)
    body = "\n".join(part for each in found for part in _sections(each))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def _text(text: object) -> str:
    return escape(printable(str(text)))


def _name(found: Inspection) -> str:
    return " ".join(str(found.head[key]) for key in ("name", "version") if found.head.get(key))


def _sections(found: Inspection) -> Iterator[str]:
    yield f"<h1>{_text(_name(found) or found.path)}</h1>"
    facts = [("file", found.path.name), *facts_of(found)]
    yield "<dl>"
    yield from (f"<dt>{_text(label)}</dt><dd>{_text(value)}</dd>" for label, value in facts)
    yield "</dl>"
    yield "<h2>What takes up space</h2>"
    yield _map(found.shares)
    yield _legend(found.shares)
    yield from _table("Distributions", found.distributions)
    yield from _table("Other files", found.rest)
    yield from _table("Kinds of files", found.kinds)
    yield from _left_out(found)


class _Area(NamedTuple):
    """A part of the map, in shares of its width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def style(self) -> str:
        """The position and size as CSS."""
        x, y, width, height = (f"{100 * value:.3f}%" for value in self)
        return f"left:{x};top:{y};width:{width};height:{height}"


_WHOLE: Final = _Area(0, 0, 1, 1)


def areas(sizes: Sequence[float], area: _Area = _WHOLE, ratio: float = _RATIO) -> list[_Area]:
    """Divide an area in proportion to sizes, largest first, into nearly square parts.

    "Squarified Treemaps" (Bruls, Huizing and van Wijk, 2000).

    Parameters:
        ratio: of the whole's width to its height, in pixels.
    """
    scale = area.width * area.height / sum(sizes) if sizes else 0
    rest, placed, done = area, [], 0
    while done < len(sizes):
        count = _row(sizes[done:], scale, rest, ratio)
        row = [size * scale for size in sizes[done : done + count]]
        parts, rest = _placed(row, rest, ratio)
        placed += parts
        done += count
    return placed


def _row(sizes: Sequence[float], scale: float, area: _Area, ratio: float) -> int:
    """Return how many of the next sizes make the squarest row along the shorter side."""
    best, chosen = float("inf"), 1
    for count in range(1, len(sizes) + 1):
        parts, _ = _placed([size * scale for size in sizes[:count]], area, ratio)
        worst = max(_narrowness(part, ratio) for part in parts)
        if worst > best:
            break
        best, chosen = worst, count
    return chosen


def _narrowness(area: _Area, ratio: float) -> float:
    width, height = area.width * ratio, area.height
    return max(width / height, height / width) if width and height else float("inf")


def _placed(row: Sequence[float], area: _Area, ratio: float) -> tuple[list[_Area], _Area]:
    """Lay a row along the shorter side of an area; return its parts, and what is left."""
    total = sum(row)
    parts, before = [], 0.0
    if area.width * ratio >= area.height:
        width = total / area.height
        for each in row:
            parts.append(_Area(area.x, area.y + before, width, each / width))
            before += each / width
        return parts, _Area(area.x + width, area.y, max(area.width - width, 0), area.height)
    height = total / area.width
    for each in row:
        parts.append(_Area(area.x + before, area.y, each / height, height))
        before += each / height
    return parts, _Area(area.x, area.y + height, area.width, max(area.height - height, 0))


def _map(shares: Mapping[str, Mapping[str, int]]) -> str:
    total = sum(sum(kinds.values()) for kinds in shares.values())
    large, small = _by_size(shares, total * _SMALLEST)
    owners = [(name, sum(kinds.values()), kinds) for name, kinds in large]
    owners += [(f"{len(small)} more", sum(size for _, size in small), {"data": 1})] if small else []
    lines = ['<div class="map" role="img" aria-label="sizes, as in the tables below">']
    for (name, size, kinds), area in zip(
        owners, areas([size for _, size, _ in owners]), strict=True
    ):
        label = f"{_text(name)}, {human_size(size)}"
        lines.append(f'<div class="owner" style="{area.style}" title="{label}">')
        lines += _kinds(name, kinds, _RATIO * area.width / area.height)
        legible = min(area.width, area.height) > _LEGIBLE
        lines.append(f"<span>{label}</span></div>" if legible else "</div>")
    return "\n".join([*lines, "</div>"])


def _by_size(
    shares: Mapping[str, Mapping[str, int]], limit: float
) -> tuple[list[tuple[str, Mapping[str, int]]], list[tuple[str, int]]]:
    """Return what is large enough to be drawn, largest first, and the rest."""
    sizes = {name: sum(kinds.values()) for name, kinds in shares.items()}
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    large = [(name, shares[name]) for name in names if sizes[name] > limit]
    small = [(name, sizes[name]) for name in names if 0 < sizes[name] <= limit]
    return large, small


def _kinds(owner: str, kinds: Mapping[str, int], ratio: float) -> Iterator[str]:
    present = sorted(((size, kind) for kind, size in kinds.items() if size), reverse=True)
    placed = areas([size for size, _ in present], ratio=ratio)
    for (size, kind), area in zip(present, placed, strict=True):
        title = f"{_text(owner)}: {kind}, {human_size(size)}"
        yield f'<div style="{area.style};background:{_colour(kind)}" title="{title}"></div>'


def _colour(kind: str) -> str:
    position = KINDS.index(kind) if kind in KINDS else 0
    return f"hsl({_HUES[position]} {45 if kind != 'data' else 5}% 42%)"


def _legend(shares: Mapping[str, Mapping[str, int]]) -> str:
    present = {kind for kinds in shares.values() for kind, size in kinds.items() if size}
    items = (
        f'<li><i style="background:{_colour(kind)}"></i>{kind}</li>'
        for kind in KINDS
        if kind in present
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _table(title: str, parts: Iterable[Part]) -> Iterator[str]:
    parts = list(parts)
    if not parts:
        return
    largest = max(part.size or 0 for part in parts) or 1
    yield f"<h2>{title} ({len(parts)})</h2>"
    yield '<div class="scroll"><table><tr><th>name<th class="n">files<th class="n">size'
    yield '<th class="bar"></tr>'
    for part in parts:
        name = _text(f"{part.name} {part.version or ''}".rstrip())
        size = "unknown" if part.size is None else human_size(part.size)
        bar = f'<div style="width:{100 * (part.size or 0) / largest:.2f}%"></div>'
        yield f'<tr><td>{name}<td class="n">{part.file_count:,}<td class="n">{size}'
        yield f'<td class="bar">{bar}</tr>'
    yield "</table></div>"


def _left_out(found: Inspection) -> Iterator[str]:
    if not found.left_out:
        return
    yield "<h2>Left out of the environment</h2>"
    yield '<div class="scroll"><table><tr><th>why<th class="n">entries<th class="n">size</tr>'
    for each in found.left_out:
        size = human_size(each["size"])
        yield f'<tr><td>{_text(each["why"])}<td class="n">{each["count"]:,}<td class="n">{size}'
    yield "</table></div>"
