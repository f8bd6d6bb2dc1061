"""What installed distributions require of each other, by their metadata: pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..systems import marker_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..distributions import InstalledDistribution
    from ..interpreter import Interpreter


def marker_environment(interpreter: Interpreter) -> dict[str, str]:
    """Return the values of environment markers (PEP 508) for an interpreter.

    Those of the operating system's release are this machine's.
    """
    facts = {
        "implementation_name": interpreter.implementation,
        "implementation_version": interpreter.version,
        "platform_machine": interpreter.machine,
        "platform_python_implementation": "CPython",
        "python_full_version": interpreter.version,
        "python_version": interpreter.minor,
        "sys_platform": interpreter.system,
        **marker_facts(interpreter),
    }
    return {**{key: str(value) for key, value in default_environment().items()}, **facts}


def requirements_of(
    distributions: Iterable[InstalledDistribution], markers: Mapping[str, str]
) -> list[tuple[InstalledDistribution, Requirement]]:
    """Return who requires what, with the extras that they ask of each other.

    Which extras a user asked for when installing is recorded nowhere, so that none count.
    """
    installed = list(distributions)
    extras: dict[str, set[str]] = {each.key: set() for each in installed}
    while True:
        found = [
            (distribution, requirement)
            for distribution in installed
            for requirement in active_requirements(distribution, extras[distribution.key], markers)
        ]
        asked = {key: set(value) for key, value in extras.items()}
        for _, requirement in found:
            asked.get(canonicalize_name(requirement.name), set()).update(requirement.extras)
        if asked == extras:
            return found
        extras = asked


def active_requirements(
    distribution: InstalledDistribution, extras: Iterable[str], markers: Mapping[str, str]
) -> Iterator[Requirement]:
    """Yield what a distribution requires with some of its extras, where the markers hold."""
    for text in distribution.requires:
        requirement = _parsed(text)
        if requirement is None:
            continue
        if requirement.marker is None or any(
            requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)
        ):
            yield requirement


@cache
def _parsed(text: str) -> Requirement | None:
    """Parse a requirement; those of an old kind no installer of today follows."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def missing_requirements(
    excluded: Iterable[str],
    packed: Iterable[InstalledDistribution],
    markers: Mapping[str, str],
) -> list[str]:
    """Return a sentence for each packed distribution that requires an excluded one.

    Parameters:
        excluded: normalised names of the editable installs that are left out.
        markers: as `marker_environment` tells them.
    """
    gone = set(excluded)
    told = (
        f"{distribution.name} requires {requirement.name}, an editable install that"
        ' `editables = "exclude"` leaves out: name its wheel in `wheels`, or set `editables` to'
        ' "copy"'
        for distribution, requirement in requirements_of(packed, markers)
        if canonicalize_name(requirement.name) in gone
    )
    return list(dict.fromkeys(told))
