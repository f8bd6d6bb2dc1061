"""Kinds of files by their names."""

from __future__ import annotations

import pytest

from hatch_pack_venv.config.values import PRESETS
from hatch_pack_venv.read.inspect import KINDS, kind_of

SITE = "lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("arcname", "kind"),
    [
        ("lib/python3.11/os.py", "Python source"),
        (f"{SITE}/app/__init__.py", "Python source"),
        (f"{SITE}/app/__pycache__/x.cpython-311.pyc", "byte code"),
        (f"{SITE}/app/tests/__pycache__/x.cpython-311.pyc", "byte code"),
        (f"{SITE}/app/_speedups.cpython-311-x86_64-linux-gnu.so", "shared objects"),
        (f"{SITE}/app.libs/libz-1234.so.1.2.13", "shared objects"),
        ("lib/libssl.so.3", "shared objects"),
        ("Lib/site-packages/app/_x.pyd", "shared objects"),
        (f"{SITE}/app/tests/test_x.py", "tests"),
        (f"{SITE}/app/tests/data/x.bin", "tests"),
        (f"{SITE}/app/testing.py", "Python source"),
        ("share/man/man1/app.1", "documentation"),
        ("include/python3.11/Python.h", "headers"),
        (f"{SITE}/numpy/_core/include/x.h", "headers"),
        (f"{SITE}/numpy/lib/libnpymath.a", "static libraries"),
        (f"{SITE}/app/x.pyi", "type stubs"),
        (f"{SITE}/app/py.typed", "type stubs"),
        (f"{SITE}/app/__init__.pyi", "type stubs"),
        (f"{SITE}/app-1.0.dist-info/METADATA", "metadata"),
        (f"{SITE}/app-1.0.dist-info/licenses/tests/LICENSE", "metadata"),
        (f"{SITE}/old.egg-info/PKG-INFO", "metadata"),
        ("bin/app", "programs"),
        ("Scripts/app.exe", "programs"),
        (f"{SITE}/app/logo.png", "data"),
        ("postinstall.py", "Python source"),
    ],
)
def test_the_kind_of_a_file(arcname: str, kind: str) -> None:
    """The name determines the kind, which is one of the documented ones."""
    assert kind_of(arcname) == kind
    assert kind in KINDS


def test_every_preset_is_a_kind() -> None:
    """Files that a preset leaves out are counted under their own kind."""
    assert len(KINDS) == len(set(KINDS)) == 6 + len(PRESETS)
