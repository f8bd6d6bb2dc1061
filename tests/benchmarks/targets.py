"""What an archive costs the target: to unpack it, to start it once, and to start it again."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from .contenders import Contender, contenders, ours
from .environments import IMPORTS, PEERS, REQUIREMENTS, made
from .measure import measured

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYTHON: Final = "import shutil, sys; shutil.unpack_archive(sys.argv[1], sys.argv[2])"
# By reader: what precedes the archive, what stands between it and the folder, and the formats.
_READERS: Final = {
    "tar": (["tar", "-xf"], ["-C"], (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")),
    "Python": ([sys.executable, "-c", _PYTHON], [], (".tar", ".tar.gz", ".tar.bz2", ".tar.xz")),
    "unzip": (["unzip", "-q"], ["-d"], (".zip",)),
    "unsquashfs": (["unsquashfs", "-q", "-n", "-f", "-d"], [], (".squashfs",)),
    "itself": ([], ["--pack-venv-extract"], (".run",)),
}
_BYTE_CODE: Final = "ours, with byte code"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - our folder there is removed first
"""Where files are unpacked, if it exists: after thousands of files have been removed, ext4 takes
ten times as long to create as many, because it skips inodes that were in use a moment ago.
"""
_FIGURES: Final = ("unpack", "unpack CPU", "connect CPU", "first CPU", "second CPU")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An archive and the program that unpacks it."""

    packer: str
    archive: Path
    suffix: str
    reader: str


def target_costs(work: Path, rounds: int) -> list[dict[str, str | float]]:
    """Return the median seconds for each archive and reader, measured alternately.

    Before the first start `postinstall.py` connects and compiles ours, except in formats that need
    no connecting; otherwise the first start compiles what it imports. Archives and files are in the
    system's page cache. An archive of venvstacks is left out: it starts only among its layers.
    """
    prefix = made(work / "science" / "env", REQUIREMENTS["science"])
    rows = list(_rows(prefix, work / "targets", made(work / "peers", PEERS)))
    taken: dict[_Row, list[dict[str, float]]] = {row: [] for row in rows}
    for number in range(rounds):
        for row, each in taken.items():
            each.append(_costs(row, _MEMORY if _MEMORY.is_dir() else work))
            told = f"round {number + 1}: {row.packer} {row.suffix} {row.reader}: {each[-1]}"
            print(told, flush=True)
    return [
        {
            "packer": row.packer,
            "format": row.suffix[1:],
            "unpacked by": row.reader,
            "MB": row.archive.stat().st_size / 1e6,
            **{name: median(cost[name] for cost in each) for name in _FIGURES},
        }
        for row, each in taken.items()
    ]


def target_table(found: list[dict[str, str | float]]) -> str:
    """Return the figures as Markdown."""
    names = list(found[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in found:
        cells = (f"{each:.2f}" if isinstance(each, float) else each for each in row.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(prefix: Path, folder: Path, peers: Path) -> Iterator[_Row]:
    folder.mkdir(parents=True, exist_ok=True)
    suffixes = [suffix for _, _, read in _READERS.values() for suffix in read]
    made_by_us = [
        ours(each, "--prove", "none", *_OPTIONS.get(each, ())) for each in dict.fromkeys(suffixes)
    ]
    with_byte_code = [
        Contender(name=_BYTE_CODE, suffix=each.suffix, command=[*each.command, *_COMPILED])
        for each in made_by_us
    ]
    others = [each for each in contenders(peers) if each.name not in ("ours", "pex", "venvstacks")]
    for contender in (*made_by_us, *with_byte_code, *others):
        base = folder / contender.name.replace(" ", "-").replace("|", "")
        command, archive = contender.filled(prefix, base)
        if not archive.exists():
            measured(command, archive)
        for reader, (_, _, read) in _READERS.items():
            if contender.suffix in read:
                suffix = contender.suffix
                yield _Row(packer=contender.name, archive=archive, suffix=suffix, reader=reader)


_COMPILED: Final = ("--bytecode", "unchecked-hash")
_BUNDLED: Final = ("--interpreter", "bundled")
_OPTIONS: Final = {".run": (*_BUNDLED, "--entry-point", "flask"), ".squashfs": _BUNDLED}
"""Options for the formats that are not connected on the target."""


def _costs(row: _Row, place: Path) -> dict[str, float]:
    target = place / "hatch-pack-venv-target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    before, between, _ = _READERS[row.reader]
    command: list[str | Path] = [*before, row.archive, *between, target]
    if row.reader == "unsquashfs":
        command = [*before, target, row.archive]
    unpack = measured(command)
    top = next(folder for folder in (target, *target.iterdir()) if (folder / "bin").is_dir())
    python = top / "bin/python"
    connect = 0.0
    if row.packer in ("ours", _BYTE_CODE) and row.suffix not in _OPTIONS:
        connect = measured([sys.executable, str(top / "postinstall.py")]).cpu
    start: list[str | Path] = [python, "-c", f"import {IMPORTS['science']}"]
    first, second = measured(start).cpu, measured(start).cpu
    shutil.rmtree(target)
    found = (unpack.wall, unpack.cpu, connect, first, second)
    return dict(zip(_FIGURES, found, strict=True))
