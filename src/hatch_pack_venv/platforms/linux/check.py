"""Extension modules that the interpreter cannot load, found before anything is packed.

Installers never choose such a wheel; an environment gets one through `pip --platform`, a copy of
another machine's site-packages, or a lock file that was resolved elsewhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...model.entries import FileEntry
from ...model.plan import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ...model.entries import Entry
    from ...model.environment import Environment
    from .requirements import LinuxFileRequirements

# The file names that CPython gives extension modules, which state what they are for.
_MODULE: Final = re.compile(
    r"(?:^|/)(?P<stem>[^/.]+)\.(?:cpython-(?P<abi>\d+[a-z]*)|abi3)(?:-[^/.]+)?\.so\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """A module and why the interpreter cannot load it; `None` if it can."""

    arcname: str
    misfit: str | None


def check(
    entries: Mapping[str, Entry], files: LinuxFileRequirements, environment: Environment
) -> Findings:
    """Find packages with a module of which no variant fits the interpreter.

    A wheel may hold variants for several machines and Pythons: one that fits is enough.
    """
    variants: dict[tuple[str, str], list[_Module]] = defaultdict(list)
    for entry in entries.values():
        match = _MODULE.search(entry.arcname) if entry.arcname.endswith(".so") else None
        package = _package_of(entry.arcname, environment.site_packages) if match else None
        if package is not None and match is not None and isinstance(entry, FileEntry):
            misfit = files.misfit(entry) or _other_abi(match["abi"], environment)
            module = _Module(arcname=entry.arcname, misfit=misfit)
            variants[package, match["stem"]].append(module)
    lost: dict[str, list[_Module]] = defaultdict(list)
    for (package, _), modules in variants.items():
        if all(module.misfit for module in modules):
            lost[package].append(modules[0])
    return Findings(problems=tuple(_told(lost.values(), environment)))


def _package_of(arcname: str, site_packages: Sequence[str]) -> str | None:
    """Return the top-level folder or file in site-packages that a file belongs to."""
    for site in site_packages:
        if arcname.startswith(f"{site}/"):
            return arcname.removeprefix(f"{site}/").partition("/")[0].partition(".")[0]
    return None


def _other_abi(abi: str | None, environment: Environment) -> str | None:
    own = environment.interpreter.abi.removeprefix("cp")
    return None if abi in (None, own) else f"CPython {abi[0]}.{abi[1:]}" if abi else None


def _told(lost: Iterable[list[_Module]], environment: Environment) -> Iterator[str]:
    for modules in lost:
        first, more = modules[0], len(modules) - 1
        others = f" (and {more} more in its package)" if more else ""
        yield (
            f"{first.arcname}{others} is built for {first.misfit}, so the interpreter"
            f" {environment.interpreter.executable} cannot load it: reinstall the package with"
            " the environment's own pip, or exclude it"
        )
