"""What differs by the system that an environment is for, told from its interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..model.errors import InterpreterProblem
from .linux.requirements import LinuxFileRequirements
from .macos import detect as macos_detect
from .macos.requirements import MacosFileRequirements
from .windows.requirements import WindowsFileRequirements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..binary.headers import HeaderReader
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment
    from ..model.interpreter import Interpreter
    from ..model.requirements import FileRequirements


_WINDOWS: Final = {"os_name": "nt", "platform_system": "Windows"}
_WINDOWS_MACHINES: Final = {"amd64": "AMD64", "arm64": "ARM64", "win32": "x86"}
_SYSTEMS: Final = {"win32": ("Windows", "on Windows"), "darwin": ("macOS", "on a Mac")}


def check_possible(environment: Environment, *, bytecode: str, fixed_path: bool) -> None:
    """Refuse what cannot be done for an environment of another system.

    Parameters:
        bytecode: the option's value.
        promised: whether the interpreter is promised at a path.

    Raises:
        InterpreterProblem: says what to set instead.
    """
    if bytecode != "none" and not environment.runs_here:
        system, there = _SYSTEMS[environment.interpreter.system]
        raise InterpreterProblem(
            f"{environment.requested} is an environment of {system}, whose Python compiles nothing"
            f' here: set bytecode = "none", or pack {there}'
        )
    if fixed_path and environment.is_windows:
        raise InterpreterProblem(
            f"{environment.requested} is an environment of Windows, where no link can name a"
            " promised"
            ' interpreter: set interpreter = "bundled" or "target"'
        )


def marker_facts(interpreter: Interpreter) -> dict[str, str]:
    """Return the environment markers (PEP 508) that this machine's Python would tell wrongly."""
    if interpreter.is_windows:
        return _WINDOWS | {"platform_machine": _WINDOWS_MACHINES[interpreter.machine]}
    return macos_detect.markers(interpreter)


def wheel_platforms(interpreter: Interpreter) -> list[str] | None:
    """Return the platforms of wheels that an environment may hold.

    `None` for this machine's own, whose order and age only it knows.
    """
    if interpreter.is_windows:
        return [interpreter.platform_tag]
    return macos_detect.wheel_platforms(interpreter)


def read_floors(
    entries: Iterable[ScannedEntry], interpreter: Interpreter, headers: HeaderReader
) -> FileRequirements:
    """Read what files ask of the target's system."""
    if interpreter.is_windows:
        return WindowsFileRequirements.read(entries, interpreter, headers)
    if interpreter.system == "darwin":
        return MacosFileRequirements.read(entries, headers)
    return LinuxFileRequirements.read(entries, interpreter.executable, headers)
