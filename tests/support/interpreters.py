"""The CPythons of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SUPPORTED = [f"3.{minor}" for minor in range(9, 15)]
QUESTION = (
    "import sys, os; print('.'.join(map(str, sys.version_info[:3])), sys.implementation.name,"
    " getattr(sys, 'abiflags', '') or '-', os.path.realpath(sys.executable), sep='|')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """An interpreter of this machine."""

    version: str
    path: Path

    @property
    def minor(self) -> str:
        """Give X.Y."""
        return ".".join(self.version.split(".")[:2])

    @property
    def number(self) -> tuple[int, ...]:
        """Give the version as numbers."""
        return tuple(map(int, self.version.split(".")))

    @property
    def prefix(self) -> Path:
        """Give the folder it is installed in."""
        return self.path.parent.parent


@cache
def find_pythons() -> tuple[Python, ...]:
    """Return every ordinary CPython 3 on PATH and of pyenv, one for each version, oldest first."""
    names = ["python3", *(f"python3.{minor}" for minor in range(6, 20))]
    folders = os.get_exec_path()
    candidates = [shutil.which(name, path=folder) for folder in folders for name in names]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += map(str, sorted(pyenv.glob("versions/*/bin/python3")))
    found: dict[str, Python] = {}
    for candidate in filter(None, candidates):
        command = [candidate, "-I", "-c", QUESTION]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        version, name, flags, real = (done.stdout.strip() or "|||").split("|", 3)
        shim = Path(real).parent.name == "shims"
        if name == "cpython" and not shim and set(flags) <= {"-", "m"}:
            found.setdefault(version, Python(version=version, path=Path(real)))
    return tuple(sorted(found.values(), key=lambda python: python.number))


def newest_of_each() -> tuple[Python, ...]:
    """Return the newest found CPython of each minor version that environments may have."""
    newest = {python.minor: python for python in find_pythons() if python.minor in SUPPORTED}
    return tuple(newest.values())


def missing() -> list[str]:
    """Return the minor versions that environments may have and that are not found."""
    return [minor for minor in SUPPORTED if minor not in {p.minor for p in newest_of_each()}]


@cache
def bundlable() -> tuple[Python, ...]:
    """Return the newest CPythons of each minor version that bring a shared library of their own."""
    return tuple(
        python
        for python in newest_of_each()
        if any(python.prefix.glob(f"lib/libpython{python.minor}.so.1.0"))
        and python.prefix != Path("/usr")
    )


@cache
def system_python() -> Python | None:
    """Return the system's own Python, if it is of an age that environments may have."""
    path = Path("/usr/bin/python3")
    if not path.exists():
        return None
    done = subprocess.run([path, "-I", "-c", QUESTION], capture_output=True, text=True, check=True)
    version, _, _, real = done.stdout.strip().split("|", 3)
    python = Python(version=version, path=Path(real))
    return python if python.minor in SUPPORTED else None
