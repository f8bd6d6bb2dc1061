"""Make every call of the system fail, in every operation, and print what was not as it should be.

With a stride of 1 every call meets every kind of fault, which takes hours; with 5, every call fails
once and is interrupted once. Ends with status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .driver import OPERATIONS
from .running import compiled, driven


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("stride", type=int, nargs="?", default=5, help="default: 5")
    parser.add_argument("--operation", action="append", choices=OPERATIONS, help="default: all")
    options = parser.parse_args()
    wrong = calls = tried = 0
    with TemporaryDirectory(prefix="hatch-pack-venv-faults-") as scratch:
        shim = compiled(Path(scratch))
        for name in options.operation or OPERATIONS:
            (found,) = driven(shim, Path(scratch, "scenes"), options.stride, name).values()
            calls += sum(found["calls"].values())
            tried += sum(found["tried"].values())
            wrong += len(found["problems"])
            print(f"{name}: {found['calls']}", f"  tried: {found['tried']}", sep="\n")
            print(*(f"  {problem}" for problem in found["problems"]), sep="\n", flush=True)
    print(f"{calls} calls, {tried} runs with a fault, {wrong} of them not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
