"""The packers that are compared, each as a command that writes one file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VENVSTACKS = """
import sys
from venvstacks.pack_venv import CompressionFormat, create_archive
prefix, base, format = sys.argv[1:]
try:
    create_archive(prefix, base, format=CompressionFormat(format), show_progress=False)
except AssertionError:
    pass  # after the archive is written: its name is not the platform's default one
"""
# conda-pack packs conda environments only; this gives its writer the same files.
_CONDA_PACK = """
import os, sys
from conda_pack.formats import archive
prefix, output, format = sys.argv[1:]
with open(output, "wb") as stream, archive(stream, prefix, "env", format, n_threads=2) as writer:
    for folder, folders, files in os.walk(prefix):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            writer.add(path, os.path.relpath(path, prefix))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A packer of one format.

    Parameters:
        name: `ours` for this project.
        command: may contain `{prefix}`, `{base}` (the output without its suffix) and `{output}`.
    """

    name: str
    suffix: str
    command: Sequence[str | Path]

    def filled(self, prefix: Path, base: Path) -> tuple[list[str], Path]:
        """Return the command for an environment, and the file it will write."""
        output = base.with_name(base.name + self.suffix)
        values = {"prefix": prefix, "base": base, "output": output, "parent": prefix.parent}
        # The source of a program has braces of its own.
        parts = [str(part) for part in self.command]
        filled = [
            part if "\n" in part else part.format(name=prefix.name, **values) for part in parts
        ]
        return filled, output


def ours(suffix: str, *options: str) -> Contender:
    """Return this project with one format and, as with the peers, the target's interpreter."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hatch_pack_venv",
        "pack",
        "{prefix}",
        "-o",
        "{base}",
        "-q",
    ]
    command += ["--interpreter", "target", "--format", suffix.removeprefix("."), *options]
    return Contender(name="ours", suffix=suffix, command=command)


def _shell(name: str, suffix: str, line: str) -> Contender:
    return Contender(name=name, suffix=suffix, command=["sh", "-c", line])


_TAR = "tar -C {parent} --exclude __pycache__ -c"


def contenders(peers: Path, zstd_level: int = 9) -> list[Contender]:
    """Return all packers, by format, ours first.

    Parameters:
        peers: the environment they are installed in.
    """
    programs = peers / "bin"
    python = programs / "python"

    def venvstacks(suffix: str, format: str) -> Contender:
        command: list[str | Path] = [python, "-c", _VENVSTACKS, "{prefix}", "{base}", format]
        return Contender(name="venvstacks", suffix=suffix, command=command)

    def conda_pack(suffix: str) -> Contender:
        command: list[str | Path] = [
            python,
            "-c",
            _CONDA_PACK,
            "{prefix}",
            "{output}",
            suffix.removeprefix("."),
        ]
        return Contender(name="conda-pack's writer, 2 threads", suffix=suffix, command=command)

    venv_pack: list[str | Path] = [
        programs / "venv-pack",
        "-q",
        "-f",
        "-p",
        "{prefix}",
        "-o",
        "{output}",
    ]
    pex: list[str | Path] = [programs / "pex", "--venv-repository", "{prefix}", "-o", "{output}"]
    return [
        ours(".tar"),
        _shell("tar", ".tar", f"{_TAR} -f {{output}} {{name}}"),
        ours(".tar.gz"),
        Contender(name="venv-pack2", suffix=".tar.gz", command=venv_pack),
        venvstacks(".tar.gz", "gzip"),
        conda_pack(".tar.gz"),
        ours(".tar.zst"),
        _shell(
            "tar | zstd", ".tar.zst", f"{_TAR} {{name}} | zstd -q -T2 -{zstd_level} >{{output}}"
        ),
        conda_pack(".tar.zst"),
        _shell(
            "mksquashfs",
            ".squashfs",
            "rm -f {output}; mksquashfs {prefix} {output} -comp zstd -Xcompression-level 10 -quiet"
            " -no-progress -processors 2",
        ),
        ours(".zip"),
        venvstacks(".zip", "zip"),
        Contender(name="pex", suffix=".zip", command=pex),
        ours(".tar.xz"),
        _shell("tar | xz", ".tar.xz", f"{_TAR} {{name}} | xz -T2 -6 >{{output}}"),
        venvstacks(".tar.xz", "xz"),
        conda_pack(".tar.xz"),
    ]
