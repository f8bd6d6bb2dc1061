"""What is decided about a whole plan because its environment is for Windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import manifest
from ..copies import without_links
from ..entries import FileEntry
from ..errors import PlanError
from .floors import read_headers
from .names import name_problem
from .path_budget import PathBudget

if TYPE_CHECKING:
    from ..environment import Environment
    from ..plan import PackPlan


def foreign_modules(plan: PackPlan, environment: Environment) -> list[str]:
    """Return a sentence for each extension module that the interpreter cannot load."""
    machine = environment.interpreter.machine
    modules = [
        (entry.arcname, headers.machine)
        for entry in plan.entries
        if isinstance(entry, FileEntry)
        and entry.arcname.endswith(".pyd")
        and (headers := read_headers(entry.content)) is not None
    ]
    return [
        f"{name} is for the machine {other}, and the interpreter for {machine}: it cannot be"
        " imported; install the wheel for this machine"
        for name, other in modules
        if other != machine
    ]


def for_windows(plan: PackPlan, environment: Environment) -> PackPlan:
    """Return a plan with copies in place of links, and with its path budget; others as they are.

    Raises:
        LinkError: links that lead in a loop or nowhere, all of them.
        PlanError: Windows cannot hold the name of the top folder.
    """
    if not environment.is_windows:
        return plan
    problem = None if plan.install_target == "." else name_problem(plan.install_target)
    if problem is not None:
        raise PlanError(
            f"{environment.given} cannot be packed",
            [f"the top folder {plan.install_target!r} {problem}: set another install-target"],
        )
    entries = tuple(without_links(plan.entries))
    budget = PathBudget.of(entries, manifest.ARCNAME)
    platform = {**plan.head["platform"], "path_budget": budget.facts()}
    return replace(plan, entries=entries).with_facts({"platform": platform}, ())


def told_for_windows(plan: PackPlan, environment: Environment) -> PackPlan:
    """Do as `for_windows`, and note what a user may want to know."""
    notes = foreign_modules(plan, environment) if environment.is_windows else []
    return for_windows(plan.with_facts({}, notes), environment)
