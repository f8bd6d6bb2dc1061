"""What the project requires against what is installed: findings, as errors and warnings."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import distribution, environment

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.requirements.check import DependencyReport, Roots, check_dependencies


def requiring(name: str, *requires: str, version: str = "1.0", **changes: Any) -> Any:
    return distribution(name, f"{name}.py", requires=requires, version=version, **changes)


def needs(
    *installed: Any, project: Any = None, wheels: Any = (), below: Any = (), **table: Any
) -> DependencyReport:
    given = Roots(
        environment=environment(*installed),
        project=project,
        wheels=tuple(wheels),
        below=tuple(below),
    )
    options = PackOptions.from_mapping({k.replace("_", "-"): v for k, v in table.items()})
    return check_dependencies(given, options)


GREETER = requiring(
    "greeter",
    "httpx>=0.27",
    "absent[x]<2; sys_platform == 'linux'",
    "pre>=2",
    "url @ https://example.org/url.zip",
    "odd>=1",
    "deep",
    version="1.2.0",
    extras=("cli",),
    requires_python=">=3.12",
)


THERE = [
    requiring("httpx", version="0.25.2"),
    requiring("Pre", version="2.1rc1"),
    requiring("url", version="0.1"),
    requiring("odd", version="1.0-custom"),
    requiring("deep", "httpx<0.20", requires_python="<3.11"),
    requiring("tool", "httpx==0.1", requires_python=">=3.13"),
]


FINDINGS = (
    "web is no extra of greeter 1.2.0, which has cli",
    "deep 1.0 requires Python <3.11; the environment has 3.11.7",
    "greeter 1.2.0 requires Python >=3.12; the environment has 3.11.7",
    "httpx<0.20 is required by deep 1.0; the environment has httpx 0.25.2",
    "httpx>=0.27 is required by greeter 1.2.0; the environment has httpx 0.25.2",
    "absent[x]<2 is required by greeter 1.2.0; the environment has none",
    "odd>=1 is required by greeter 1.2.0; the environment has odd 1.0-custom",
)


OUTSIDE = (
    "tool 1.0 requires Python >=3.13; the environment has 3.11.7",
    "httpx==0.1 is required by tool 1.0; the environment has httpx 0.25.2",
)


def test_each_finding_is_a_sentence() -> None:
    """Too old, missing, for another Python, an extra that is none; others only warn."""
    found = needs(*THERE, wheels=[GREETER], project=GREETER, extras=["web", "cli"])
    assert (found.problems, found.notes) == (FINDINGS, OUTSIDE)


@pytest.mark.parametrize(
    ("rule", "notes"), [("warn", (*OUTSIDE, *FINDINGS)), ("off", ())], ids=["warn", "off"]
)
def test_findings_can_warn_or_be_left(rule: str, notes: tuple[str, ...]) -> None:
    """`check` turns problems into notes, or asks nothing."""
    found = needs(*THERE, wheels=[GREETER], project=GREETER, extras=["web", "cli"], check=rule)
    assert (found.problems, found.notes) == ((), notes)


def test_without_a_project_nothing_is_an_error() -> None:
    """All distributions are outside of a closure then."""
    found = needs(*THERE, GREETER)
    assert found.problems == ()
    assert set(FINDINGS[1:]) | set(OUTSIDE) == set(found.notes)


def test_what_is_required_needs_a_beginning() -> None:
    """Without project, wheel and `keep` there is nothing to require anything."""
    (problem,) = needs(*THERE, distributions="required").problems
    assert problem.startswith('distributions = "required" needs to know what it begins with')


def test_what_is_kept_must_be_there() -> None:
    """A slip in `keep` is no silent nothing; what is kept begins a closure that is checked."""
    found = needs(*THERE, distributions="required", keep=["deep", "none[x]"])
    assert found.problems == (
        "keep names none, which is not installed in the environment: install it or remove it from"
        " keep",
        "deep 1.0 requires Python <3.11; the environment has 3.11.7",
        "httpx<0.20 is required by deep 1.0; the environment has httpx 0.25.2",
    )
    assert found.notes == ()
    assert found.left == {"pre", "url", "odd", "tool"}
