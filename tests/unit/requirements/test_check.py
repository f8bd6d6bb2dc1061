"""Requirements that patterns leave out, and distributions that are damaged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fakes import INTERPRETER, SITE, distribution, environment

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.model.plan import Findings
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.requirements.check import (
    DependencyReport,
    Roots,
    check_dependencies,
    damage_findings,
)

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = distribution("needed", f"{SITE}/needed/__init__.py", f"{SITE}/needed/tests/test_a.py")
SIX = distribution("six", f"{SITE}/six.py", f"{SITE}/_six/__init__.py")
APP = distribution("app", f"{SITE}/app.py", requires=("needed", "six>=1"))


def checked(*patterns: str, project: bool = True, **options: str) -> DependencyReport:
    """Check an environment of three distributions, of which the project requires two."""
    given = PackOptions(exclude_files=patterns, **options)  # type: ignore[arg-type]
    roots = Roots(
        environment=environment(NEEDED, SIX, APP),
        project=APP if project else None,
        left_out=Selection(exclude=patterns).by_pattern,
    )
    return check_dependencies(roots, given)


def told(report: DependencyReport) -> list[str]:
    return [*report.problems, *report.notes]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("needed/", "app 1.0 requires needed, of which exclude-files leaves out all modules: "),
        (
            "six.*",
            f"app 1.0 requires six, of which exclude-files leaves out the module {SITE}/six.py",
        ),
    ],
)
def test_modules_that_are_required_and_left_out_are_told(pattern: str, what: str) -> None:
    """It is an error for the project's closure, and a warning for others or if requested."""
    (problem,) = checked(pattern).problems
    assert problem.startswith(what)
    assert checked(pattern, check="warn").notes == (problem,)
    assert checked(pattern, project=False).notes == (problem,)
    assert told(checked(pattern, check="off")) == []


@pytest.mark.parametrize("pattern", ["@tests", "tests/", "_six/", "app.py", "*.dist-info/"])
def test_parts_that_are_left_out_are_nobody_s_mistake(pattern: str) -> None:
    """Tests, one of several packages, and what nothing requires may be left out."""
    assert told(checked(pattern)) == []


def test_what_the_base_interpreter_meets_is_known(tmp_path: Path) -> None:
    """It is listed with the distribution that requires it; what nothing requires is not listed."""
    for name in ("needed", "other"):
        metadata = tmp_path / "site-packages" / f"{name}-1.0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    base = replace(INTERPRETER, site_packages=(tmp_path / "site-packages",))
    app = distribution("app", requires=("needed",))
    for visible, expected in (("true", [("app", "needed")]), ("false", [])):
        config = {"include-system-site-packages": visible}
        there = environment(app, interpreter=base, config=config)
        report = check_dependencies(Roots(environment=there), PackOptions(check="off"))
        assert [(user, met.name) for user, met in report.met_by_base] == expected


@pytest.mark.parametrize(
    ("gone", "fatal"),
    [
        (f"{SITE}/needed/core.py", True),
        (f"{SITE}/needed/_fast.cpython-311-x86_64-linux-gnu.so", True),
        (f"{SITE}/needed/data/table.json", False),
        (f"{SITE}/needed/tests/test_core.py", None),
        (f"{SITE}/needed/core.pyi", None),
        (f"{SITE}/needed/__pycache__/core.cpython-311.pyc", None),
        (f"{SITE}/needed/__pycache__", None),  # in the RECORD files that virtualenv writes
        (f"{SITE}/__pycache__", None),
        (f"{SITE}/needed-1.0.dist-info/licenses/LICENSE", None),
        ("bin/needed", None),
    ],
)
def test_files_that_record_lists_and_that_are_missing(gone: str, *, fatal: bool | None) -> None:
    """Modules of the project's closure stop packing, data is noted, and the rest is ignored."""
    there = distribution("needed", f"{SITE}/needed/__init__.py", gone)
    names = {f"{SITE}/needed/__init__.py"}
    for members, strict in ((frozenset({"needed"}), fatal), (frozenset[str](), False)):
        report = DependencyReport(members=members)
        damage = damage_findings(environment(there), names, report, PackOptions())
        found = damage.problems if strict else damage.notes
        expected = f"needed 1.0 lacks 1 of the files that its RECORD lists, such as {gone}: "
        assert [text.startswith(expected) for text in found] == ([] if fatal is None else [True])
        assert len(damage.problems) + len(damage.notes) == len(found)


def test_damage_of_what_does_not_go_along_is_nobody_s() -> None:
    """What a wheel replaces is not looked at, nor anything with the check turned off."""
    there = environment(distribution("needed", f"{SITE}/needed.py"))
    report, options = DependencyReport(), PackOptions()
    assert damage_findings(there, (), report, options, {"needed"}) == Findings()
    assert damage_findings(there, (), report, PackOptions(check="off")) == Findings()


def test_two_metadata_folders_of_one_distribution_are_told() -> None:
    """Which of them counts is chance; two site-packages folders may each have one."""
    doubled = [
        distribution("needed"),
        distribution("needed", version="2.0", metadata_dir=f"{SITE}/needed-2.0.dist-info"),
        distribution("needed", metadata_dir="lib64/python3.11/site-packages/needed-1.0.dist-info"),
    ]
    report = DependencyReport(members=frozenset({"needed"}))
    damage = damage_findings(environment(*doubled), (), report, PackOptions())
    assert damage.notes == ()
    (problem,) = damage.problems
    assert problem.startswith(f"needed is installed twice, as {SITE}/needed-1.0.dist-info and ")
