"""The CPythons of this machine, and interpreters of other kinds that are made from one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from hatch_pack_venv.binary.elf import ElfFile
from support.environments import run, tool

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
        """Return X.Y."""
        return ".".join(self.version.split(".")[:2])

    @property
    def number(self) -> tuple[int, ...]:
        """Return the version as numbers."""
        return tuple(map(int, self.version.split(".")))

    @property
    def prefix(self) -> Path:
        """Return the folder that it is installed in."""
        return self.path.parent.parent


@cache
def find_pythons() -> tuple[Python, ...]:
    """Return every ordinary CPython 3 on PATH and from pyenv, one of each version, oldest first."""
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
    """Return the newest CPython found of each minor version that environments may have."""
    newest = {python.minor: python for python in find_pythons() if python.minor in SUPPORTED}
    return tuple(newest.values())


def missing() -> list[str]:
    """Return the minor versions that environments may have and that were not found."""
    return [minor for minor in SUPPORTED if minor not in {p.minor for p in newest_of_each()}]


@cache
def bundlable() -> tuple[Python, ...]:
    """Return the newest CPython of each minor version that has a shared library of its own."""
    return tuple(
        python
        for python in newest_of_each()
        if any(python.prefix.glob(f"lib/libpython{python.minor}.so.1.0"))
        and python.prefix != Path("/usr")
    )


@cache
def separate_python() -> Python | None:
    """Return the newest CPython in a folder of its own, which can be hidden."""
    newest = reversed(newest_of_each())
    return next((python for python in newest if python.prefix != Path("/usr")), None)


@cache
def system_python() -> Python | None:
    """Return the system's own Python, if it has a version that environments may have."""
    path = Path("/usr/bin/python3")
    if not path.exists():
        return None
    done = subprocess.run([path, "-I", "-c", QUESTION], capture_output=True, text=True, check=True)
    version, _, _, real = done.stdout.strip().split("|", 3)
    python = Python(version=version, path=Path(real))
    return python if python.minor in SUPPORTED else None


_LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "config-*", "idlelib")


def copy_prefix(python: Python, prefix: Path) -> Path:
    """Copy an installation without its tests, and return the copy's executable."""
    name = f"python{python.minor}"
    shutil.copytree(python.prefix / "lib" / name, prefix / "lib" / name, ignore=_LEFT_OUT)
    (prefix / "bin").mkdir()
    shutil.copy(python.prefix / "bin" / name, prefix / "bin" / name)
    for library in python.prefix.glob("lib/libpython*.so*"):
        shutil.copy(library, prefix / "lib" / library.name, follow_symlinks=False)
    return prefix / "bin" / name


def make_static(python: Python, prefix: Path) -> Path:
    """Make an installation whose executable contains all of CPython."""
    executable = copy_prefix(python, prefix)
    for library in prefix.glob("lib/libpython*"):
        library.unlink()
    executable.unlink()
    (config,) = python.prefix.glob(f"lib/python{python.minor}/config-*")
    archive = config / f"libpython{python.minor}.a"
    flags = ["-Wl,--export-dynamic", "-lpthread", "-ldl", "-lutil", "-lm"]
    run("gcc", "-o", executable, config / "python.o", archive, *flags)
    set_search_path(prefix, None)
    return executable


def set_search_path(prefix: Path, folder: str | None) -> None:
    """Give the files of an installation a search path below its own folder, or none at all.

    Parameters:
        folder: relative to the prefix.
    """
    for path in [*prefix.glob("bin/python3.*"), *prefix.glob("lib/**/*.so*")]:
        if path.is_symlink() or not path.is_file() or ElfFile.from_path(path) is None:
            continue
        if folder is None:
            run(tool("patchelf"), "--remove-rpath", path)
        else:
            relative = os.path.relpath(prefix / folder, path.parent)
            run(tool("patchelf"), "--set-rpath", f"$ORIGIN/{relative}", path)


def make_conda_like(python: Python, prefix: Path) -> Path:
    """Make an installation like a conda environment's: own libraries, relative search paths.

    Documented layout: `bin/python3.X` static, `lib/lib*.so`, `conda-meta/*.json`.
    """
    executable = make_static(python, prefix)
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for name in ("libz.so.1", "libffi.so.8", "libcrypto.so.3", "libssl.so.3"):
        found = next(line.split()[-1] for line in listed.splitlines() if line.split()[:1] == [name])
        shutil.copyfile(Path(found).resolve(), prefix / "lib" / name)
    set_search_path(prefix, "lib")
    record = {
        "name": "openssl",
        "version": "3.0.99",
        "license": "Apache-2.0",
        "files": ["lib/libcrypto.so.3", "lib/libssl.so.3"],
    }
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/openssl-3.0.99-0.json").write_text(json.dumps(record))
    return executable


IMPORT_ALL: Final = """
import contextlib, io, os, sys, warnings
warnings.simplefilter("ignore")
folder = os.path.dirname(os.__file__)
names = set(sys.builtin_module_names)
left_out = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib",
            "turtledemo"}
for base, folders, files in os.walk(folder):
    folders[:] = [f for f in folders if f not in left_out and not f.startswith("config-")]
    package = os.path.relpath(base, folder).replace(os.sep, ".") + "."
    package = "" if package in ("..", "lib-dynload.") else package
    for file in files:
        stem = file.split(".")[0]
        if file.endswith((".py", ".so")) and stem not in ("__main__", "antigravity"):
            names.add((package + stem).removesuffix(".__init__"))
for name in sorted(names):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            __import__(name)
    except BaseException as error:
        print("-", name, type(error).__name__, error)
    else:
        print("+", name)
"""
"""A program that prints a line for each module, `+ name` or `- name reason`."""


def imported(output: str) -> set[str]:
    """Return the modules that were imported."""
    return {line[2:] for line in output.splitlines() if line.startswith("+ ")}


def failed(output: str) -> dict[str, str]:
    """Return why modules could not be imported."""
    lines = [line[2:] for line in output.splitlines() if line.startswith("- ")]
    return {line.split()[0]: line for line in lines}
