"""Measure this project against other packers, alternately, on environments from the index.

Prints a table of medians and ratios, and writes everything as JSON. Needs tar, xz, zstd and
mksquashfs on PATH, two CPUs, and an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import hatch_pack_venv

from . import others
from .contenders import Contender, contenders
from .environments import PEERS, REQUIREMENTS, made
from .measure import measured
from .report import judged, level_table, medians, table
from .second import second_builds, second_table
from .starts import starts, starts_table
from .targets import target_costs, target_table

if TYPE_CHECKING:
    from .measure import Cost


_ALONE: Final = ("levels", "starts", "targets", "scale", "second")
"""Options that select a single measurement."""


def main() -> None:
    """Run what the command line asks for."""
    options = _options()
    work: Path = options.work.resolve()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is started writes its bytecode
    (work / "out").mkdir(parents=True, exist_ok=True)
    for package in hatch_pack_venv.__path__:
        # As pip does: an editable install may have no bytecode.
        compileall.compile_dir(package, quiet=1)
    if len(os.sched_getaffinity(0)) > 2:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    results: dict[str, Any] = {"machine": platform.platform(), "python": sys.version}
    if options.levels:
        results["levels"] = _levels(work, options.format)
    if options.starts:
        results["starts"] = starts(work, options.rounds)
        print(starts_table(results["starts"]))
    if options.targets:
        results["targets"] = target_costs(work, options.rounds)
        print(target_table(results["targets"]))
    if options.scale:
        results["scale"] = others.scale(work, options.format)
        results["4 GiB"] = others.large_file(work, options.format)
    if options.second:
        before = options.before.resolve() if options.before else None
        results["second"] = second_builds(work, options.rounds, options.format, before)
        print(second_table(results["second"]))
    if any(getattr(options, name) for name in _ALONE):
        options.only_formats, options.environment = True, []
    for name in options.environment:
        results[name] = _compare(name, work, options)
    if not options.only_formats:
        results["growth"] = others.growth(work, options.rounds)
        results["4 GiB"] = others.large_file(work, [".tar", ".tar.gz", ".tar.zst", ".zip"])
        results["launchers, ms"] = others.launcher_overhead(work)
        results["starts"] = starts(work, options.rounds)
        print(f"\nstarts:\n{starts_table(results['starts'])}")
        results["targets"] = target_costs(work, options.rounds)
        print(f"\ntargets:\n{target_table(results['targets'])}")
        for name in ("growth", "4 GiB", "launchers, ms"):
            print(f"\n{name}:", json.dumps(results[name], indent=1))
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nall figures: {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of every packer (default: 3)")
    parser.add_argument(
        "--environment",
        action="append",
        choices=sorted(REQUIREMENTS),
        help="repeatable (default: small and science)",
    )
    parser.add_argument(
        "--format", action="append", metavar="SUFFIX", help="such as .tar.zst; repeatable"
    )
    parser.add_argument("--levels", action="store_true", help="measure our compression levels only")
    parser.add_argument("--starts", action="store_true", help="measure one-file starts only")
    parser.add_argument(
        "--targets", action="store_true", help="measure unpacking and first starts only"
    )
    parser.add_argument(
        "--scale", action="store_true", help="measure 5 GB, 16 threads and a file of 4 GiB only"
    )
    parser.add_argument("--second", action="store_true", help="measure second builds only")
    parser.add_argument(
        "--before", type=Path, metavar="SRC", help="an earlier version, beside second builds"
    )
    parser.add_argument("--only-formats", action="store_true", help="leave out all but the table")
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"), metavar="FOLDER")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), metavar="FILE")
    options = parser.parse_args()
    options.environment = options.environment or ["small", "science"]
    return options


def _compare(name: str, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    prefix = made(work / name / "env", REQUIREMENTS[name])
    peers = made(work / "peers", PEERS)
    chosen = [
        each if each.name != "pex" else _with_requirements(each, name)
        for each in contenders(peers)
        if options.format is None or each.suffix in options.format
    ]
    costs: dict[tuple[str, str], list[Cost]] = {}
    for number in range(options.rounds):
        for contender in chosen:
            base = work / "out" / contender.name.split()[0]
            command, output = contender.filled(prefix, base)
            output.unlink(missing_ok=True)
            os.sync()  # otherwise the last packer's pending writes would slow this one down
            cost = measured(command, output)
            costs.setdefault((contender.suffix, contender.name), []).append(cost)
            print(f"{name}, round {number + 1}: {contender.name} {contender.suffix}: {cost}")
    figures = medians(costs)
    bars = judged(figures) if name == "science" else []
    print(f"\n{name}:\n{table(figures)}")
    for bar in bars:
        print("met " if bar["met"] else "MISSED", bar)
    runs = {" ".join(key): [asdict(run) for run in each] for key, each in costs.items()}
    facts = {"runs": runs, "bars": bars, "plan": others.scan_and_plan(prefix, options.rounds)}
    print("scan and plan:", facts["plan"])
    return facts


def _levels(work: Path, suffixes: list[str] | None) -> dict[str, Any]:
    prefix = made(work / "science" / "env", REQUIREMENTS["science"])
    found = others.levels(prefix, work, suffixes)
    print(level_table(found))
    return found


def _with_requirements(pex: Contender, name: str) -> Contender:
    command = [*pex.command, *REQUIREMENTS[name]]
    return Contender(name=pex.name, suffix=pex.suffix, command=command)


if __name__ == "__main__":
    main()
