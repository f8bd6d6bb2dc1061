"""Differences between the systems that an environment can target, behind one protocol.

The environment's interpreter determines the platform, not the system that runs the build.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from platform import machine
from typing import TYPE_CHECKING, Final, Protocol

from ..model.build_paths import BASE
from ..model.errors import InterpreterProblem
from ..model.formats import CompressionFormat
from ..model.plan import Findings
from .linux import check as linux_check
from .linux.requirements import LinuxFileRequirements
from .macos import check as macos_check
from .macos import detect as macos_detect
from .macos.requirements import MacosFileRequirements
from .posix.launchers import StartChecks
from .posix.rewriter import PosixRewriter
from .windows import check as windows_check
from .windows.requirements import WindowsFileRequirements

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..binary.headers import HeaderReader
    from ..model.build_paths import BuildPath
    from ..model.distribution import EntryPoint
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..model.interpreter import Bundle, Interpreter, Trim, Vendoring
    from ..model.requirements import FileRequirements, PlatformRequirements


class Rewriter(Protocol):
    """Rewrites small files that contain their own location."""

    def rewritten(self, arcname: str, content: bytes) -> bytes | None:
        """Return a file without build paths, or `None` to leave it unchanged."""
        ...

    def problems(self, arcname: str, content: bytes) -> Iterator[str]:
        """Yield a sentence for each part of a rewritten file that cannot be valid on the target."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteRules:
    """The rules for a rewriter.

    Parameters:
        entry_points: the entry points of packed distributions, by name.
        own_lines: lines of path files that belong to editable installs and are handled elsewhere.
        layers: the layers that path files may point to.
        needs: the requirements that launchers check before they start anything.
        bundled: whether the archive contains the interpreter.
    """

    entry_points: Mapping[str, tuple[EntryPoint, ...]]
    own_lines: frozenset[str]
    layers: tuple[Path, ...]
    needs: PlatformRequirements
    bundled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """A request to bundle an interpreter.

    Parameters:
        scanned: all entries of the environment.
        packed: its packed entries, and those of the wheels overlaid on it.
        headers: the reader of binary headers, with what it has cached.
        brings_back: whether a pattern brings back an arcname that `trim` leaves out.
    """

    scanned: Sequence[ScannedEntry]
    packed: Sequence[ScannedEntry]
    trim: Trim
    vendoring: Vendoring
    headers: HeaderReader
    brings_back: Callable[[str], bool] | None = None


class Platform(Protocol):
    """A system that an environment can target; each has its own folder next to this module."""

    debris: re.Pattern[str] | None
    """Matches the arcnames of unwanted files that the system's file manager leaves behind."""

    def markers(self, interpreter: Interpreter) -> dict[str, str]:
        """Return the environment markers (PEP 508) that this machine's Python would get wrong."""
        ...

    def wheel_platforms(self, interpreter: Interpreter) -> list[str] | None:
        """Return the wheel platforms that an environment accepts.

        `None` means those of this machine, which alone determines their order and how recent they
        may be.
        """
        ...

    def requirements(
        self, entries: Iterable[ScannedEntry], interpreter: Interpreter, headers: HeaderReader
    ) -> FileRequirements:
        """Read what files require of the target's system."""
        ...

    def bundle(self, environment: Environment, request: BundleRequest) -> Bundle:
        """Collect everything an environment's archive needs to include its own interpreter.

        Raises:
            InterpreterProblem: if the base interpreter cannot be bundled.
        """
        ...

    def libraries_of_target(
        self, environment: Environment, packed: Sequence[ScannedEntry], headers: HeaderReader
    ) -> list[dict[str, str]]:
        """Return the libraries that a target must have if it provides the interpreter."""
        ...

    def rewriter(self, environment: Environment, rules: RewriteRules) -> Rewriter:
        """Return the rewriter for an environment's small files."""
        ...

    def check(
        self,
        entries: Mapping[str, Entry],
        files: FileRequirements,
        build_paths: Iterable[BuildPath],
        environment: Environment,
        *,
        bundled: bool,
    ) -> Findings:
        """Return what keeps planned entries from working on the system, and notes for the user."""
        ...


class _Posix:
    """What Linux and macOS have in common."""

    def rewriter(self, environment: Environment, rules: RewriteRules) -> Rewriter:
        """Return the rewriter for an environment's small files."""
        return PosixRewriter(
            environment=environment,
            entry_points=rules.entry_points,
            own_lines=rules.own_lines,
            layers=rules.layers,
            checks=StartChecks(
                connecting="" if rules.bundled else environment.interpreter.executable_name,
                shell=rules.needs.start_check(),
                python=rules.needs.check(),
            ),
        )


class _Linux(_Posix):
    """Linux, which is also the fallback for systems that have no platform here."""

    debris: re.Pattern[str] | None = None

    def markers(self, interpreter: Interpreter) -> dict[str, str]:
        """Return the kernel's machine for a 32-bit interpreter: pip compares markers with it."""
        return {"platform_machine": machine()} if interpreter.pointer_bits == 32 else {}

    def wheel_platforms(self, interpreter: Interpreter) -> None:
        """Return `None`: this machine's own."""

    def requirements(
        self, entries: Iterable[ScannedEntry], interpreter: Interpreter, headers: HeaderReader
    ) -> FileRequirements:
        """Read what ELF files require of glibc, musl and libstdc++."""
        return LinuxFileRequirements.read(entries, interpreter.executable, headers)

    def bundle(self, environment: Environment, request: BundleRequest) -> Bundle:
        """Collect the interpreter, its libraries and their licences."""
        from .linux.bundle import make_bundle  # saves target mode a tenth of a second

        return make_bundle(
            environment,
            request.scanned,
            packed=request.packed,
            trim=request.trim,
            vendoring=request.vendoring,
            headers=request.headers,
            brings_back=request.brings_back,
        )

    def libraries_of_target(
        self, environment: Environment, packed: Sequence[ScannedEntry], headers: HeaderReader
    ) -> list[dict[str, str]]:
        """Return the libraries that are neither packed nor part of glibc."""
        from .linux.libraries import libraries_needed_by

        return libraries_needed_by(packed, environment, headers)

    def check(
        self,
        entries: Mapping[str, Entry],
        files: FileRequirements,
        build_paths: Iterable[BuildPath],  # noqa: ARG002
        environment: Environment,
        *,
        bundled: bool,  # noqa: ARG002
    ) -> Findings:
        """Find modules that cannot be loaded; search paths are checked when they are written."""
        if not isinstance(files, LinuxFileRequirements):
            return Findings()
        return linux_check.check(entries, files, environment)


class _Macos(_Posix):
    """macOS."""

    debris: re.Pattern[str] | None = macos_check.FINDER_FILES

    def markers(self, interpreter: Interpreter) -> dict[str, str]:
        """Return the markers of a Mac."""
        return macos_detect.markers(interpreter)

    def wheel_platforms(self, interpreter: Interpreter) -> list[str] | None:
        """Return the wheel platforms of the newest macOS, or `None` if this machine is a Mac."""
        return macos_detect.wheel_platforms(interpreter)

    def requirements(
        self,
        entries: Iterable[ScannedEntry],
        interpreter: Interpreter,  # noqa: ARG002
        headers: HeaderReader,
    ) -> FileRequirements:
        """Read what Mach-O files require of macOS."""
        return MacosFileRequirements.read(entries, headers)

    def bundle(self, environment: Environment, request: BundleRequest) -> Bundle:
        """Collect a relocatable interpreter, unchanged."""
        from .macos.bundle import macos_bundle

        return macos_bundle(environment, request.scanned, request.trim, request.brings_back)

    def libraries_of_target(
        self,
        environment: Environment,  # noqa: ARG002
        packed: Sequence[ScannedEntry],  # noqa: ARG002
        headers: HeaderReader,  # noqa: ARG002
    ) -> list[dict[str, str]]:
        """Return none: `check` reports missing ones."""
        return []

    def check(
        self,
        entries: Mapping[str, Entry],
        files: FileRequirements,
        build_paths: Iterable[BuildPath],
        environment: Environment,  # noqa: ARG002
        *,
        bundled: bool,
    ) -> Findings:
        """Find colliding names, and libraries missing from the paths that files load them from."""
        # Without a bundle, the target may have the base interpreter at the same path.
        paths = (os.fsdecode(each.path) for each in build_paths if bundled or each.kind != BASE)
        return macos_check.check(entries, files, paths)


class _Windows:
    """Windows."""

    debris: re.Pattern[str] | None = None

    def markers(self, interpreter: Interpreter) -> dict[str, str]:
        """Return the markers of Windows."""
        machine = _WINDOWS_MACHINES[interpreter.machine]
        return {"os_name": "nt", "platform_system": "Windows", "platform_machine": machine}

    def wheel_platforms(self, interpreter: Interpreter) -> list[str]:
        """Return the only platform that its wheels can have."""
        return [interpreter.platform_tag]

    def requirements(
        self, entries: Iterable[ScannedEntry], interpreter: Interpreter, headers: HeaderReader
    ) -> FileRequirements:
        """Read what programs and libraries require of Windows."""
        return WindowsFileRequirements.read(entries, interpreter, headers)

    def bundle(self, environment: Environment, request: BundleRequest) -> Bundle:
        """Collect an installation, unchanged."""
        from .windows.bundle import windows_bundle

        return windows_bundle(
            environment,
            request.scanned,
            packed=request.packed,
            trim=request.trim,
            brings_back=request.brings_back,
        )

    def libraries_of_target(
        self,
        environment: Environment,  # noqa: ARG002
        packed: Sequence[ScannedEntry],  # noqa: ARG002
        headers: HeaderReader,  # noqa: ARG002
    ) -> list[dict[str, str]]:
        """Return none: whether they load cannot be tried here."""
        return []

    def rewriter(self, environment: Environment, rules: RewriteRules) -> Rewriter:
        """Return the rewriter for launchers, path files and data files."""
        from .windows.rewriter import WindowsRewriter

        last = {name: points[-1] for name, points in rules.entry_points.items()}
        return WindowsRewriter.of(
            environment, last, bundled=rules.bundled, passed_over=rules.own_lines
        )

    def check(
        self,
        entries: Mapping[str, Entry],
        files: FileRequirements,  # noqa: ARG002
        build_paths: Iterable[BuildPath],  # noqa: ARG002
        environment: Environment,  # noqa: ARG002
        *,
        bundled: bool,  # noqa: ARG002
    ) -> Findings:
        """Find names that Windows cannot store."""
        return windows_check.check(entries)


_WINDOWS_MACHINES: Final = {"amd64": "AMD64", "arm64": "ARM64", "win32": "x86"}
_LINUX: Final = _Linux()
_PLATFORMS: Final[Mapping[str, Platform]] = {"win32": _Windows(), "darwin": _Macos()}
_ELSEWHERE: Final = {"win32": ("Windows", "on Windows"), "darwin": ("macOS", "on a Mac")}


def platform_of(interpreter: Interpreter) -> Platform:
    """Return the platform that an interpreter is for."""
    return _PLATFORMS.get(interpreter.system, _LINUX)


def check_possible(
    environment: Environment,
    *,
    bytecode: str,
    fixed_path: bool,
    formats: Collection[CompressionFormat] = (),
) -> None:
    """Refuse options that are impossible for an environment of another system.

    Parameters:
        bytecode: the option's value.
        fixed_path: whether the interpreter has a fixed path on the target.
        formats: the archives' formats.

    Raises:
        InterpreterProblem: if one is impossible; the message says what to set instead.
    """
    if bytecode != "none" and not environment.interpreter.is_here:
        raise InterpreterProblem(
            f"the interpreter of {environment.requested} does not run on this machine and cannot"
            ' compile bytecode: set bytecode = "none", or recreate the environment with an'
            " interpreter that is installed here"
        )
    if bytecode != "none" and not environment.runs_here:
        system, there = _ELSEWHERE[environment.interpreter.system]
        raise InterpreterProblem(
            f"{environment.requested} is a {system} environment, whose Python cannot compile"
            f' bytecode on this machine: set bytecode = "none", or pack {there}'
        )
    if fixed_path and environment.is_windows:
        raise InterpreterProblem(
            f"{environment.requested} is a Windows environment, where a link to an interpreter at a"
            ' fixed path is not possible: set interpreter = "bundled" or "target"'
        )
    if CompressionFormat.SQUASHFS in formats and environment.is_windows:
        raise InterpreterProblem(
            f"{environment.requested} is a Windows environment, and Windows cannot mount squashfs:"
            " choose another format"
        )
    if CompressionFormat.RUN in formats and environment.is_windows:
        raise InterpreterProblem(
            f"{environment.requested} is a Windows environment, and run files need a POSIX shell:"
            " choose another format"
        )
    if CompressionFormat.OCI in formats and environment.interpreter.system != "linux":
        raise InterpreterProblem(
            f"{environment.requested} is not a Linux environment, which images require: choose"
            " another format"
        )
