"""Medians and ratios of the measurements, and the limits that they must stay within."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .measure import Cost

# Format, peer, and the largest ratios of our time and of our size to its own.
BARS = [
    (".tar.zst", "tar | zstd", 1.15, 0.94),
    (".tar.gz", "venv-pack2", 0.45, 0.97),
    (".tar.xz", "venvstacks", 0.52, 0.96),
    (".tar.xz", "tar | xz", 1.05, None),
    (".zip", "venvstacks", 0.35, 1.00),
    (".tar", "tar", 2.5, None),
]


def medians(costs: Mapping[tuple[str, str], list[Cost]]) -> dict[tuple[str, str], dict[str, float]]:
    """Return the median of each figure by format and packer."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, runs in costs.items():
        facts = [asdict(run) for run in runs]
        found[key] = {name: median(fact[name] for fact in facts) for name in facts[0]}
    return found


def table(figures: Mapping[tuple[str, str], Mapping[str, float]]) -> str:
    """Return the medians, with the ratio of ours to each peer's."""
    lines = [
        f"{'format':10} {'packer':31} {'wall s':>8} {'CPU s':>8} {'MiB':>6} {'MB':>8}"
        f" {'our time':>9} {'our size':>9}"
    ]
    for (suffix, name), each in figures.items():
        line = (
            f"{suffix:10} {name:31} {each['wall']:8.2f} {each['cpu']:8.2f}"
            f" {each['memory'] / 2**20:6.0f} {each['size'] / 1e6:8.2f}"
        )
        mine = figures.get((suffix, "ours"))
        if mine is not None and name != "ours":
            line += f" {mine['wall'] / each['wall']:8.2f}x {mine['size'] / each['size']:8.3f}x"
        lines.append(line)
    return "\n".join(lines)


def level_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return what each compression level costs, as Markdown."""
    lines = ["| format | level | CPU s | MB | peak MiB |", "|---|---|---|---|---|"]
    for suffix, levels in found.items():
        for level, cost in levels.items():
            memory = cost["memory"] / 2**20
            lines.append(
                f"| `{suffix}` | {level} | {cost['cpu']:.1f} | {cost['size'] / 1e6:.1f}"
                f" | {memory:.0f} |"
            )
    return "\n".join(lines)


def judged(figures: Mapping[tuple[str, str], Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return each limit with the measured ratio."""
    found = []
    for suffix, name, time, size in BARS:
        mine, peer = figures.get((suffix, "ours")), figures.get((suffix, name))
        if mine is None or peer is None:
            continue
        for what, key, bar in (("time", "wall", time), ("size", "size", size)):
            if bar is not None:
                ratio = mine[key] / peer[key]
                found.append(
                    {
                        "format": suffix,
                        "peer": name,
                        "what": what,
                        "bar": bar,
                        "ratio": round(ratio, 4),
                        "met": ratio <= bar,
                    }
                )
    return found
