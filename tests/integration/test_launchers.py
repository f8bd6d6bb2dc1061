"""Rewritten scripts, run by every Python found."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.posix.launchers import entry_point_script, relocate_script

PREFIX = "/srv/my env"


ONE_LINE = f"#!{PREFIX}/bin/python3.11"


def interpreters() -> list[str]:
    """The CPythons at hand, at least the one that runs the tests."""
    found = {sys.version_info[1]: sys.executable}
    homes = sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    search = os.pathsep.join([os.environ.get("PATH", ""), *map(str, homes)])
    for minor in range(9, 14):
        path = shutil.which(f"python3.{minor}", path=search)
        if path and minor not in found:
            code = "import sys; print(sys.executable)"
            run = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
            if run.returncode == 0:
                found[minor] = run.stdout.strip()
    return list(found.values())


def relocated(body: bytes, *, head: bytes = f"#!{PREFIX}/bin/python3.11\n".encode()) -> bytes:
    """The body behind our header, checked to be Python wherever the original is."""
    result = relocate_script(head + body, [PREFIX])
    assert result is not None
    compile(result, "script", "exec")
    assert relocate_script(result, [PREFIX]) == result
    return result


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
    result = relocated(text + newline)
    assert result.splitlines()[:3] == [b"#!/bin/sh", line, b"''':'"]
    assert result.count(line) == 1
    assert run(result, tmp_path) == "'Gr\\xfcn.'\n"


FUTURE = "from __future__ import annotations\n"


BODIES = {
    "none": "import os\n",
    "nothing": "",
    "simple": '"""One line."""\nimport os\n',
    "single quotes": "'One line.'\nx = 1",
    "future": f'"""Doc."""\n{FUTURE}x: Unknown = 1\n',
    "future only": f"{FUTURE}x: Unknown = 1\n",
    "futures": f'"""Doc."""\n{FUTURE}\n# why\nfrom __future__ import (division,\n  generators)\n',
    "raw": f'r"""\\d+ "quoted" \\."""\n{FUTURE}',
    "unicode": f"u'Doc.'\n{FUTURE}",
    "capitals": f"R'''\\Doc'''\n{FUTURE}",
    "concatenated": f"'a' \"b\" \\\n  '''c'''\n{FUTURE}",
    "parentheses": f"('a'  # one\n 'b')\n{FUTURE}",
    "after comments": f'\n# Licence\n\n  # more\n"""Doc."""  # noqa\n\n{FUTURE}',
    "indented": f'"""  First.\n\n    Second\n      third.\n    """\n{FUTURE}',
    "header's words": "''':' exec\n\"$0\" '''\nx = 1\n",
    "semicolons": '"""Doc."""; from __future__ import annotations ;x = __doc__; y = 1\n',
    "semicolon at the end": f'"""Doc.""" ;\n{FUTURE.strip()};\nx = 1\n',
    "no newline": '"""Doc."""',
    "no newline after future": f'"""Doc."""\n{FUTURE.strip()}',
    "bytes": "b'no docstring'\nx = 1\n",
    "formatted": "f'no docstring'\nx = 1\n",
    "expression": "'no docstring'.strip()\nx = 1\n",
    "tuple": "('no', 'docstring')\n",
    "compound": "if True:\n    '''no docstring'''\n",
    "non-ASCII": f'"""Grüße, €, 🐍."""\n{FUTURE}ä = 1\n',
    "form feed": f'"""Doc."""\n\f\n{FUTURE}',
    "page": f'"""a\fb\x1c\x85\u2028c"""\n{FUTURE}',
    "own use": f'"""Doc."""\n{FUTURE}x = __doc__\ndef f():\n    """Inner."""\n',
}


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
    pairs = [(name, b, relocated(b.encode()).decode()) for name, b in BODIES.items()]
    command = [python, "-S", *options, "-c", COMPARE]
    done = subprocess.run(
        command, input=json.dumps(pairs), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("compared\n", "")


def test_archive(tmp_path: Path) -> None:
    """A zip archive behind a shebang stays one, and Python runs it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("__main__.py", "print('from the archive')\n")
    result = relocate_script(f"{ONE_LINE} -I\n".encode() + archive.getvalue(), [PREFIX])
    assert result is not None
    assert result.endswith(archive.getvalue())
    assert run(result, tmp_path) == "from the archive\n"


@pytest.mark.parametrize("python", interpreters())
def test_entry_point_script(python: str, tmp_path: Path) -> None:
    """A launcher runs on every CPython, also in the children that it spawns."""
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
