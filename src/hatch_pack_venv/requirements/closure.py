"""What some distributions need, and what that needs, by the installed metadata: pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..model.components import shown_url
from ..platforms.platform import platform_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..model.distribution import InstalledDistribution
    from ..model.interpreter import Interpreter


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
        **platform_of(interpreter).markers(interpreter),
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
        if requirement is not None and _applies(requirement, extras, markers):
            yield requirement


def _applies(requirement: Requirement, extras: Iterable[str], markers: Mapping[str, str]) -> bool:
    """Whether a requirement's marker holds; one that cannot be judged never does.

    It may compare what has no order, or ask for a name that only lock files have (`extras`).
    """
    marker = requirement.marker
    try:
        return marker is None or any(
            marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)
        )
    except (KeyError, ValueError):
        return False


@cache
def _parsed(text: str) -> Requirement | None:
    """Parse a requirement; those of an old kind no installer of today follows."""
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What some distributions need.

    Parameters:
        members: normalised names: the roots and all that they need, installed or not.
        requirements: which of those installed require what.
    """

    members: frozenset[str] = frozenset()
    requirements: tuple[tuple[InstalledDistribution, Requirement], ...] = ()


def by_key(distributions: Iterable[InstalledDistribution]) -> dict[str, InstalledDistribution]:
    """Return distributions by their normalised names; the first of a name is the one imported."""
    found: dict[str, InstalledDistribution] = {}
    for distribution in distributions:
        found.setdefault(distribution.key, distribution)
    return found


def closure_of(
    roots: Mapping[str, Iterable[str]],
    installed: Mapping[str, InstalledDistribution],
    markers: Mapping[str, str],
) -> Closure:
    """Follow requirements from some distributions on.

    Extras count where the roots or a requirement name them (`uvicorn[standard]`); they can come
    late and in a circle, so that a distribution is looked at again when it gets another one.

    Parameters:
        roots: extras by the normalised names of those to begin with.
        installed: what there is, by normalised name.
        markers: values of environment markers, as `marker_environment` tells them.
    """
    extras = {key: set(map(canonicalize_name, each)) for key, each in roots.items()}
    waiting = list(extras)
    requirements: dict[str, list[Requirement]] = {}
    while waiting:
        key = waiting.pop()
        if key not in installed:
            continue
        requirements[key] = list(active_requirements(installed[key], extras[key], markers))
        for requirement in requirements[key]:
            name = canonicalize_name(requirement.name)
            asked = set(map(canonicalize_name, requirement.extras))
            if name not in extras or not asked <= extras[name]:
                extras.setdefault(name, set()).update(asked)
                waiting.append(name)
    return Closure(
        members=frozenset(extras),
        requirements=tuple(
            (installed[key], requirement)
            for key in sorted(requirements)
            for requirement in requirements[key]
        ),
    )


def requirement_findings(
    requirements: Iterable[tuple[InstalledDistribution, Requirement]],
    installed: Mapping[str, InstalledDistribution],
) -> list[str]:
    """Return a sentence for each requirement that what is there does not meet.

    What a requirement names by a URL is met by any version: where an installed one came from is
    rarely recorded. Pre-releases count, as they do for `pip check`.

    Parameters:
        installed: by normalised name.
    """
    found = []
    for distribution, requirement in requirements:
        if is_met(requirement, installed):
            continue
        there = installed.get(canonicalize_name(requirement.name))
        has = "none" if there is None else f"{there.name} {there.version}"
        found.append(
            f"{_spelled(requirement)} is required by {distribution.name} {distribution.version};"
            f" the environment has {has}"
        )
    return list(dict.fromkeys(found))


def is_met(requirement: Requirement, installed: Mapping[str, InstalledDistribution]) -> bool:
    """Whether a requirement is met by what is there.

    Parameters:
        installed: by normalised name.
    """
    there = installed.get(canonicalize_name(requirement.name))
    return there is not None and _satisfies(there.version, requirement.specifier)


def python_findings(distributions: Iterable[InstalledDistribution], version: str) -> list[str]:
    """Return a sentence for each distribution that is not for a version of Python.

    Parameters:
        version: complete, as `platform.python_version()` tells it.
    """
    return [
        f"{each.name} {each.version} requires Python {each.requires_python}; the environment has"
        f" {version}"
        for each in distributions
        if each.requires_python and not python_satisfies(version, each.requires_python)
    ]


def extra_findings(distribution: InstalledDistribution, extras: Iterable[str]) -> list[str]:
    """Return a sentence for each extra that a distribution does not provide."""
    provided = set(map(canonicalize_name, distribution.extras))
    listed = ", ".join(distribution.extras) or "none"
    return [
        f"{extra} is no extra of {distribution.name} {distribution.version}, which has {listed}"
        for extra in extras
        if canonicalize_name(extra) not in provided
    ]


def python_satisfies(version: str, specifiers: str | SpecifierSet) -> bool:
    """Whether a version of Python is meant by `Requires-Python`; what cannot be read is met.

    A version of a build from a working copy ends in `+`.
    """
    try:
        return SpecifierSet(str(specifiers)).contains(version.rstrip("+"), prereleases=True)
    except ValueError:
        return True


def _satisfies(version: str, specifiers: SpecifierSet) -> bool:
    try:
        return specifiers.contains(Version(version), prereleases=True)
    except ValueError:  # of an old kind, which has no order, or of thousands of digits
        return not specifiers or any(
            each.operator == "===" and each.version == version for each in specifiers
        )


def _spelled(requirement: Requirement) -> str:
    """Return a requirement without its marker, which holds."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    where = str(requirement.specifier)
    if requirement.url:
        where = f" @ {shown_url(requirement.url)}"
    return f"{requirement.name}{extras}{where}"
