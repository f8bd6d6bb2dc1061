"""What the presets of `exclude-files` match."""

from __future__ import annotations

import pytest
from support.fakes import SITE

from hatch_pack_venv.config.values import PRESETS
from hatch_pack_venv.plan.select import Selection

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
    """Each excludes its own files, but none that are imported, read at run time or licences."""
    selection = Selection(exclude=("*.x", name))

    def left_out(path: str) -> bool:
        arcname = f"{SITE}/{path}" if not path.startswith("../../../") else path[9:]
        return selection.by_pattern(arcname)

    assert [path for path in LEFT_OUT[name] if not left_out(path)] == []
    assert [path for path in KEPT if left_out(path)] == []
    assert left_out("a.x")


def test_a_preset_takes_nothing_back_from_other_patterns() -> None:
    """What the patterns before a preset exclude stays excluded."""
    selection = Selection(exclude=("licenses/", "@tests"))
    assert selection.by_pattern(f"{SITE}/x-1.dist-info/licenses/LICENSE")
