"""What some distributions need, and what that needs, by the installed metadata: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from .requirements import active_requirements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement

    from ..distributions import InstalledDistribution


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
