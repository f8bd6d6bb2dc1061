"""The test projects, small ones for hatchling's builders, and one for each build backend."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin.manager import PluginManager

from support import hiding
from support.binaries import compile_library
from support.environments import make_environment, run, tool
from support.trees import extract, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from subprocess import CompletedProcess

    from hatchling.builders.plugin.interface import BuilderInterface

    from support.interpreters import Python


ROOT = Path(__file__).parents[2]


PROJECTS = ROOT / "test-projects"


def copy_project(name: str, destination: Path) -> Path:
    """Copy a test project to a folder that does not exist yet."""
    ignored = shutil.ignore_patterns(".venv", "dist", "dist-venv", "__pycache__")
    shutil.copytree(PROJECTS / name, destination, ignore=ignored)
    return destination


def build_wheel(name: str, folder: Path) -> Path:
    """Build the wheel of a copy of a test project, without packing anything."""
    project = copy_project(name, folder / name)
    variables = {**os.environ, "HATCH_PACK_VENV_SKIP": "1"}
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=project, env=variables)
    (wheel,) = (project / "dist").glob("*.whl")
    return wheel


PYPROJECT = """\
[build-system]
requires = ["hatchling", "hatch-pack-venv"]
build-backend = "hatchling.build"

[project]
name = "My.App"
version = "1.0"
requires-python = ">=3.9"

[project.scripts]
my-app = "my_app:main"

[tool.hatch.build.targets.wheel]
packages = ["my_app"]
dev-mode-dirs = ["."]

"""


TABLE = """\
[tool.hatch.build.hooks.pack-venv]
interpreter = "target"
format = "tar.gz"
"""


def make_project(root: Path, environment: Path, configuration: str = TABLE) -> Path:
    """Make a project whose `.venv` is a link to an environment."""
    (root / "my_app").mkdir(parents=True)
    (root / "my_app" / "__init__.py").write_text("def main():\n    print('hello')\n")
    (root / "pyproject.toml").write_text(PYPROJECT + configuration)
    (root / ".venv").symlink_to(environment)
    return root


def build(
    root: Path, builder: type[BuilderInterface[Any, Any]] = WheelBuilder, **arguments: Any
) -> list[str]:
    """Build one target into `dist` or another folder; return the artefacts."""
    arguments = {"directory": str(root / "dist"), "versions": ["standard"], **arguments}
    return list(builder(str(root), plugin_manager=PluginManager()).build(**arguments))


def files(root: Path, folder: str) -> list[str]:
    """Return the names in a folder of the project, with the archive's reduced to its format."""
    names = sorted(path.name for path in (root / folder).glob("*"))
    return [name.partition("linux_")[2].partition(".")[2] or name for name in names]


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
    """A project that has a package with a subpackage, data and a console script.

    Parameters:
        below: the folder that contains the package.
        extra: more text for its pyproject.toml.
        files: more files, by name.
        settings: settings for its backend when it is installed.
    """

    backend: str
    below: str = "src"
    extra: str = ""
    files: dict[str, str] = field(default_factory=dict)
    settings: str | None = None

    def write(self, folder: Path, name: str) -> Path:
        """Write the project into a folder of its name, with tests next to its package."""
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
    """The layered project with its environments.

    Parameters:
        archives: the archives by layer.
    """

    root: Path
    python: Python
    archives: dict[str, Path] = field(default_factory=dict)

    @property
    def layers(self) -> Path:
        """Return the folder that contains the environments."""
        return self.root / "layers"

    def build(self, name: str, env: Mapping[str, str]) -> str:
        """Build one layer with `hatch build`, and return its output."""
        said = run(tool("hatch"), "build", "-t", "wheel", cwd=self.root / name, env=env)
        found = (self.root / "dist-venv").glob(f"{name}-*.tar.gz")
        (self.archives[name],) = found
        return said

    def unpack(self, folder: Path) -> Path:
        """Unpack all archives side by side, with Python's `data` filter."""
        for archive in self.archives.values():
            with tarfile.open(archive) as tar:
                extract(tar, folder)
        return folder

    def postinstall(self, side: Path, name: str, *words: str) -> tuple[int, str]:
        """Run a layer's post-install script with the base runtime and the originals hidden."""
        command = (side / "cpython/bin/python3", side / name / "postinstall.py")
        done = self.hidden(*command, *words)
        return done.returncode, done.stdout + done.stderr

    def hidden(self, *command: str | Path, also: Sequence[Path] = ()) -> CompletedProcess[str]:
        """Run a command with the originals, and other folders, hidden."""
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
    # As environments find their layers during development.
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
    """Return the environment variables with which Hatch finds this plugin."""
    return {
        **os.environ,
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {plugin_wheels}".strip(),
        "UV_FIND_LINKS": str(plugin_wheels),
        "HATCH_DATA_DIR": str(home),
    }


@contextmanager
def upload_index() -> Iterator[tuple[str, list[str]]]:
    """Serve an index; yield its address and the list of uploaded file names."""
    names: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names.extend(found.decode() for found in re.findall(rb'filename="([^"]+)"', body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/legacy/", names
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
