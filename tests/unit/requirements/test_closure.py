"""What is required, and what is wrong with installed distributions, which are made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import INTERPRETER, distribution, environment

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.requirements.check import DependencyReport, Roots, check_dependencies
from hatch_pack_venv.requirements.closure import by_key, closure_of, marker_environment

MARKERS = marker_environment(INTERPRETER)


def requiring(name: str, *requires: str, version: str = "1.0", **changes: Any) -> Any:
    return distribution(name, f"{name}.py", requires=requires, version=version, **changes)


def members(roots: dict[str, list[str]], *installed: Any) -> list[str]:
    return sorted(closure_of(roots, by_key(installed), MARKERS).members)


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


def test_the_closure_follows_requirements_and_no_others() -> None:
    """Indirect requirements belong to it, even circular ones; the rest does not."""
    there = [
        requiring("app", "A.b_c>=1", "gone"),
        requiring("a-b-c", "d"),
        requiring("d", "a_b.c"),
        requiring("tool", "d", "e"),
        requiring("e"),
    ]
    assert members({"app": []}, *there) == ["a-b-c", "app", "d", "gone"]
    assert members({"e": []}, *there) == ["e"]


def test_markers_hold_for_the_environments_python() -> None:
    """A marker is evaluated for the environment, not for what runs the build."""
    there = [
        requiring(
            "app",
            "old; python_version < '3.12'",
            "new; python_version >= '3.12'",
            "full; python_full_version == '3.11.7'",
            "win; sys_platform == 'win32'",
            "arm; platform_machine == 'aarch64'",
        )
    ]
    assert members({"app": []}, *there) == ["app", "full", "old"]


def test_extras_count_where_they_are_asked_for() -> None:
    """An extra requested late, or by the distribution itself, adds its requirements."""
    there = [
        requiring("app", "web", "late", "self-only; extra == 'self'", "app[self]; extra == 'all'"),
        requiring("web", "fast; extra == 'Std_X'", "other; extra == 'other'"),
        requiring("late", "web[std-x]"),
    ]
    assert members({"app": []}, *there) == ["app", "fast", "late", "web"]
    assert members({"app": ["ALL"]}, *there) == ["app", "fast", "late", "self-only", "web"]


def test_a_development_extra_of_others_brings_nothing() -> None:
    """An extra of a member that a distribution outside the closure requests does not count."""
    there = [
        requiring("app", "web"),
        requiring("web", "fast; extra == 'std'"),
        requiring("tool", "web[std]"),
    ]
    assert members({"app": []}, *there) == ["app", "web"]


GREETER = requiring(
    "greeter",
    "httpx>=0.27",
    "absent[x]<2; sys_platform == 'linux'",
    "pre>=2",
    "url @ https://example.org/url.zip",
    "gone @ https://ci:s3cr3t@example.org/gone.zip?sig=s3cr3t",
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
    "greeter 1.2.0 does not provide the extra web; it provides cli",
    "deep 1.0 requires Python <3.11; the environment has 3.11.7",
    "greeter 1.2.0 requires Python >=3.12; the environment has 3.11.7",
    "httpx<0.20 is required by deep 1.0; the environment has httpx 0.25.2",
    "httpx>=0.27 is required by greeter 1.2.0; the environment has httpx 0.25.2",
    "absent[x]<2 is required by greeter 1.2.0; the environment has none",
    "gone @ https://example.org/gone.zip is required by greeter 1.2.0; the environment has none",
    "odd>=1 is required by greeter 1.2.0; the environment has odd 1.0-custom",
)
OUTSIDE = (
    "tool 1.0 requires Python >=3.13; the environment has 3.11.7",
    "httpx==0.1 is required by tool 1.0; the environment has httpx 0.25.2",
)


def test_each_finding_is_a_sentence() -> None:
    """Too old, missing, for another Python, or an unknown extra; others are only warnings."""
    found = needs(*THERE, wheels=[GREETER], project=GREETER, extras=["web", "cli"])
    assert (found.problems, found.notes) == (FINDINGS, OUTSIDE)


@pytest.mark.parametrize(
    ("rule", "notes"), [("warn", (*OUTSIDE, *FINDINGS)), ("off", ())], ids=["warn", "off"]
)
def test_findings_can_warn_or_be_left(rule: str, notes: tuple[str, ...]) -> None:
    """`check` turns problems into notes, or turns them off."""
    found = needs(*THERE, wheels=[GREETER], project=GREETER, extras=["web", "cli"], check=rule)
    assert (found.problems, found.notes) == ((), notes)


def test_without_a_project_nothing_is_an_error() -> None:
    """All distributions are then outside the closure."""
    found = needs(*THERE, GREETER)
    assert found.problems == ()
    assert set(FINDINGS[1:]) | set(OUTSIDE) == set(found.notes)


def test_what_is_required_needs_a_beginning() -> None:
    """Without a project, a wheel or `keep`, nothing requires anything."""
    (problem,) = needs(*THERE, distributions="required").problems
    assert problem.startswith('distributions = "required" needs a distribution to start from')


def test_what_is_kept_must_be_there() -> None:
    """A typo in `keep` is an error; what is kept starts a closure that is checked."""
    found = needs(*THERE, distributions="required", keep=["deep", "none[x]"])
    assert found.problems == (
        "keep names none, which is not installed in the environment: install it or remove it from"
        " keep",
        "deep 1.0 requires Python <3.11; the environment has 3.11.7",
        "httpx<0.20 is required by deep 1.0; the environment has httpx 0.25.2",
    )
    assert found.notes == ()
    assert found.left.keys() == {"pre", "url", "odd", "tool"}


def test_an_installed_project_begins_the_closure() -> None:
    """`project = "installed"` and `"exclude"` use the requirements of the installed project."""
    found = needs(GREETER, *THERE, project=GREETER, distributions="required", check="off")
    assert found.left.keys() == {"tool"}


def test_what_a_lower_layer_has_is_neither_missing_nor_packed_again() -> None:
    """A layer's version is used if it satisfies everything that is required."""
    project = requiring("app", "big>=2", "mine")
    big = requiring("big", "part", version="2.5")
    below = [big, requiring("part"), requiring("other")]
    found = needs(project, requiring("mine"), project=project, below=below)
    assert (found.problems, found.notes) == ((), ())
    assert found.relied_on == {"big", "part"}
    own = [project, requiring("mine"), requiring("big", "part", version="2.1"), requiring("part")]
    found = needs(*own, project=project, below=below, distributions="required")
    assert found.left.keys() == {"big", "part"}
    assert found.relied_on == {"big", "part"}
    everything = needs(*own, project=project, below=below)
    assert not everything.left
    assert not everything.relied_on


def test_what_a_lower_layer_has_in_another_version_is_packed() -> None:
    """If a layer's version does not fit, the environment's is packed with what it requires."""
    project = requiring("app", "big>=2", "small")
    own = [requiring("big", "part", version="2.1"), requiring("part"), requiring("small")]
    below = [requiring("big", version="1.0"), requiring("small", version="7")]
    table = {"project": project, "distributions": "required"}
    found = needs(project, *own, below=below, **table)
    assert found.left.keys() == {"small"}
    assert found.relied_on == {"small"}
    (problem,) = needs(project, project=project, below=below[:1], check="error").problems[:1]
    assert problem == "big>=2 is required by app 1.0; the environment has big 1.0"
