"""Shared libraries made by the C compiler, for what only real files show."""

from __future__ import annotations

import shutil
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


def compile_needing_glibc(
    path: Path, version: str, *, node: str = "GLIBC", library: str = "libc.so.6", source: str = ""
) -> Path:
    """Compile a shared library that needs a version of symbols which a library here may not have.

    Parameters:
        node: what stands before the version: `GLIBC`, `GLIBCXX`.
        library: which library is asked for it.
        source: of the library, besides the use of that symbol.
    """
    aside = path.parent / f"{path.stem}-future"
    aside.mkdir(parents=True)
    versions = aside / "versions"
    versions.write_text(f"{node}_{version} {{ of_the_future; }};\n")
    future = compile_library(
        aside / library,
        "-nostdlib",
        f"-Wl,--version-script={versions}",
        source="int of_the_future(void) { return 1; }",
    )
    use = "int of_the_future(void);\nint (*used)(void) = of_the_future;\n"
    compile_library(path, "-nostdlib", str(future), source=use + source)
    shutil.rmtree(aside)
    return path
