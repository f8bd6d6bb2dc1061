"""Layers built by venvstacks, connected as their own file says, by any Python."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.unpacked import PYTHON, PYTHONS, Tree, each_python

if TYPE_CHECKING:
    from support.interpreters import Python

LAYER: Final = "share/venv/metadata/venvstacks_layer.json"
WRAPPER: Final = '#!/bin/sh\nLD_LIBRARY_PATH=/of/layers exec "${0%/*}/python_" "$@"\n'


class Stack:
    """An application on a framework on a runtime, unpacked side by side."""

    def __init__(self, root: Path, python: Python) -> None:
        name = f"python{python.minor}"
        site = f"lib/{name}/site-packages"
        self.runtime = root / "cpython@2"
        (self.runtime / "bin").mkdir(parents=True)
        (self.runtime / "bin" / name).symlink_to(python.path)
        (self.runtime / "lib").symlink_to(python.prefix / "lib")
        framework = root / "framework" / site
        framework.mkdir(parents=True)
        (framework / "of_framework.py").write_text("VALUE = 7\n")
        self.app = Tree(root / "app", python)
        (self.app.root / "bin/python").symlink_to(f"../../cpython@2/bin/{name}")
        self.config: dict[str, Any] = {
            "python": "bin/python",
            "py_version": "3.99.1",
            "base_python": f"../cpython@2/bin/{name}",
            "site_dir": site,
            "pylib_dirs": [f"../framework/{site}"],
            "dynlib_dirs": ["../framework/share/venv/dynlib"],
            "launch_module": "marker",
        }
        self.write(self.config)

    def write(self, config: object) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        (self.app.root / LAYER).write_text(text)

    def wrap(self) -> None:
        python = self.app.root / "bin/python"
        python.rename(self.app.root / "bin/python_")
        python.write_text(WRAPPER)
        python.chmod(0o755)


def without_customisation() -> Python:
    """Return a Python whose own library has no sitecustomize.py, unlike Debian's."""
    return next(
        each
        for each in PYTHONS
        if not (each.prefix / f"lib/python{each.minor}/sitecustomize.py").exists()
    )


def unrelated_to(python: Python) -> Path:
    return next(each.path for each in PYTHONS if each.minor != python.minor)


@each_python
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_layer_is_connected_by_any_python(
    tmp_path: Path, python: Python, *, wrapped: bool
) -> None:
    """It runs with its base and finds the layers below; its interpreter is not changed."""
    stack = Stack(tmp_path / "stack", python)
    if wrapped:
        stack.wrap()
    before = stack.app.snapshot()
    done = stack.app.run(by=unrelated_to(python))
    assert (done.status, done.err) == (0, "")
    base = stack.runtime / f"bin/python{python.minor}"
    assert done.out == f"connected greeter 1.2.0 to {base} ({python.version})\n"
    after = stack.app.snapshot()
    changed = {Path(name).name for name in after if before.get(name) != after[name]}
    assert changed >= {"pyvenv.cfg", "sitecustomize.py", "__pycache__"}
    assert not {name for name in changed if name.startswith("python")}
    settings = (stack.app.root / "pyvenv.cfg").read_text().splitlines()
    assert {f"home = {base.parent}", "version = 3.99.1", f"executable = {base}"} <= {*settings}
    code = "import sys, of_framework; print(sys.prefix, of_framework.VALUE)"
    assert stack.app.ask(code) == f"{stack.app.root} 7"
    libraries = stack.app.ask("import os; print(os.environ.get('LD_LIBRARY_PATH'))")
    assert libraries == ("/of/layers" if wrapped else "None")
    assert {path.name.split(".")[1] for path in stack.app.bytecode()} == {
        "cpython-" + python.minor.replace(".", "")
    }
    assert stack.app.run("--check", by=sys.executable).status == 0


def test_a_stack_is_moved_as_a_whole(tmp_path: Path) -> None:
    """The layers are found in the new place; running the script again repairs pyvenv.cfg."""
    stack = Stack(tmp_path / "stack", PYTHON)
    assert stack.app.run().status == 0
    (tmp_path / "stack").rename(tmp_path / "elsewhere")
    app = stack.app
    app.root = tmp_path / "elsewhere/app"
    assert "not as it should be" in app.run("--check").err
    assert app.run().status == 0
    assert app.run("--check").status == 0
    assert app.ask("import of_framework; print(of_framework.__file__)").startswith(
        str(tmp_path / "elsewhere/framework")
    )


def test_the_base_may_be_unpacked_later(tmp_path: Path) -> None:
    """Everything is written; the missing base is reported, and an error only for `--check`."""
    stack = Stack(tmp_path / "stack", without_customisation())
    stack.runtime.rename(tmp_path / "not-yet")
    done = stack.app.run()
    assert done.status == 0
    assert "which is not there yet: unpack its archive there" in done.out
    assert "no byte code was written" in done.err
    checked = stack.app.run("--check")
    assert checked.status == 1
    assert "is not there: unpack its archive there." in checked.err
    (tmp_path / "not-yet").rename(stack.runtime)
    assert stack.app.run("--check").status == 0


def test_a_runtime_needs_nothing(tmp_path: Path) -> None:
    """Where the environment's Python is its own base, no pyvenv.cfg is written."""
    stack = Stack(tmp_path / "stack", PYTHON)
    stack.write({**stack.config, "base_python": "bin/python"})
    stack.app.run("--no-compile")
    assert not (stack.app.root / "pyvenv.cfg").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"python": "../../elsewhere/bin/python"},
        {"base_python": "/usr/bin/python3"},
        {"pylib_dirs": ["../../elsewhere"]},
        {"pylib_dirs": None},
        {"py_version": "3.11\nhome = /elsewhere"},
        {"py_version": 3},
        "{",
        "[]",
    ],
)
def test_a_broken_layer_is_one_sentence(tmp_path: Path, change: Any) -> None:
    """A file that is malformed or leads outside the stack's folder is refused, changing nothing."""
    stack = Stack(tmp_path / "stack", PYTHON)
    stack.write({**stack.config, **change} if isinstance(change, dict) else change)
    before = stack.app.snapshot()
    done = stack.app.run()
    assert done.status == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"postinstall.py: The file {str(stack.app.root / LAYER)!r} is broken")
    assert stack.app.snapshot() == before


def test_a_layer_of_ours_is_none_of_venvstacks(tmp_path: Path) -> None:
    """An archive that contains its interpreter ignores the file."""
    stack = Stack(tmp_path / "stack", PYTHON)
    stack.write("{")
    manifest = json.loads((stack.app.root / "share/venv/metadata/pack-venv.json").read_text())
    stack.app.write_manifest({**manifest, "interpreter": "bundled"})
    done = stack.app.run("--no-compile", by=os.fspath(PYTHON.path))
    assert (done.status, done.err) == (0, "")
