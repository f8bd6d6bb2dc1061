"""Sizes, their limit, and the names for what rarely runs."""

from __future__ import annotations

import pytest
from support.fakes import SITE, distribution, environment, file, plan

from hatch_pack_venv.config.values import PRESETS
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.model.results import REST, parsed_size, sizes_by_owner
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.plan.validate import check_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("250MB", 250_000_000),
        ("1GiB", 1 << 30),
        ("1.5 kib", 1536),
        ("7 B", 7),
        ("12", 12),
        ("2TB", 2 * 10**12),
        ("", None),
        ("MB", None),
        ("1iB", None),
        ("-1MB", None),
        ("1 M", None),
    ],
)
def test_sizes_are_read(text: str, size: int | None) -> None:
    """Units of a thousand and of 1024 are told apart; without a unit it is bytes."""
    assert parsed_size(text) == size


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


LEFT_OUT = {
    "@tests": ["numpy/linalg/tests/test_x.py", "tests/x.py", "test/x.py", "numpy/conftest.py"],
    "@docs": ["docs/index.md", "../../../share/man/man1/x.1", "../../../share/doc/x/a.html"],
    "@headers": ["numpy/_core/include/numpy/x.h", "x/y.pxd", "../../../include/site/x.h"],
    "@static-libraries": ["numpy/random/lib/libnpyrandom.a", "x/y.lib"],
    "@type-stubs": ["numpy/ma/core.pyi", "numpy/py.typed", "yaml-stubs/__init__.pyi"],
}
KEPT = [
    "numpy/testing/x.py",
    "django/test/client.py",
    "astropy/tests/runner.py",
    "jupyterlab/tests/test_app.py",
    "botocore/docs/method.py",
    "jinja2/tests.py",
    "werkzeug/test.py",
    "skimage/__init__.pyi",
    "x-1.dist-info/licenses/tests/LICENSE.h",
    "x-1.dist-info/METADATA",
    "x/y.so",
    "../../site-packages.a.py",
]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_out_what_it_says(name: str) -> None:
    """Each leaves out its own, and none what is imported, read at run time or a licence."""
    selection = Selection(exclude=("*.x", name))

    def left_out(path: str) -> bool:
        arcname = f"{SITE}/{path}" if not path.startswith("../../../") else path[9:]
        return selection.by_pattern(arcname)

    assert [path for path in LEFT_OUT[name] if not left_out(path)] == []
    assert [path for path in KEPT if left_out(path)] == []
    assert left_out("a.x")


def test_a_preset_takes_nothing_back_from_other_patterns() -> None:
    """Wherever a name stands among patterns, what they exclude stays excluded."""
    selection = Selection(exclude=("licenses/", "@tests"))
    assert selection.by_pattern(f"{SITE}/x-1.dist-info/licenses/LICENSE")
