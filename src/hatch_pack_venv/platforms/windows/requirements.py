"""Minimum requirements on a Windows target.

A file's header states the minimum Windows version requested from its linker, which is usually far
below what CPython itself supports; the higher of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...binary.headers import HeaderReader
from ...binary.pe import PeFile
from ...model.entries import with_copies
from ...model.requirements import FileRequirements, PlatformRequirements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...model.entries import Content, ScannedEntry
    from ...model.interpreter import Interpreter


Version: TypeAlias = tuple[int, int]

# "Using Python on Windows" of each CPython: 8.1 for 3.9 to 3.12, 10 from 3.13 on (PEP 11).
_OLD_CPYTHON, _WINDOWS_8_1, _WINDOWS_10 = (3, 12), (6, 3), (10, 0)
_NAMES: Final = {(6, 0): "Vista", (6, 1): "7", (6, 2): "8", (6, 3): "8.1", (10, 0): "10"}
_CODE: Final = (".pyd", ".dll", ".exe")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsRequirements(PlatformRequirements):
    """The combined requirements of all packed files.

    Parameters:
        windows: the minimum version.
        file: the file that requires it.
    """

    windows: Version
    file: str

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest records about the platform."""
        name = _NAMES.get(self.windows, "{}.{}".format(*self.windows))
        return {"tag": tag, "windows": {"version": name, "file": self.file}}

    def check(self) -> str:
        """Return nothing: Windows itself rejects a program that is too new for it."""
        return ""


@dataclass(frozen=True)
class WindowsFileRequirements(FileRequirements):
    """What files require of Windows, by content.

    Parameters:
        versions: those that the files for the interpreter's machine require.
        interpreter: the environment's.
    """

    versions: Mapping[Content, Version] | None = None
    interpreter: Interpreter | None = None

    @classmethod
    def read(
        cls, entries: Iterable[ScannedEntry], interpreter: Interpreter, headers: HeaderReader
    ) -> WindowsFileRequirements:
        """Read all programs and libraries among entries and their copies."""
        code = [each for each in with_copies(entries) if each.arcname.lower().endswith(_CODE)]
        found = headers.all_of(code)
        return cls(
            versions={
                content: file.version
                for content, file in found.items()
                if isinstance(file, PeFile) and file.machine == interpreter.machine
            },
            interpreter=interpreter,
        )

    def of(self, entries: Iterable[ScannedEntry]) -> WindowsRequirements:
        """Return the combined requirements of entries, including CPython's own."""
        versions, python = self.versions or {}, self.interpreter
        minor = "3.13" if python is None else python.minor
        is_old = tuple(map(int, minor.split("."))) <= _OLD_CPYTHON
        found = {f"CPython {minor}": _WINDOWS_8_1 if is_old else _WINDOWS_10}
        for entry in with_copies(entries):
            if entry.content in versions:
                found[entry.arcname] = versions[entry.content]
        highest = max(found.values())
        # A file that requires no more than CPython does is not the deciding one.
        file = next(name for name, version in found.items() if version == highest)
        return WindowsRequirements(windows=highest, file=file)


def read_headers(content: Content) -> PeFile | None:
    """Return a file's headers, or `None` if it is not a Windows program or library."""
    headers = HeaderReader().of_content(content)
    return headers if isinstance(headers, PeFile) else None
