"""What an environment's Python says of itself.

The interpreter is asked in a process of its own with `-I -S -B`: isolated from the user's
settings, without `site` (so that no `.pth` file of the environment runs), and without writing byte
code beside the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from .errors import EnvironmentProblem

_TIMEOUT: Final = 60  # seconds; a cold start from a slow network disk takes a few

# Runs on CPython 3.6 and later, so that a version that is too old can say which one it is.
_QUESTIONS: Final = """
import json, os, platform, site, struct, sys, sysconfig
var = sysconfig.get_config_var
sys.prefix = sys.base_prefix
try:
    with open("/proc/self/maps") as maps:
        loaded = [line.split(None, 5)[5].strip() for line in maps if "/libpython" in line]
except OSError:
    loaded = []
base = getattr(sys, "_base_executable", None)
if sys.version_info < (3, 11) or not base:
    base = sys.executable
free_threaded = "t" if var("Py_GIL_DISABLED") else ""
print(json.dumps({
    "version": platform.python_version(),
    "minor": "%d.%d" % sys.version_info[:2],
    "implementation": sys.implementation.name,
    "abi": "cp%d%d%s%s" % (sys.version_info[:2]
                           + (free_threaded, "d" if hasattr(sys, "gettotalrefcount") else "")),
    "cache_tag": sys.implementation.cache_tag,
    "pointer_bits": struct.calcsize("P") * 8,
    "system": sys.platform,
    "machine": sysconfig.get_platform().split("-")[-1],
    "platform": sysconfig.get_platform(),
    "executable": os.path.realpath(base),
    "base_prefix": os.path.realpath(sys.base_prefix),
    "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
    "platlibdir": getattr(sys, "platlibdir", "lib"),
    "library": (loaded or [None])[0],
    "site_packages": [os.path.realpath(path) for path in site.getsitepackages([sys.base_prefix])],
    "include": os.path.realpath(sysconfig.get_path("include")),
    "wheel_folder": var("WHEEL_PKG_DIR"),
    "debian": "deb_system" in sysconfig.get_scheme_names(),
}))
"""

_PATHS: Final = ("executable", "base_prefix", "stdlib", "library", "include", "wheel_folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """Facts about a base interpreter.

    Parameters:
        version: complete, `3.11.7`.
        minor: `3.11`.
        abi: as in wheel tags, with `t` for a free-threaded and `d` for a debug build: `cp313t`.
        cache_tag: as in the names of byte code files, `cpython-311`.
        pointer_bits: 32 or 64.
        system: `sys.platform`.
        machine: `x86_64`, `aarch64`, …
        platform: as `sysconfig.get_platform()`, `linux-x86_64`.
        executable: the base interpreter itself, no link.
        base_prefix: where it is installed, no link.
        stdlib: its standard library, no link.
        platlibdir: `lib`, or `lib64` on Fedora's kind of systems.
        library: the libpython that it runs from, if it is not part of the executable.
        site_packages: where it looks for packages of its own.
        include: its headers.
        wheel_folder: where `ensurepip` finds its wheels, if not in itself (Debian, Fedora).
        debian: whether it is the system Python of Debian or Ubuntu, whose packages lie in
            `dist-packages`.
    """

    version: str
    minor: str
    implementation: str
    abi: str
    cache_tag: str
    pointer_bits: int
    system: str
    machine: str
    platform: str
    executable: Path
    base_prefix: Path
    stdlib: Path
    platlibdir: str
    library: Path | None = None
    site_packages: tuple[Path, ...] = ()
    include: Path | None = None
    wheel_folder: Path | None = None
    debian: bool = False

    @classmethod
    def from_executable(cls, executable: Path) -> Self:
        """Ask an interpreter for its facts.

        Raises:
            EnvironmentProblem: it cannot be started, or is no CPython 3.9 or later.
        """
        facts = _ask(executable)
        paths = {key: Path(facts[key]) for key in _PATHS if facts[key] is not None}
        sites = tuple(dict.fromkeys(map(Path, facts["site_packages"])))
        interpreter = cls(**{**facts, **paths, "site_packages": sites})
        interpreter.check_supported(executable)
        return interpreter

    @property
    def free_threaded(self) -> bool:
        """Whether this is a build without the global interpreter lock (PEP 703)."""
        return "t" in self.abi.removeprefix("cp")

    @property
    def is_windows(self) -> bool:
        """Whether it runs on Windows."""
        return self.system == "win32"

    @property
    def platform_tag(self) -> str:
        """The platform as in wheel tags."""
        return self.platform.replace("-", "_").replace(".", "_")

    @property
    def executable_name(self) -> str:
        """The interpreter's own name in the scripts folder, `python3.11` or `python3.13t`."""
        if self.is_windows:
            return "python.exe"
        return f"python{self.minor}{'t' if self.free_threaded else ''}"

    def check_supported(self, executable: Path) -> None:
        """Refuse another implementation and old versions.

        Parameters:
            executable: what to name.

        Raises:
            EnvironmentProblem: it is no CPython 3.9 or later.
        """
        minor = tuple(int(part) for part in self.minor.split("."))
        if self.implementation != "cpython" or minor < (3, 9):
            raise EnvironmentProblem(
                f"{executable} is {self.implementation} {self.version}; only environments of"
                " CPython 3.9 and later can be packed"
            )


def _ask(executable: Path) -> dict[str, Any]:
    command = [str(executable), "-I", "-S", "-B", "-c", _QUESTIONS]
    # By it a framework's Python on macOS would take itself for the one that runs this.
    environ = {key: os.environ[key] for key in os.environ if key != "__PYVENV_LAUNCHER__"}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, env=environ
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(
            f"{executable} cannot be started ({error}): repair or recreate the environment"
        ) from error
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(
            f"{executable} does not run (exit status {answer.returncode}: {reason}): repair or"
            " recreate the environment"
        )
    facts: dict[str, Any] = json.loads(answer.stdout)
    return facts
