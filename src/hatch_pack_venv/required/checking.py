"""What is required against what is there, a sentence for each thing that is wrong: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement

    from ..distributions import InstalledDistribution


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
    except (InvalidSpecifier, InvalidVersion):
        return True


def _satisfies(version: str, specifiers: SpecifierSet) -> bool:
    try:
        return specifiers.contains(Version(version), prereleases=True)
    except InvalidVersion:  # of an old kind, which has no order
        return not specifiers or any(
            each.operator == "===" and each.version == version for each in specifiers
        )


def _spelled(requirement: Requirement) -> str:
    """Return a requirement without its marker, which holds."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    where = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
    return f"{requirement.name}{extras}{where}"
