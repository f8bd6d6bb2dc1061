"""What else is measured: scan and plan, growth, unpacking and the first import, launchers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from .contenders import ours
from .environments import IMPORTS, synthetic, with_large_file
from .measure import measured

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = {
    ".tar.gz": (1, 3, 5, 6, 7, 9),
    ".zip": (1, 3, 5, 6, 7, 9),
    ".tar.zst": (1, 3, 6, 9, 12, 15, 19),
    ".tar.xz": (0, 2, 4, 6, 8, 9),
    ".tar.bz2": (1, 5, 9),
}
_PLAN = """
import sys, time
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.model.environment import Environment
from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.api.planning import Source, plan_source
environment = read_environment(sys.argv[1])
start = time.perf_counter()
plan = plan_source(Source.of(environment, PackOptions(interpreter="target")), None)
print(time.perf_counter() - start, len(plan.entries))
"""


def scan_and_plan(prefix: Path, rounds: int) -> dict[str, float]:
    """Measure scan and plan, each time in a new process."""
    seconds, count = [], 0
    for _ in range(rounds):
        command = [sys.executable, "-c", _PLAN, str(prefix)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, entries = done.stdout.split()
        seconds.append(float(taken))
        count = int(entries)
    return {"seconds": median(seconds), "entries": count}


def growth(work: Path, rounds: int) -> dict[str, Any]:
    """Measure scan and plan, and packing, from 1,000 to 100,000 files."""
    found: dict[str, Any] = {}
    for count in (1_000, 10_000, 100_000):
        prefix = synthetic(work / f"files{count}", count)
        facts: dict[str, Any] = {"plan": scan_and_plan(prefix, rounds)}
        for suffix in (".tar", ".tar.zst"):
            command, output = ours(suffix).filled(prefix, work / "out" / "growth")
            cost = measured(command, output)
            facts[suffix] = {"wall": cost.wall, "cpu": cost.cpu, "memory": cost.memory}
        found[str(count)] = facts
    return found


def large_file(work: Path, suffixes: list[str]) -> dict[str, Any]:
    """Measure packing one file of 4 GiB."""
    prefix = with_large_file(work / "large")
    found = {}
    for suffix in suffixes:
        command, output = ours(suffix).filled(prefix, work / "out" / "large")
        cost = measured(command, output)
        found[suffix] = {"wall": cost.wall, "cpu": cost.cpu, "memory": cost.memory}
        output.unlink()
    return found


def levels(prefix: Path, work: Path, suffixes: list[str] | None) -> dict[str, Any]:
    """Measure our formats at several compression levels, once each."""
    found: dict[str, Any] = {}
    for suffix, chosen in LEVELS.items():
        for level in chosen if suffixes is None or suffix in suffixes else ():
            contender = ours(suffix, "--compression-level", str(level))
            command, output = contender.filled(prefix, work / "out" / "level")
            cost = measured(command, output)
            found.setdefault(suffix, {})[str(level)] = asdict(cost)
            output.unlink()
    return found


def unpacking(archive: Path, work: Path, environment: str) -> dict[str, float]:
    """Measure unpacking a bundled archive elsewhere, and the first import there."""
    target = work / "unpacked"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    unpack = measured(["tar", "-xf", archive, "-C", target])
    python = next(target.glob("*/bin/python"))
    first = measured([python, "-c", f"import {IMPORTS[environment]}"])
    second = measured([python, "-c", f"import {IMPORTS[environment]}"])
    return {"unpack": unpack.wall, "first import": first.wall, "second import": second.wall}


def launcher_overhead(work: Path, runs: int = 100) -> dict[str, float]:
    """Measure a launcher that finds its own place against a direct `#!` line, in turns."""
    from hatch_pack_venv.model.distribution import EntryPoint
    from hatch_pack_venv.platforms.posix.launchers import entry_point_script

    folder = work / "launchers"
    folder.mkdir(exist_ok=True)
    python = folder / "python"
    python.unlink(missing_ok=True)
    python.symlink_to("/bin/true")
    relocatable, direct = folder / "relocatable", folder / "direct"
    point = EntryPoint(name="relocatable", module="m", attr="main", gui=False)
    relocatable.write_bytes(entry_point_script(point))
    direct.write_text(f"#!{python}\n")
    for path in (relocatable, direct):
        path.chmod(0o755)
    seconds: dict[Path, list[float]] = {relocatable: [], direct: []}
    for _ in range(runs):
        for path, taken in seconds.items():
            start = time.perf_counter()
            subprocess.run([path], check=True)
            taken.append(time.perf_counter() - start)
    both = {path.name: median(taken) * 1000 for path, taken in seconds.items()}
    return {**both, "overhead": both["relocatable"] - both["direct"]}
