"""What the second build costs: with nothing changed, and with the project's own wheel changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from support.trees import make_wheel

from .contenders import ours
from .environments import REQUIREMENTS, made
from .measure import measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .measure import Cost

FORMATS = (".tar.xz", ".tar.zst", ".tar.gz", ".tar.bz2", ".zip")
# The largest fraction of the first build's CPU time: with nothing changed, with the wheel changed.
BARS = {".tar.xz": (0.10, 0.15), ".tar.zst": (0.35, 0.45)}
_BUILDS = ("before", "first", "second", "changed")


def second_builds(
    work: Path, rounds: int, suffixes: list[str] | None, before: Path | None
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the median costs of the builds, by format and build.

    Parameters:
        before: the `src` of an earlier version, measured alternately with this one.
    """
    folder = work / "second"
    folder.mkdir(parents=True, exist_ok=True)
    prefix = made(folder / "app", [*REQUIREMENTS["science"], str(_wheel(folder, 0))])
    found = {}
    for suffix in suffixes or FORMATS:
        costs: dict[str, list[Cost]] = {}
        for number in range(rounds):
            cache = Path(mkdtemp(prefix="cache", dir=folder))
            for build in _BUILDS[before is None :]:
                if build in ("first", "changed"):
                    _install(prefix, _wheel(folder, number * 2 + (build == "changed")))
                cost = _built(prefix, cache, suffix, before if build == "before" else None)
                costs.setdefault(build, []).append(cost)
                print(f"{suffix}, round {number + 1}, {build}: {cost}", flush=True)
        found[suffix] = {build: _medians(each) for build, each in costs.items()}
    for cache in folder.glob("cache*"):  # not earlier: ext4 is slow to create files afterwards
        shutil.rmtree(cache)
    return found


def second_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the builds as Markdown, with the ratio of each one to the first."""
    lines = [
        "| format | build | s | CPU s | of the first | MiB | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for suffix, builds in found.items():
        for build, each in builds.items():
            part = each["cpu"] / builds["first"]["cpu"]
            lines.append(
                f"| `{suffix[1:]}` | {build} | {each['wall']:.1f} | {each['cpu']:.1f} | {part:.2f}"
                f" | {each['memory'] / 2**20:.0f} | {each['size'] / 1e6:.1f} |"
            )
    for suffix, bars in BARS.items():
        for build, bar in zip(("second", "changed"), bars, strict=True):
            if suffix in found:
                part = found[suffix][build]["cpu"] / found[suffix]["first"]["cpu"]
                lines.append(f"{suffix} {build}: {part:.3f}, {'met' if part <= bar else 'MISSED'}")
    return "\n".join(lines)


def _built(prefix: Path, cache: Path, suffix: str, before: Path | None) -> Cost:
    command, output = ours(suffix, "--prove", "none").filled(prefix, cache.with_name("out"))
    output.unlink(missing_ok=True)
    variables = {"HATCH_PACK_VENV_CACHE_DIR": str(cache)}
    if before is not None:
        variables["PYTHONPATH"] = str(before)
    os.sync()
    with _set(variables):
        return measured(command, output)


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _wheel(folder: Path, number: int) -> Path:
    """Return a wheel of the project, whose modules contain a number."""
    files = {f"app/m{n:02}.py": f"x = {number}, {n}\n".encode() * 200 for n in range(40)}
    where = folder / str(number)
    where.mkdir(exist_ok=True)
    return make_wheel(where, {"app/__init__.py": b"", **files}, "app-1.0-py3-none-any.whl")


def _install(prefix: Path, wheel: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline"]
    command += ["--no-deps", "--reinstall", "--link-mode=copy", "--no-cache"]
    python = ["--python", str(prefix / "bin/python")]
    subprocess.run([*command, *python, str(wheel)], check=True)


def _medians(costs: list[Cost]) -> dict[str, float]:
    return {
        name: median(getattr(cost, name) for cost in costs)
        for name in ("wall", "cpu", "memory", "size")
    }
