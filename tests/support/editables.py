"""Editable installs: small projects of every build backend, and what is told of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.scan.editables import ResolvedEditables

EXTENSION: Final = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0, 0, 0, 0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_ext", 0, -1, methods};
PyMODINIT_FUNC PyInit__ext(void) { return PyModule_Create(&module); }
"""
MESON: Final = """\
project('x', 'c', version: '1.0')
py = import('python').find_installation(pure: false)
py.install_sources('src/{module}/__init__.py', 'src/{module}/data.txt', subdir: '{module}')
install_subdir('src/{module}/sub', install_dir: py.get_install_dir() / '{module}')
py.extension_module('_ext', 'ext.c', install: true, subdir: '{module}')
"""
CMAKE: Final = """\
cmake_minimum_required(VERSION 3.15)
project(x LANGUAGES C)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
python_add_library(_ext MODULE ext.c WITH_SOABI)
install(TARGETS _ext DESTINATION {module})
"""
SETUPTOOLS: Final = "setuptools.build_meta"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A project that brings a package with a subpackage, data and a console script.

    Parameters:
        below: the folder that the package lies in.
        extra: text of its pyproject.toml.
        files: besides, by name.
        settings: of its backend, when it is installed.
    """

    backend: str
    below: str = "src"
    extra: str = ""
    files: dict[str, str] = field(default_factory=dict)
    settings: str | None = None

    def write(self, folder: Path, name: str) -> Path:
        """Write the project into a folder of its name, with tests beside its package."""
        module, root = name.replace("-", "_"), folder / name
        package = f"{self.below}/{module}"
        files = {
            "pyproject.toml": f'[build-system]\nrequires = []\nbuild-backend = "{self.backend}"\n'
            f'[project]\nname = "{name}"\nversion = "1.0"\ndescription = "a sample"\n'
            f'[project.scripts]\nrun-{name} = "{module}:main"\n{self.extra}',
            f"{package}/__init__.py": "from pathlib import Path\n\ndef main():\n"
            "    print(__name__, (Path(__file__).parent / 'data.txt').read_text())\n",
            f"{package}/data.txt": f"data of {name}",
            f"{package}/sub/__init__.py": "",
            f"{package}/sub/mod.py": "x = 1\n",
            "tests/__init__.py": "",
            "tests/test_it.py": "",
            **self.files,
        }
        for path, content in files.items():
            target = root / path.replace("{module}", module)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content.replace("{module}", module))
        return root


SAMPLES: Final = {
    "st-src": Sample(backend=SETUPTOOLS, extra="[tool.setuptools.package-data]\n'*'=['*.txt']\n"),
    "st-flat": Sample(
        backend=SETUPTOOLS,
        below=".",
        extra="[tool.setuptools]\npackages=['st_flat','st_flat.sub']\npy-modules=['st_module']\n",
        files={"st_module.py": "y = 2\n"},
    ),
    "st-ns": Sample(
        backend=SETUPTOOLS,
        below="code",
        extra="[tool.setuptools]\npackages=['st_ns','st_ns.sub','spaced.one']\n"
        "[tool.setuptools.package-dir]\nst_ns='code/st_ns'\n'spaced.one'='elsewhere'\n",
        files={"elsewhere/__init__.py": "z = 3\n"},
    ),
    "st-strict": Sample(
        backend=SETUPTOOLS,
        extra="[tool.setuptools.package-data]\n'*'=['*.txt']\n",
        settings="editable_mode=strict",
    ),
    "ha-src": Sample(backend="hatchling.build"),
    "ha-flat": Sample(backend="hatchling.build", below="."),
    "ha-exact": Sample(
        backend="hatchling.build", extra="[tool.hatch.build]\ndev-mode-exact = true\n"
    ),
    "fl-it": Sample(backend="flit_core.buildapi", below="."),
    "uv-it": Sample(backend="uv_build"),
    "pd-path": Sample(backend="pdm.backend"),
    "pd-exact": Sample(
        backend="pdm.backend", extra="[tool.pdm.build]\neditable-backend = 'editables'\n"
    ),
    "po-it": Sample(backend="poetry.core.masonry.api", below="."),
    "me-it": Sample(backend="mesonpy", files={"meson.build": MESON, "ext.c": EXTENSION}),
    "sk-it": Sample(
        backend="scikit_build_core.build", files={"CMakeLists.txt": CMAKE, "ext.c": EXTENSION}
    ),
}
DEVELOPED: Final = Sample(
    backend=SETUPTOOLS,
    files={
        "setup.py": "from setuptools import setup\nsetup(scripts=['bin/old-script'])\n",
        "bin/old-script": "#!/usr/bin/env python\nimport st_dev\nprint('script of', st_dev)\n",
    },
)


def direct_url(path: Path) -> str:
    """Return what `direct_url.json` says of a project that is installed editable."""
    return json.dumps({"url": f"file://{path}", "dir_info": {"editable": True}})


def problem_of(settled: ResolvedEditables) -> str | None:
    """Return why the last distribution could not be copied."""
    last = settled.environment.distributions[-1].editable
    return None if last is None else last.problem
