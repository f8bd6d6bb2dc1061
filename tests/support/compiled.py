"""Shared libraries made by the C compiler, for what only real files show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.environments import run

if TYPE_CHECKING:
    from pathlib import Path


def compile_library(path: Path, *flags: str, source: str = "int x;") -> Path:
    """Compile a shared library.

    Parameters:
        flags: of gcc, after the source: `-Wl,-rpath,…`, `-lz`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_suffix(".c")
    text.write_text(source)
    run("gcc", "-g", "-shared", "-fPIC", "-o", path, text, f"-Wl,-soname,{path.name}", *flags)
    text.unlink()
    return path


def rpath(folder: str) -> tuple[str, str]:
    """Return the flags that give a library a DT_RPATH."""
    return (f"-Wl,-rpath,{folder}", "-Wl,--disable-new-dtags")


def runpath(folder: str) -> tuple[str, str]:
    """Return the flags that give a library a DT_RUNPATH."""
    return (f"-Wl,-rpath,{folder}", "-Wl,--enable-new-dtags")
