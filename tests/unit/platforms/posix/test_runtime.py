"""The bundled standard library: patched modules and recorded paths."""

from __future__ import annotations

import ast
import sys
from typing import Any

import pytest
from support.fakes import INTERPRETER

from hatch_pack_venv.platforms.posix.runtime import knows_its_place, made_portable


@pytest.mark.parametrize(
    "name", ["_sysconfigdata__linux_x86_64-linux-gnu.py", "ssl.py", "ctypes/util.py", "os.py"]
)
def test_what_modules_get_is_valid_python(name: str) -> None:
    """Additions parse as Python 3.9 does, and all other modules stay as they are."""
    text = made_portable(name, b"x = 1\n", INTERPRETER)
    ast.parse(text, feature_version=(3, 9))
    assert knows_its_place(name, INTERPRETER) is (text != b"x = 1\n") is (name != "os.py")


def test_recorded_paths_follow_the_prefix() -> None:
    """Only whole folders are replaced, wherever in a value they stand."""
    names = {
        "LIBDIR": "/opt/python/lib",
        "LDFLAGS": "-L/opt/python/lib -Wl,-rpath,/opt/python",
        "OTHER": "/opt/python-other /opt/python3",
        "NUMBER": 1,
    }
    recorded = f"build_time_vars = {names!r}\n".encode()
    text = made_portable("_sysconfigdata_x.py", recorded, INTERPRETER)
    assert b"/opt/python/" not in text
    module: dict[str, Any] = {}
    exec(text, module)  # noqa: S102
    names = module["build_time_vars"]
    base = sys.base_prefix
    assert names == {
        "LIBDIR": f"{base}/lib",
        "LDFLAGS": f"-L{base}/lib -Wl,-rpath,{base}",
        "OTHER": "/opt/python-other /opt/python3",
        "NUMBER": 1,
    }
