"""What an archive that starts a script by itself starts, and what its head says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..injected.run_file import Head
from ..model.entries import FileEntry, SymlinkEntry
from ..model.errors import PlanError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.distribution import InstalledDistribution
    from ..model.plan import PackPlan


_NAMED: Final = 10  # how many scripts an error names
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._+-]")


def with_start(
    plan: PackPlan, entry_point: str | None, project: InstalledDistribution | None
) -> PackPlan:
    """Return a plan with the script that is to be started.

    Parameters:
        entry_point: the script's name; by default the project's only console script.
        project: the project, if one is packed.

    Raises:
        PlanError: there is no such script, or none or several to choose from.
    """
    own = [] if project is None else [p.name for p in project.entry_points if not p.gui]
    name = entry_point or (own[0] if len(own) == 1 else None)
    arcname = f"{plan.head['layout']['scripts']}/{name}"
    there = {entry.arcname for entry in plan.entries if isinstance(entry, FileEntry | SymlinkEntry)}
    if name is not None and arcname in there:
        return replace(plan, start=arcname)
    if name is not None:
        problem = f"{arcname}, which entry-point names, is not packed"
        if entry_point is None:
            problem = f"{arcname}, the project's console script, is not packed"
    elif own:
        problem = f"the project has several console scripts, {_listed(own)}"
    else:
        problem = "no project's console script is known to be the one to start"
    scripts = [p.name for each in plan.distributions for p in each.entry_points if not p.gui]
    raise PlanError(
        "it is not known what to start",
        [f"{problem}: set entry-point to the name of a script ({_listed(scripts) or 'python'})"],
    )


def _listed(names: Sequence[str]) -> str:
    found = sorted(set(names))
    more = ["…"] if len(found) > _NAMED else []
    return ", ".join([*found[:_NAMED], *more])


def run_head(plan: PackPlan) -> Head:
    """Return what the head of a run file says, as far as the plan tells."""
    head = plan.head
    name = " ".join(str(head[key]) for key in ("name", "version") if head[key])
    platform = head["platform"]
    needs = ", ".join(plan.needs) or "nothing else"
    return Head(
        title=ascii(f"{name} for {platform['tag']}")[1:-1],
        name=_UNUSUAL.sub("_", name.replace(" ", "-")),
        top="" if plan.install_target == "." else plan.install_target,
        start=plan.start,
        python=f"{head['layout']['scripts']}/python",
        machine=platform["machine"] if platform["system"] == "linux" else "",
        needs=needs,
        info="\n".join(
            f"{label:<14} {printable(value)}" for label, value in _info(plan, name, needs).items()
        ),
    )


def _info(plan: PackPlan, name: str, needs: str) -> dict[str, str]:
    python: Any = plan.head["python"]
    return {
        "name": name,
        "interpreter": f"{python['implementation']} {python['version']}",
        "platform": plan.platform_tag,
        "needs": needs,
        "starts": plan.start,
        "unpacked size": f"{plan.size} bytes",
    }
