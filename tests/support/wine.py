"""Wine, which runs programs of Windows on this machine, where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Stands for python.exe: Wine starts a file with `#!` as this system does, and does not wait for it.
# It gets paths of Windows, whose drive Z: is the root, and notes what it was and what came of it.
PYTHON = f"""\
#!{sys.executable} -I
import json, os, re, subprocess, sys
drive = re.compile(r"^(?:[\\\\/]{{2}}[?][\\\\/])?Z:")
def here(path):
    return drive.sub("", path).replace("\\\\", "/") if drive.match(path) else path
command = [sys.executable, *map(here, sys.argv[1:])]
done = subprocess.run(command, capture_output=True, text=True)
said = os.environ["SAID"]
with open(said + ".new", "w") as stream:
    json.dump([os.path.realpath(here(__file__)), done.stdout + done.stderr], stream)
os.rename(said + ".new", said)
"""


def wine() -> str | None:
    """Return Wine's command."""
    return shutil.which("wine") if shutil.which("wineserver") else None


class Wine:
    """A drive C: of its own, which takes some seconds to make."""

    def __init__(self, prefix: Path) -> None:
        self.output = prefix / "output"
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(prefix),
            "WINEPREFIX": str(prefix / "drive"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *command: str | Path, **variables: str) -> list[str]:
        """Run a program of Windows and return the lines that it writes."""
        # No pipe: what Wine leaves running for a while would keep it open.
        with self.output.open("wb") as output:
            subprocess.run(
                [wine() or "wine", *map(str, command)],
                env={**self.variables, **variables},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
        return self.output.read_text("utf-8", "replace").splitlines()

    def said(self, *command: str | Path, **variables: str) -> tuple[Path, str]:
        """Run a launcher; return which interpreter it started, and what that wrote."""
        said = self.output.with_name("said")
        said.unlink(missing_ok=True)
        output = self.run(*command, SAID=str(said), **variables)
        until = time.monotonic() + 30
        while not said.exists():
            assert time.monotonic() < until, output
            time.sleep(0.02)
        python, text = json.loads(said.read_text())
        return Path(python), text

    def stop(self) -> None:
        """End what Wine keeps running for this drive."""
        subprocess.run(["wineserver", "-k"], env=self.variables, check=False)


def started(prefix: Path) -> Iterator[Wine]:
    """Give Wine, for as long as a fixture lasts."""
    prefix.mkdir()
    made = Wine(prefix)
    try:
        yield made
    finally:
        made.stop()
