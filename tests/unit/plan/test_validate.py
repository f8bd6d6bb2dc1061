"""Sizes, their limit, and the names for what rarely runs."""

from __future__ import annotations

import pytest
from support.fakes import SITE, distribution, environment, file, plan

from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.model.results import REST, sizes_by_owner
from hatch_pack_venv.plan.validate import check_size, headers_notes, nested_environments


def test_what_is_too_large_names_the_largest() -> None:
    """The sentence tells both sizes and whose files they are, byte code with its source."""
    small, large = distribution("small", f"{SITE}/s.py"), distribution("large", f"{SITE}/l.py")
    entries = [file(f"{SITE}/s.py", b"x" * 10), file(f"{SITE}/l.py", b"x" * 2000), file("y", b"y")]
    made = plan(*entries, environment=environment(small, large))
    check_size(made, made.size)
    check_size(made, None)
    with pytest.raises(PlanError) as caught:
        check_size(made, made.size - 1)
    (problem,) = caught.value.problems
    assert f"({made.size} bytes) unpacked are more than the" in problem
    assert "large 1.0 2.0 kB" in problem
    assert problem.endswith("small 1.0 10 B")
    byte_code = file(f"{SITE}/__pycache__/s.cpython-311.opt-1.pyc", b"x" * 5)
    assert sizes_by_owner([*entries, byte_code], [small, large]) == {
        "small 1.0": 15,
        "large 1.0": 2000,
        REST: 1,
    }


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_what_compiles_when_run_is_told_that_headers_stay_out(name: str) -> None:
    """With the headers in the archive nothing is said, nor without such a distribution."""
    packed = plan(file("a"), environment=environment(distribution(name)))
    (note,) = headers_notes(packed)
    assert note.startswith(f"{name} may compile C when run")
    assert 'include-files = ["/include/"]' in note
    assert not [*headers_notes(plan(file("a"), environment=environment(distribution("six"))))]
    header = file("include/python3.11/Python.h")
    assert not [*headers_notes(plan(header, environment=environment(distribution(name))))]


@pytest.mark.parametrize("python", ["bin/python", "Scripts/python.exe"])
def test_an_environment_in_the_environment_is_told(python: str) -> None:
    """By its folder, with the pattern that leaves it out; a lone `pyvenv.cfg` is none."""
    entries = [file("pyvenv.cfg"), file("bin/python"), file("a/one/pyvenv.cfg")]
    assert [*nested_environments(entries)] == []
    (problem,) = nested_environments([*entries, file(f"a/one/{python}")])
    assert problem.startswith("a/one is an environment of its own, ")
    assert 'exclude-files = ["/a/one/"]' in problem
