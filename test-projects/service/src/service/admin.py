"""The command `service-admin`: reports facts that depend on the environment's location."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from service.api import Message


def double(number: int) -> int:
    """Double a number, in another process."""
    return 2 * number


def facts() -> dict[str, object]:
    """Gather the facts that depend on the location."""
    child = [sys.executable, "-c", "import pydantic_core, sys; print(sys.prefix)"]
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(1) as pool:
        doubled = pool.map(double, [21])
    config = Path(sys.prefix, "share", "service", "service.toml").read_text(encoding="utf-8")
    foreign = [path for path in sys.path if path and not path.startswith(sys.prefix)]
    return {
        "prefix": sys.prefix,
        "executable": sys.executable,
        "child": subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip(),
        "doubled": doubled,
        "config": config.strip(),
        "valid": Message(count=1, text="x").model_dump(),
        "foreign": foreign,
        "libpython": _loaded("libpython"),
    }


def _loaded(name: str) -> list[str]:
    """Return the paths of the mapped libraries whose name contains `name`, on Linux."""
    if not os.path.exists("/proc/self/maps"):
        return []
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split(None, 5)[-1].strip() for line in maps if name in line}
    return sorted(paths)


def main() -> None:
    """Print one line of JSON."""
    print(json.dumps(facts(), ensure_ascii=False))
