"""Other measurements: scan and plan, growth, large files, levels, scale and launchers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from .contenders import ours
from .environments import synthetic, vast, with_large_file
from .measure import measured

if TYPE_CHECKING:
    from pathlib import Path

    from .measure import Cost

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
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
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


def large_file(work: Path, suffixes: list[str] | None) -> dict[str, Any]:
    """Measure packing one file of more than 4 GiB, and reading it back."""
    prefix = with_large_file(work / "large")
    found = {}
    for suffix in suffixes or (".tar", *LEVELS):
        command, output = ours(suffix, "--prove", "none").filled(prefix, work / "out" / "large")
        cost = measured(command, output)
        found[suffix] = {**asdict(cost), "verify": asdict(_verified(output))}
        print(f"4 GiB: {suffix}: {found[suffix]}", flush=True)
        output.unlink()
    return found


def _verified(archive: Path) -> Cost:
    return measured([sys.executable, "-m", "hatch_pack_venv", "verify", archive])


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


def scale(work: Path, suffixes: list[str] | None) -> dict[str, Any]:
    """Measure a very large environment with 2 and with 16 threads, which write the same bytes."""
    prefix = vast(work / "vast")
    found: dict[str, Any] = {}
    for suffix in suffixes or LEVELS:
        hashes = set()
        for threads in (2, 16):
            options = ("--threads", str(threads), "--cache", "false", "--prove", "none")
            command, output = ours(suffix, *options).filled(prefix, work / "out" / "scale")
            cost = measured(command, output)
            with output.open("rb") as stream:
                hashes.add(hashlib.file_digest(stream, "sha256").hexdigest())
            found.setdefault(suffix, {})[str(threads)] = asdict(cost)
            print(f"scale: {suffix}, {threads} threads: {cost}", flush=True)
        found[suffix]["same bytes"] = len(hashes) == 1
        found[suffix]["verify"] = asdict(_verified(output))
        output.unlink()
    return found


def launcher_overhead(work: Path, runs: int = 100) -> dict[str, float]:
    """Measure a launcher that finds its own location against a direct `#!` line, alternately."""
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
