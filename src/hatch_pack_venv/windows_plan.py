"""What is decided about a whole plan because its environment is for Windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import manifest
from .copies import without_links
from .errors import InterpreterProblem
from .path_budget import PathBudget

if TYPE_CHECKING:
    from .environment import Environment
    from .plan import PackPlan


def check_possible(environment: Environment, *, bytecode: str, promised: bool) -> None:
    """Refuse what cannot be done for an environment of Windows.

    Parameters:
        bytecode: the option's value.
        promised: whether the interpreter is promised at a path.

    Raises:
        InterpreterProblem: says what to set instead.
    """
    if bytecode != "none" and not environment.runs_here:
        raise InterpreterProblem(
            f"{environment.given} is an environment of Windows, whose Python compiles nothing here:"
            ' set bytecode = "none", or pack on Windows'
        )
    if promised and environment.is_windows:
        raise InterpreterProblem(
            f"{environment.given} is an environment of Windows, where no link can name a promised"
            ' interpreter: set interpreter = "bundled" or "target"'
        )


def for_windows(plan: PackPlan, environment: Environment) -> PackPlan:
    """Return a plan with copies in place of links, and with its path budget; others as they are.

    Raises:
        LinkError: links that lead in a loop or nowhere, all of them.
    """
    if not environment.is_windows:
        return plan
    entries = tuple(without_links(plan.entries))
    budget = PathBudget.of(entries, manifest.ARCNAME)
    platform = {**plan.head["platform"], "path_budget": budget.facts()}
    return replace(plan, entries=entries).with_facts({"platform": platform}, ())
