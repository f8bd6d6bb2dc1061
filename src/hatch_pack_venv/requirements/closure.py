"""The transitive requirements of distributions, from installed metadata: pure functions."""

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

    Markers for the operating system's release have this machine's values.
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
    """Return which distribution requires what, with the extras that they request of each other.

    The extras that a user requested at installation are recorded nowhere, so they do not count.
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
    """Yield the requirements of a distribution with some of its extras whose markers are true."""
    for text in distribution.requires:
        requirement = _parsed(text)
        if requirement is not None and _applies(requirement, extras, markers):
            yield requirement


def _applies(requirement: Requirement, extras: Iterable[str], markers: Mapping[str, str]) -> bool:
    """Whether a requirement's marker is true; one that cannot be evaluated counts as false.

    It may compare values that have no order, or use a name that only lock files have (`extras`).
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
    """Parse a requirement; `None` for legacy forms, which no current installer follows."""
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
        markers: as returned by `marker_environment`.
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
    """Some distributions (the roots) and everything that they need.

    Parameters:
        members: normalised names of the roots and of everything that they need, installed or not.
        requirements: the requirements of the installed members.
    """

    members: frozenset[str] = frozenset()
    requirements: tuple[tuple[InstalledDistribution, Requirement], ...] = ()


def by_key(distributions: Iterable[InstalledDistribution]) -> dict[str, InstalledDistribution]:
    """Return distributions by normalised name; of several with one name, the first is imported."""
    found: dict[str, InstalledDistribution] = {}
    for distribution in distributions:
        found.setdefault(distribution.key, distribution)
    return found


def closure_of(
    roots: Mapping[str, Iterable[str]],
    installed: Mapping[str, InstalledDistribution],
    markers: Mapping[str, str],
) -> Closure:
    """Follow requirements, starting from some distributions.

    Extras count if the roots or a requirement name them (`uvicorn[standard]`). They can turn up
    late and in cycles, so a distribution is processed again whenever it gains another one.

    Parameters:
        roots: the extras of the distributions to start from, by normalised name.
        installed: the installed distributions, by normalised name.
        markers: values of environment markers, as returned by `marker_environment`.
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
    """Return a sentence for each requirement that no installed distribution meets.

    A requirement with a URL is met by any version, because the origin of an installed distribution
    is rarely recorded. Pre-releases are accepted, as in `pip check`.

    Parameters:
        installed: the installed distributions, by normalised name.
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
    """Whether an installed distribution meets a requirement.

    Parameters:
        installed: the installed distributions, by normalised name.
    """
    there = installed.get(canonicalize_name(requirement.name))
    return there is not None and _satisfies(there.version, requirement.specifier)


def python_findings(distributions: Iterable[InstalledDistribution], version: str) -> list[str]:
    """Return a sentence for each distribution that does not support a version of Python.

    Parameters:
        version: the full version, as returned by `platform.python_version()`.
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
        f"{distribution.name} {distribution.version} does not provide the extra {extra}; it"
        f" provides {listed}"
        for extra in extras
        if canonicalize_name(extra) not in provided
    ]


def python_satisfies(version: str, specifiers: str | SpecifierSet) -> bool:
    """Whether a Python version satisfies `Requires-Python`; any does if it cannot be parsed.

    The version of a build from a working copy ends in `+`.
    """
    try:
        return SpecifierSet(str(specifiers)).contains(version.rstrip("+"), prereleases=True)
    except ValueError:
        return True


def _satisfies(version: str, specifiers: SpecifierSet) -> bool:
    try:
        return specifiers.contains(Version(version), prereleases=True)
    except ValueError:  # a legacy version, which has no order, or one of thousands of digits
        return not specifiers or any(
            each.operator == "===" and each.version == version for each in specifiers
        )


def _spelled(requirement: Requirement) -> str:
    """Return a requirement as text, without its marker, which is true."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    where = str(requirement.specifier)
    if requirement.url:
        where = f" @ {shown_url(requirement.url)}"
    return f"{requirement.name}{extras}{where}"
