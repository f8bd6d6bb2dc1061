"""Linux environments whose interpreter is not on this machine, read from the tree itself.

The facts come from `pyvenv.cfg` or venvstacks' file, from the names in the tree and from the
headers of its compiled modules. The layout is that of every POSIX system.
"""

from __future__ import annotations

import os
import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...binary.elf import ElfHeaders
from ...binary.headers import HeaderReader
from ...metadata.files import read_json
from ...model.errors import EnvironmentProblem
from ...model.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


VENVSTACKS: Final = "share/venv/metadata/venvstacks_layer.json"
"""The file that venvstacks writes into each layer that it builds."""
_LIMIT: Final = 1 << 20
_VERSION: Final = re.compile(r"(\d+\.\d+)\.\d+\S*")
_MODULE: Final = re.compile(r".+\.cpython-\d+(?P<flags>[a-z]*)-.+\.so")
_LIBRARY: Final = re.compile(r".+\.so(\.\d+)*")

# The names that `uname -m` gives, by e_machine (elf.h) and class.
_MACHINES: Final[Mapping[tuple[int, bool], str]] = {
    (3, False): "i686",
    (21, True): "ppc64le",
    (22, True): "s390x",
    (40, False): "armv7l",
    (62, True): "x86_64",
    (183, True): "aarch64",
    (243, True): "riscv64",
    (258, True): "loongarch64",
}


def is_stack_layer(prefix: Path) -> bool:
    """Return whether venvstacks built a folder; its layers have no `pyvenv.cfg` at first."""
    return (prefix / VENVSTACKS).is_file()


def is_installation(prefix: Path) -> bool:
    """Return whether a folder is an interpreter's own prefix: it has the standard library."""
    found = (prefix / lib for lib in ("lib", "lib64"))
    return any(next(lib.glob("python3.*/os.py"), None) is not None for lib in found)


def interpreter_of(
    prefix: Path, config: Mapping[str, str], site_packages: str, executable: Path
) -> Interpreter:
    """Return the known facts about an environment's interpreter without running it.

    Parameters:
        config: the keys of its `pyvenv.cfg`.
        site_packages: arcname of its first site-packages folder.
        executable: where the interpreter should be.

    Raises:
        EnvironmentProblem: if the stated version is not that of the Python its packages are for.
    """
    name = site_packages.split("/")[1]
    minor = name.removeprefix("python").removesuffix("t")
    assumed: list[str] = []
    version = _version(prefix, config, minor)
    if version is None:
        version = minor
        assumed.append(f"nothing in {prefix} states its full Python version: {minor} was recorded")
    compiled = _Compiled.read(prefix / "lib")
    if compiled is None:
        compiled = _Compiled(machine=platform.machine(), pointer_bits=struct.calcsize("P") * 8)
        if any(prefix.glob("lib*/**/*.so")):
            assumed.append(
                f"the machine that {prefix} is compiled for is not known: {compiled.machine} was"
                " recorded"
            )
    digits = minor.replace(".", "")
    base = executable.parent.parent
    return Interpreter(
        version=version,
        minor=minor,
        implementation=config.get("implementation", "cpython").lower(),
        abi=f"cp{digits}{'t' if name.endswith('t') else ''}{'d' if compiled.is_debug else ''}",
        cache_tag=f"cpython-{digits}",
        pointer_bits=compiled.pointer_bits,
        system="linux",
        machine=compiled.machine,
        platform=f"linux-{compiled.machine}",
        executable=executable,
        base_prefix=base,
        stdlib=base / "lib" / name,
        platlibdir="lib",
        is_here=False,
        assumed=tuple(assumed),
    )


def _version(prefix: Path, config: Mapping[str, str], minor: str) -> str | None:
    told = [config.get(key, "") for key in ("version", "version_info")]
    try:
        layer = read_json(prefix / VENVSTACKS, _LIMIT)
    except (OSError, ValueError):
        layer = None
    if isinstance(layer, dict):
        told.append(str(layer.get("py_version")))
    found = [match for text in told if (match := _VERSION.fullmatch(text))]
    if found and found[0][1] != minor:
        raise EnvironmentProblem(
            f"{prefix} contains packages for Python {minor}, but was created with Python"
            f" {found[0][0]}: remove it and create it again"
        )
    # virtualenv and uv add the release level: 3.12.1.final.0
    return found[0][0].partition(".final")[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """What compiled modules reveal about the interpreter."""

    machine: str
    pointer_bits: int
    is_debug: bool = False

    @classmethod
    def read(cls, folder: Path) -> _Compiled | None:
        """Read the headers of the first library that is for a known machine."""
        reader = HeaderReader()
        for path in _libraries(folder):
            headers = reader.of_content(path)
            if not isinstance(headers, ElfHeaders):
                continue
            machine = _MACHINES.get((headers.machine, headers.wide))
            if machine is not None:
                module = _MODULE.fullmatch(path.name)
                return cls(
                    machine=machine,
                    pointer_bits=64 if headers.wide else 32,
                    is_debug=module is not None and "d" in module["flags"],
                )
        return None


def _libraries(folder: Path) -> Iterator[Path]:
    """Yield compiled modules and libraries; modules whose names state an ABI come first."""
    others = []
    for above, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if _MODULE.fullmatch(name):
                yield Path(above, name)
            elif _LIBRARY.fullmatch(name):
                others.append(Path(above, name))
    yield from others
