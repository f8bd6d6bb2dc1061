"""The test project `layered`: its environments, and its archives built by a real `hatch build`."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support import hiding
from support.compiled import compile_library
from support.environments import make_environment, run, tool
from support.projects import copy_project
from support.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from subprocess import CompletedProcess

    from support.interpreters import Python

LAYERS = ("cpython", "framework", "forecast", "survey")
BARE = {"PATH": "/usr/bin:/bin"}
_TALLY = """\
#include <Python.h>
int counted(int);
static PyObject *count(PyObject *self, PyObject *number) {
    return PyLong_FromLong(counted((int)PyLong_AsLong(number)));
}
static PyMethodDef methods[] = {{"count", count, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tally", NULL, -1, methods};
PyMODINIT_FUNC PyInit_tally(void) { return PyModule_Create(&module); }
"""


@dataclass(frozen=True, kw_only=True)
class Layered:
    """The project with its environments.

    Parameters:
        archives: by layer.
    """

    root: Path
    python: Python
    archives: dict[str, Path] = field(default_factory=dict)

    @property
    def layers(self) -> Path:
        """Return the folder that holds the environments."""
        return self.root / "layers"

    def build(self, name: str, env: Mapping[str, str]) -> str:
        """Build one layer by `hatch build`, and return what was said."""
        said = run(tool("hatch"), "build", "-t", "wheel", cwd=self.root / name, env=env)
        found = (self.root / "dist-venv").glob(f"{name}-*.tar.gz")
        (self.archives[name],) = found
        return said

    def unpack(self, folder: Path) -> Path:
        """Unpack all archives side by side, by Python's own filter for data."""
        for archive in self.archives.values():
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        return folder

    def postinstall(self, side: Path, name: str, *words: str) -> tuple[int, str]:
        """Run a layer's post-install script by the base runtime, with the originals hidden."""
        command = (side / "cpython/bin/python3", side / name / "postinstall.py")
        done = self.hidden(*command, *words)
        return done.returncode, done.stdout + done.stderr

    def hidden(self, *command: str | Path, also: Sequence[Path] = ()) -> CompletedProcess[str]:
        """Run a command with the originals hidden, and other folders."""
        hide = [self.root, self.python.prefix, *also]
        return hiding.run_hidden(command, hide=hide, env=BARE)

    def facts(self, side: Path, name: str, also: Sequence[Path] = ()) -> dict[str, Any]:
        """Run an application with the originals hidden, and return what it prints."""
        done = self.hidden(side / name / "bin" / name, also=also)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def make_layered(root: Path, python: Python) -> Layered:
    """Copy the project and prepare its environments, without packing anything."""
    layered = Layered(root=copy_project("layered", root), python=python)
    layers = layered.layers
    layers.mkdir()
    wheels = root.parent / "wheels"
    wheels.mkdir()
    counting, tally = _compiled_wheels(wheels, python)
    common = make_wheel(wheels, {"common.py": b"value = 5\n"}, "common-1.0-py3-none-any.whl")
    make_environment(layers / "cpython", python, [str(common)], by="uv")
    make_environment(layers / "framework", python, ["numpy", str(counting)], by="uv")
    make_environment(layers / "survey", python, ["--no-deps", str(tally)], by="uv")
    make_environment(layers / "forecast", python, [], by="uv")
    site = f"lib/python{python.minor}/site-packages"
    # As environments see their layers while they are developed.
    see = layers / "survey" / site / "layers.pth"
    see.write_text(f"{layers}/framework/{site}\n")
    series = layers / "framework/share/series/series.json"
    series.parent.mkdir(parents=True)
    series.write_text("[1, 3, 5, 7]")
    data = layers / "forecast/share/forecast"
    data.mkdir(parents=True)
    (data / "series.json").symlink_to(series)
    return layered


def _compiled_wheels(folder: Path, python: Python) -> tuple[Path, Path]:
    """Make a wheel with two libraries, and one with a module that needs the first of them."""
    libraries = folder / "libraries"
    adding = compile_library(
        libraries / "libadding.so.1", source="int added(int a, int b) { return a + b; }"
    )
    counting = compile_library(
        libraries / "libcounting.so.1",
        str(adding),
        "-Wl,-rpath,$ORIGIN",
        source="int added(int, int);\nint counted(int n) { return added(n, 20); }",
    )
    suffix = run(
        python.path, "-c", "import sysconfig as s; print(s.get_config_var('EXT_SUFFIX'), end='')"
    )
    include = run(python.path, "-c", "import sysconfig as s; print(s.get_path('include'), end='')")
    module = compile_library(
        libraries / f"tally{suffix}", f"-I{include}", str(counting), source=_TALLY
    )
    return (
        make_wheel(
            folder,
            {
                "counting/__init__.py": b"",
                "counting.libs/libadding.so.1": adding.read_bytes(),
                "counting.libs/libcounting.so.1": counting.read_bytes(),
            },
            "counting-1.5-py3-none-any.whl",
        ),
        make_wheel(
            folder,
            {module.name: module.read_bytes()},
            "tally-0.1-py3-none-any.whl",
            b"Requires-Dist: counting\n",
        ),
    )


def variables(plugin_wheels: Path, home: Path) -> dict[str, str]:
    """Return the variables by which Hatch finds this plugin."""
    return {
        **os.environ,
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {plugin_wheels}".strip(),
        "UV_FIND_LINKS": str(plugin_wheels),
        "HATCH_DATA_DIR": str(home),
    }
