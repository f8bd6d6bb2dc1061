"""The bundled standard library: patched modules and recorded paths."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import INTERPRETER

from hatch_pack_venv.platforms.posix.stdlib import (
    knows_its_place,
    made_portable,
    site_entries,
    wheel_folder_in,
)


@pytest.mark.parametrize(
    "name", ["_sysconfigdata__linux_x86_64-linux-gnu.py", "ssl.py", "ctypes/util.py", "os.py"]
)
def test_what_modules_get_is_valid_python(name: str) -> None:
    """Additions parse in Python 3.9, and all other modules stay unchanged."""
    text = made_portable(name, b"x = 1\n", INTERPRETER)
    ast.parse(text, feature_version=(3, 9))
    assert knows_its_place(name, INTERPRETER) is (text != b"x = 1\n") is (name != "os.py")


def test_recorded_paths_follow_the_prefix() -> None:
    """Only whole folder names are replaced, wherever in a value they occur."""
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


DEBIAN = replace(
    INTERPRETER,
    scheme="posix_local",
    site_folders=("local/lib/python3.11/dist-packages", "lib/python3/dist-packages"),
)


@pytest.mark.parametrize(
    "name",
    [
        "sysconfig.py",
        "sysconfig/__init__.py",
        "distutils/sysconfig.py",
        "distutils/command/install.py",
    ],
)
def test_only_what_a_distribution_changed_is_changed_back(name: str) -> None:
    """The interpreter is recognised by its site folders and its scheme, not by a name."""
    assert not knows_its_place(name, INTERPRETER)
    assert knows_its_place(name, DEBIAN)
    ast.parse(made_portable(name, b"x = 1\n", DEBIAN), feature_version=(3, 9))
    of_debian_11 = replace(DEBIAN, scheme="posix_prefix")
    assert knows_its_place(name, of_debian_11) is name.startswith("distutils")


def test_an_interpreter_that_looks_elsewhere_is_told_of_site_packages() -> None:
    """A path file in a folder that it does search imports a module, which is valid Python."""
    assert list(site_entries(INTERPRETER, "lib/python3.11")) == []
    path_file, module = site_entries(DEBIAN, "lib/python3.11")
    assert path_file.arcname == "lib/python3/dist-packages/site-packages.pth"
    assert isinstance(module.content, bytes)
    ast.parse(module.content, feature_version=(3, 9))
    name = module.arcname.removeprefix("lib/python3.11/").removesuffix(".py")
    assert path_file.content == f"import {name}\n".encode()


def test_the_description_of_a_build_is_relative(tmp_path: Path) -> None:
    """build-details.json (PEP 739) gives paths relative to its own location."""
    details = {
        "schema_version": "1.0",
        "base_prefix": "/opt/python",
        "base_interpreter": "/opt/python/bin/python3.11",
        "language": {"version": "3.11"},
        "libpython": {
            "static": "/opt/python/lib/libpython3.11.a",
            "dynamic": "/opt/python/lib/libpython3.11.so.1.0",
            "link_extensions": False,
        },
        "c_api": {
            "headers": "/opt/python/include/python3.11",
            "pkgconfig_path": "/opt/python/lib/pkgconfig",
        },
    }
    shared = replace(INTERPRETER, library=tmp_path / "libpython3.11.so.1.0")
    for name in ("build-details.json", "build-details..x86_64-linux-gnu.json"):
        told = json.loads(made_portable(name, json.dumps(details).encode(), shared))
        assert told == {
            **details,
            "base_prefix": "../..",
            "base_interpreter": "bin/python3.11",
            "libpython": {"dynamic": "lib/libpython3.11.so.1.0", "link_extensions": False},
            "c_api": {"headers": "include/python3.11"},
        }
    for damaged in (b"{", b"[]", b'{"libpython": 1}'):
        assert made_portable("build-details.json", damaged, shared) == damaged


def test_an_ensurepip_that_names_its_wheels_finds_those_of_the_bundle() -> None:
    """Debian 11's `ensurepip` holds the folder's path, with what follows it, as literals."""
    text = """
import sys
names = ['/usr/share/python-wheels', '/usr/share/python-wheels/{}-*.whl'.format('pip')]
"""
    system = replace(INTERPRETER, base_prefix=Path("/usr"))
    assert wheel_folder_in(text) == "/usr/share/python-wheels"
    assert wheel_folder_in("import sys\n") is None
    module: dict[str, Any] = {}
    exec(made_portable("ensurepip/__init__.py", text.encode(), system), module)  # noqa: S102
    folder = f"{sys.base_prefix}/share/python-wheels"
    assert module["names"] == [folder, f"{folder}/pip-*.whl"]
