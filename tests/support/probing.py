"""Ask an environment, to compare its answers before and after it was packed and moved.

Run as a script by the environment's own Python (3.9 or later): `python probing.py SCRIPTS_FOLDER`
prints JSON. With `--briefly` scripts and modules are only named, and none is run.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import distributions

ANSWER_SECONDS = 120


def ask(*command: str) -> list[object]:
    """Return a command's exit status and everything it printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [type(error).__name__, str(error)]
    return [done.returncode, done.stdout.decode("utf-8", "replace")]


def script_names() -> list[str]:
    """Return the names of the console and GUI scripts of all distributions."""
    groups = ("console_scripts", "gui_scripts")
    points = [point for found in distributions() for point in found.entry_points]
    return sorted({point.name for point in points if point.group in groups})


def scripts(folder: str) -> dict[str, list[object]]:
    """Return what the scripts of all distributions answer to `--help`."""
    names = script_names()
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda name: ask(os.path.join(folder, name), "--help"), names)
        return dict(zip(names, answers))  # noqa: B905 - Python 3.9


def installed() -> dict[str, list[str]]:
    """Return the existing files of each distribution, by its name."""
    return {
        found.metadata["Name"]: sorted(
            str(file) for file in found.files or () if os.path.exists(str(found.locate_file(file)))
        )
        for found in distributions()
    }


def packages() -> dict[str, list[str]]:
    """Return the distributions of each top-level package, as CPython 3.10 and later list them."""
    tell = getattr(importlib.metadata, "packages_distributions", dict)
    # Bytecode of single modules is taken for a package of this name.
    return {name: sorted(set(x)) for name, x in tell().items() if name != "__pycache__"}


def module_names() -> list[str]:
    """Return the top-level modules that a RECORD names."""
    names = set()
    for found in distributions():
        for file in found.files or ():
            top, _, rest = str(file).partition("/")
            name = top if rest else top.partition(".")[0]
            if file.suffix in (".py", ".so") and name.isidentifier():
                names.add(name)
    return sorted(names)


def imported(name: str) -> str:
    """Import a module and return `imported`, or the name of the error."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import_module(name)
    except BaseException as error:  # noqa: BLE001 - a module may even exit
        return type(error).__name__
    return "imported"


def main() -> None:
    """Print all answers."""
    folder, *options = sys.argv[1:]
    briefly = "--briefly" in options
    answers = {
        "scripts": dict.fromkeys(script_names()) if briefly else scripts(folder),
        "installed": installed(),
        "packages": packages(),
        "pip check": ask(sys.executable, "-m", "pip", "check"),
        "modules": {name: None if briefly else imported(name) for name in module_names()},
    }
    print(json.dumps(answers), flush=True)
    os._exit(0)  # whatever threads the modules have started


if __name__ == "__main__":
    main()
