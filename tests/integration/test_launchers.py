"""Rewritten scripts, run by every Python found."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Final

import pytest
from support.fakes import SCRIPT_BODIES, SCRIPT_PREFIX, relocated_script
from support.interpreters import newest_of_each

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.posix.launchers import entry_point_script, relocate_script

if TYPE_CHECKING:
    from pathlib import Path

ONE_LINE = f"#!{SCRIPT_PREFIX}/bin/python3.11"


def interpreters() -> list[str]:
    """Return the CPythons found, at least the one that runs the tests."""
    return [str(python.path) for python in newest_of_each()]


def run(script: bytes, folder: Path, *options: str, python: str = sys.executable) -> str:
    path = folder / "script"
    path.write_bytes(script)
    command = [python, "-S", *options, str(path)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("cookie", ["latin-1", "iso-8859-15", "cp1252"])
def test_coding_cookie(cookie: str, newline: bytes, tmp_path: Path) -> None:
    """A coding cookie goes to line 2, where it is in force (PEP 263)."""
    line = f"# vim: set fileencoding={cookie} :".encode()
    text = newline.join(
        [line, '"""Grün."""'.encode(cookie), b"import sys", b"print(ascii(__doc__))"]
    )
    result = relocated_script(text + newline)
    assert result.splitlines()[:3] == [b"#!/bin/sh", line, b"''':'"]
    assert result.count(line) == 1
    assert run(result, tmp_path) == "'Gr\\xfcn.'\n"


COMPARE: Final = """
import json, sys
for name, *sources in json.load(sys.stdin):
    spaces = [{"__name__": "__main__", "__doc__": None} for source in sources]
    for source, space in zip(sources, spaces):
        exec(compile(source.encode(), name, "exec", 0, True), space)
    docs = [space["__doc__"] for space in spaces]
    assert docs[0] == docs[1], (name, docs)
print("compared")
"""


@pytest.mark.parametrize("options", [[], ["-OO"]])
@pytest.mark.parametrize("python", interpreters())
def test_docstring_everywhere(python: str, options: list[str]) -> None:
    """Any CPython finds the docstring that it finds in the original, with `-OO` too."""
    pairs = [(name, b, relocated_script(b.encode()).decode()) for name, b in SCRIPT_BODIES.items()]
    command = [python, "-S", *options, "-c", COMPARE]
    done = subprocess.run(
        command, input=json.dumps(pairs), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("compared\n", "")


def test_archive(tmp_path: Path) -> None:
    """A zip archive after a shebang is kept, and Python runs it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("__main__.py", "print('from the archive')\n")
    result = relocate_script(f"{ONE_LINE} -I\n".encode() + archive.getvalue(), [SCRIPT_PREFIX])
    assert result is not None
    assert result.endswith(archive.getvalue())
    assert run(result, tmp_path) == "from the archive\n"


@pytest.mark.parametrize("python", interpreters())
def test_entry_point_script(python: str, tmp_path: Path) -> None:
    """A launcher runs on every CPython, and in the child processes that it spawns."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "cli.py").write_text(
        "import multiprocessing, sys\n"
        "def work(queue): queue.put(sys.modules['__main__'].__name__)\n"
        "class App:\n"
        "    @staticmethod\n"
        "    def main():\n"
        "        context = multiprocessing.get_context('spawn')\n"
        "        queue = context.Queue()\n"
        "        child = context.Process(target=work, args=(queue,))\n"
        "        child.start(); child.join()\n"
        "        print(queue.get(), sys.modules['__main__'].__doc__)\n"
    )
    entry_point = EntryPoint(name="my tool.x", module="pkg.cli", attr="App.main")
    assert run(entry_point_script(entry_point), tmp_path, python=python) == "__mp_main__ None\n"
