"""Why something that runs in the environment fails in the archive, if there is a rule for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


_MODULE: Final = re.compile(r"No module named '([\w.]+)'")
_NAME: Final = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_LIBRARY: Final = re.compile(r"([\w.+-]+\.so[\w.]*): cannot open shared object file")
_OPENED: Final = re.compile(
    r"\b(?:find|locate|load)\b[^:]{0,30}?\b(lib(?!rar)[\w+-]+)\b", re.IGNORECASE
)
_TIME_ZONE: Final = re.compile(r"No time zone found with key")
_VERSION: Final = re.compile(r"(\S+): version [`'](\S+)' not found")
_FILE: Final = re.compile(r"No such file or directory: '([^']+)'")
_VARIABLE: Final = re.compile(r"KeyError: '(\w+)'")
_LOCKED: Final = re.compile(r"Read-only file system: '([^']+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known about an archive.

    Parameters:
        root: its path in the room.
        folders: arcnames of the folders that modules are imported from.
        left_out: why files of the environment are not in it, by arcname.
        hidden: paths that were hidden.
        left: libraries that are left to the target.
        variables: names of environment variables that were not set in the room.
    """

    root: str
    folders: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()

    def cause(self, said: str) -> str | None:
        """Return the cause of a failure and what to do about it, or `None` if it is unknown."""
        return next(self._causes(said), None)

    def _causes(self, said: str) -> Iterator[str]:
        if match := _MODULE.search(said):
            yield from self._left_out_module(match[1])
        if match := _NAME.search(said):
            yield from self._left_out_module(f"{match[2]}.{match[1]}")
        if match := _FILE.search(said):
            yield from self._left_out([match[1].removeprefix(f"{self.root}/")])
        if match := _LIBRARY.search(said):
            yield self._missing_library(match[1])
        elif match := _OPENED.search(said):
            yield (
                f"{match[1]} is opened by name at run time, which cannot be detected beforehand:"
                " copy it into the environment's lib folder before packing"
            )
        if _TIME_ZONE.search(said):
            yield "a system without time zone data needs the distribution tzdata: install it"
        if match := _VERSION.search(said):
            yield (
                f"something packed needs {match[2]}, which the first {match[1]} found does not"
                " have: build it against an older version, or pack the newer one"
            )
        if (match := _VARIABLE.search(said)) and match[1] in self.variables:
            yield f"the variable {match[1]} is set on the build machine but not in the room"
        for path in self.hidden:
            if path in said:
                yield f"it names {path}, which only the build machine has"
        if match := _LOCKED.search(said):
            yield f"it writes to {match[1]}, but the archive is on a read-only file system"

    def _missing_library(self, name: str) -> str:
        if name in self.left:
            return f"{name} is left to the target, which must provide it"
        return (
            f"{name} is neither in the archive nor in a standard location: use a wheel that"
            " contains it, or with a bundled interpreter let vendor-libraries include it"
        )

    def _left_out_module(self, module: str) -> Iterator[str]:
        path = module.replace(".", "/")
        yield from self._left_out(f"{folder}/{path}" for folder in self.folders)

    def _left_out(self, places: Iterable[str]) -> Iterator[str]:
        for place in places:
            for name, why in self.left_out.items():
                if name == place or name.startswith((f"{place}/", f"{place}.")):
                    yield (
                        f"{name} was left out ({why}): bring it back with include-files, or change"
                        " what leaves it out"
                    )
                    return
