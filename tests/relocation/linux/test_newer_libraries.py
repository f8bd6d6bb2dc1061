"""Of a bundled compiler library and the target's own, the process uses the newer one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.archives import open_tar
from support.binaries import compile_library
from support.environments import make_environment, run
from support.hiding import run_hidden
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import extract

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [needs("namespaces", "gcc"), pytest.mark.slow]
PREFIXES: Final = {"libgcc_s.so.1": "GCC", "libstdc++.so.6": "GLIBCXX"}
MODULE: Final = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "built", "", -1, 0};
PyMODINIT_FUNC PyInit_built(void) { return PyModule_Create(&module); }
"""
LOADED: Final = (
    "print({line.split()[-1] for line in open('/proc/self/maps') if %r in line.split('/')[-1]})"
)

each_python = pytest.mark.parametrize("python", bundlable(), ids=lambda python: python.minor)
each_library = pytest.mark.parametrize("name", PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An unpacked bundle, and a library of the target that needs the newest libgcc_s or libstdc++.

    Parameters:
        hidden: the originals.
    """

    root: Path
    driver: Path
    hidden: tuple[Path, ...]

    def run(self, code: str, env: Mapping[str, str] | None = None) -> str:
        """Run a line in the bundle; return its output, or the last line of its error."""
        command = [str(self.root / "bin/python"), "-c", code]
        done = run_hidden(command, hide=self.hidden, env=env or {"PATH": "/usr/bin:/bin"})
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    @property
    def draw(self) -> str:
        return f"import ctypes; print(ctypes.CDLL({str(self.driver)!r}) and 'drawn')"


def of_system(name: str) -> Path:
    return Path(run("gcc", f"-print-file-name={name}").strip()).resolve()


def newest(library: Path, name: str) -> tuple[str, str]:
    """Return the highest version that a library defines, and a symbol of it."""
    listed = run("nm", "-D", "--defined-only", library)
    found = re.findall(rf" [TW] (\w+)@@{PREFIXES[name]}_([\d.]+)$", listed, re.MULTILINE)
    symbol, number = max(found, key=lambda each: [int(part) for part in each[1].split(".")])
    return f"{PREFIXES[name]}_{number}", symbol


@pytest.fixture
def scene(tmp_path: Path, python: Python, name: str, request: pytest.FixtureRequest) -> Scene:
    """Pack an environment with a module that needs a library; the parameter alters its copy."""
    system = of_system(name)
    version, symbol = newest(system, name)
    alter = getattr(request, "param", lambda version: version[:-1] + "X")
    (tmp_path / "old").mkdir()
    content = system.read_bytes().replace(version.encode(), alter(version).encode())
    (tmp_path / "old" / name).write_bytes(content)
    flags = ["-nodefaultlibs", "-Wl,--no-as-needed", str(system), "-lc"]
    source = f"void {symbol}(void); void *draw(void) {{ return (void *){symbol}; }}"
    driver = compile_library(tmp_path / "target/libdriver.so", *flags, source=source)
    env = make_environment(tmp_path / "made/env", python, by="uv")
    headers = f"-I{python.prefix}/include/python{python.minor}"
    module = env / f"lib/python{python.minor}/site-packages/built.so"
    flags[2] = str(tmp_path / "old" / name)
    compile_library(module, headers, *flags, f"-Wl,-rpath,{tmp_path}/old", source=MODULE)
    (result,) = pack(env, tmp_path / "out/app", PackOptions.from_mapping({"format": "tar"}))
    with open_tar(result.path) as tar:
        extract(tar, tmp_path / "there")
    (root,) = (tmp_path / "there").iterdir()
    hidden = (env, python.prefix, tmp_path / "old", tmp_path / "out")
    return Scene(root=root, driver=driver, hidden=hidden)


@each_python
@each_library
def test_the_target_s_newer_library_serves_all(scene: Scene, name: str) -> None:
    """It is used whether ctypes or a module loads it first, and neither is loaded early."""
    assert scene.run(scene.draw) == "drawn"
    assert scene.run(f"import built; {scene.draw}") == "drawn"
    assert scene.run(f"import _json, _struct; {LOADED % name}") == "set()"
    assert str(scene.root) not in scene.run(f"import built; {LOADED % name}")


@pytest.mark.parametrize("python", bundlable()[-1:], ids=lambda python: python.minor)
@each_library
@pytest.mark.parametrize("scene", [lambda version: version], indirect=True, ids=["equal"])
def test_of_two_of_one_version_the_bundled_one_serves(scene: Scene, name: str) -> None:
    """The bundled library is preferred, so that what was tested is what runs."""
    assert scene.run(f"import built; {LOADED % name}") == repr({f"{scene.root}/lib/{name}"})
    assert scene.run(scene.draw) == "drawn"


@pytest.mark.parametrize("python", bundlable()[-1:], ids=lambda python: python.minor)
@each_library
def test_what_the_library_path_names_is_the_target_s(
    scene: Scene, name: str, tmp_path: Path
) -> None:
    """LD_LIBRARY_PATH wins, as module systems need; a library for another machine is skipped."""
    content = of_system(name).read_bytes()
    for folder, copy in {
        "newer": content,
        "other": content[:18] + b"\xb7\0" + content[20:],
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(copy)
    env = {"LD_LIBRARY_PATH": f":{tmp_path}/other:{tmp_path}/newer", "PATH": "/usr/bin:/bin"}
    assert scene.run(scene.draw, env) == "drawn"
    assert scene.run(f"import built; {LOADED % name}", env) == repr({f"{tmp_path}/newer/{name}"})
