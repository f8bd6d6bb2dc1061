"""What a self-starting archive runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fakes import distribution, environment, file, plan

from hatch_pack_venv.model.distribution import EntryPoint, InstalledDistribution
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.plan.start import run_head, with_start


def project(*scripts: str, gui: tuple[str, ...] = ()) -> InstalledDistribution:
    points = [EntryPoint(name=name, module="m", attr="f", gui=name in gui) for name in scripts]
    return distribution("greeter", entry_points=tuple(points))


def started(own: InstalledDistribution | None, entry_point: str | None = None) -> str:
    distributions = () if own is None else (own,)
    planned = plan(
        *(file(f"bin/{name}", b"#!/bin/sh\n", executable=True) for name in ("greet", "serve")),
        environment=environment(*distributions),
    )
    return with_start(planned, entry_point, own).start


def test_the_project_s_only_console_script_is_started() -> None:
    """GUI scripts do not count; an explicit name may choose any packed script."""
    assert started(project("greet")) == "bin/greet"
    assert started(project("greet", "window", gui=("window",))) == "bin/greet"
    assert started(project("greet"), "serve") == "bin/serve"
    assert started(None, "serve") == "bin/serve"


@pytest.mark.parametrize(
    ("own", "entry_point", "sentence"),
    [
        (project("greet", "serve"), None, "the project has several console scripts, greet, serve:"),
        (project(), None, "no project with a console script is packed: set"),
        (None, None, "no project with a console script is packed"),
        (project("gone"), None, "bin/gone, the project's console script, is not packed: set"),
        (project("greet"), "gone", "entry-point names bin/gone, which is not packed: set"),
        (None, "gone", r"set entry-point to the name of a script \(python\)"),
    ],
)
def test_otherwise_a_name_is_asked_for(
    own: InstalledDistribution | None, entry_point: str | None, sentence: str
) -> None:
    """The error lists the available names."""
    with pytest.raises(PlanError, match=sentence):
        started(own, entry_point)


def test_the_head_is_as_long_whatever_the_digests_are() -> None:
    """It is written twice; characters of the name that shells or terminals act on are replaced."""
    planned = plan(file("bin/x"))
    head = run_head(replace(planned, head={**planned.head, "name": "a'b\n$(c)\x1b[1m"}))
    assert head.name == "a_b___c___1m"
    assert b"\x1b" not in head.render()
    full = replace(head, digest="a" * 64, sha256="b" * 64, size=1 << 50)
    assert len(full.render()) == len(head.render())
