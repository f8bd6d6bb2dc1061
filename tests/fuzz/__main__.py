"""Damage inputs for a while, and keep those that give neither a result nor a sentence.

Prints, for each target, how many inputs were tried in how many seconds, and the finds, each of
which is written to a folder with its traceback. Exits with status 1 if there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .bounds import OutOfBoundsError, bounded
from .targets import TARGETS, clear

if TYPE_CHECKING:
    from .targets import Target


_TURN = 10.0  # seconds


@dataclass(kw_only=True)
class Tally:
    """How much of a target was tried, and what was found."""

    inputs: int = 0
    seconds: float = 0.0
    finds: dict[str, str] = field(default_factory=dict)


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    options.finds.mkdir(parents=True, exist_ok=True)
    chosen = [TARGETS[name] for name in options.target or TARGETS]
    tallies = {target.name: Tally() for target in chosen}
    end = time.monotonic() + options.seconds
    turn, number = min(_TURN, options.seconds / len(chosen) / 2), 0
    try:
        while time.monotonic() < end:
            for target in chosen:
                source = random.Random(f"{options.seed} {number} {target.name}")  # noqa: S311
                _run(target, source, min(end, time.monotonic() + turn), tallies[target.name])
                _keep(options.finds, target.name, tallies[target.name])
                _note(tallies, options.finds)
            number += 1
    except KeyboardInterrupt:
        pass
    finally:
        clear()
    _print(tallies)
    return 1 if any(tally.finds for tally in tallies.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600, help="default: 600")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all, in turns")
    parser.add_argument("--seed", default=time.strftime("%F %T"), help="default: the time")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="folder for finds")
    return parser.parse_args()


def _run(target: Target, source: random.Random, end: float, tally: Tally) -> None:
    began = time.process_time()
    while time.monotonic() < end:
        data = target.make(source)
        tally.inputs += 1
        _try(target, data, tally)
    tally.seconds += time.process_time() - began


def _try(target: Target, data: bytes, tally: Tally) -> None:
    try:
        with bounded(target.memory):
            target.try_(data)
    except (Exception, OutOfBoundsError) as error:  # noqa: BLE001 - it is what is looked for
        where = _where(error)
        if where not in tally.finds:
            told = "".join(traceback.format_exception(error))
            tally.finds[where] = data.hex() + "\n" + told


def _where(error: BaseException) -> str:
    """Return what identifies a find: the type of the error, and our last line in its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "hatch_pack_venv" in frame.filename] or frames
    return f"{type(error).__name__} in {Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _keep(folder: Path, name: str, tally: Tally) -> None:
    for where, told in tally.finds.items():
        data, _, text = told.partition("\n")
        stem = f"{name.replace(' ', '-')}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"
        (folder / f"{stem}.bin").write_bytes(bytes.fromhex(data))
        (folder / f"{stem}.txt").write_text(f"{where}\n{text}", errors="backslashreplace")


def _note(tallies: dict[str, Tally], folder: Path) -> None:
    told = {name: asdict(tally) | {"finds": [*tally.finds]} for name, tally in tallies.items()}
    (folder / "tally.json").write_text(json.dumps(told, indent=1))


def _print(tallies: dict[str, Tally]) -> None:
    inputs = sum(tally.inputs for tally in tallies.values())
    hours = sum(tally.seconds for tally in tallies.values()) / 3600
    print(f"{inputs} inputs in {hours:.2f} hours of the processor")
    for name, tally in tallies.items():
        told = "; ".join(tally.finds) or "no find"
        print(f"  {name}: {tally.inputs} inputs in {tally.seconds:.0f} s, {told}")


if __name__ == "__main__":
    sys.exit(main())
