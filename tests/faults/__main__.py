"""Make every system call fail, in every operation, and print what went wrong.

Every call that can fail does so once with each error that it can return, a signal arrives before
every call, four hundred arrive at random moments, and limits are set. Exits with status 1 if
anything went wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from .driver import OPERATIONS
from .running import compiled, driven


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "stride", type=int, nargs="?", default=1, help="each so many of the faults; default: all"
    )
    parser.add_argument("--operation", action="append", choices=OPERATIONS, help="default: all")
    options = parser.parse_args()
    calls: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    wrong = 0
    with TemporaryDirectory(prefix="hatch-pack-venv-faults-") as scratch:
        shim = compiled(Path(scratch))
        for name in options.operation or OPERATIONS:
            (found,) = driven(shim, Path(scratch, "scenes"), options.stride, name).values()
            calls.update(found["calls"])
            failed.update(found["failed"])
            tried.update(found["tried"])
            wrong += len(found["problems"])
            counted = [sum(found[key].values()) for key in ("calls", "failed", "tried")]
            print(f"{name}: {counted[0]} calls, failed {counted[1]} times, {counted[2]} runs")
            print(*(f"  {problem}" for problem in found["problems"]), sep="\n", flush=True)
    print("call: how often it is made, and how often it failed")
    print(*(f"  {name}: {count}, {failed[name]}" for name, count in calls.most_common()), sep="\n")
    print("fault: runs")
    print(*(f"  {kind}: {count}" for kind, count in tried.items()), sep="\n")
    print(f"{calls.total()} calls, {tried.total()} runs, {wrong} of them not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
