"""Checks that need no wheel of the project, made before hooks compile and the wheel is built.

All of them are repeated with the wheel; problems that only the wheel reveals are reported then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from ..metadata.editables import refusals
from ..model.errors import PlanError
from ..plan.select import Selection
from ..requirements.check import Roots, check_dependencies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model.distribution import InstalledDistribution
    from ..requirements.check import DependencyReport
    from .source import Source


def refuse_early(source: Source, own: InstalledDistribution) -> None:
    """Refuse an environment that could not be packed with any wheel of the project.

    Parameters:
        own: the project as its metadata describes it.

    Raises:
        PlanError: if editable installs, requirements or the lock file prevent packing.
        WheelProblem: if a wheel named in the options cannot be read.
        LockProblem: if the lock file cannot be read.
    """
    environment, options = source.environment, source.options
    wheels: tuple[InstalledDistribution, ...] = ()
    if options.wheels:
        from ..scan.wheels import described  # 20 ms that most runs can do without

        wheels = tuple(described(wheel, environment) for wheel in options.wheels)
    installed = next((each for each in environment.distributions if each.key == own.key), own)
    roots = Roots(
        environment=environment,
        wheels=wheels,
        project=installed if options.project == "installed" else own,
        excluded=own.key if options.project == "exclude" else None,
        below=() if source.layers is None else source.layers.distributions,
        left_out=Selection.of(options).by_pattern,
    )
    report = check_dependencies(roots, options)
    problems = [*report.problems, *refusals(_in_the_way(source, own, wheels, report))]
    if problems:
        raise PlanError(f"{environment.requested} cannot be packed", problems)


def _in_the_way(
    source: Source,
    own: InstalledDistribution,
    wheels: tuple[InstalledDistribution, ...],
    report: DependencyReport,
) -> Iterator[InstalledDistribution]:
    """Yield the editable installs that would have to be packed."""
    options = source.options
    replaced = {canonicalize_name(each.name) for each in wheels} | report.left.keys()
    replaced |= set() if options.project == "installed" else {own.key}
    for each in source.environment.distributions:
        if each.editable is None or each.key in replaced or options.editables == "exclude":
            continue
        if options.editables == "error" or each.editable.problem is not None:
            yield each
