"""Launchers: which scripts are rewritten, and that what they become is still Python."""

from __future__ import annotations

import ast
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

from hatch_pack_venv.metadata.installed import parse_entry_points
from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.posix.launchers import entry_point_script, relocate_script

PREFIX = "/srv/my env"
MAIN = EntryPoint(name="my-tool", module="tool.cli", attr="main")
HEADER_LINES = entry_point_script(MAIN).partition(b"':'''\n")[0].count(b"\n") + 1

ONE_LINE = f"#!{PREFIX}/bin/python3.11"
FORMS = {
    "direct": f"#!{PREFIX}/bin/python3.11",
    "direct, spaced": f"#! {PREFIX}/bin/python ",
    "direct, free-threaded": f"#!{PREFIX}/bin/python3.13t",
    "direct, doubled slash": f"#!{PREFIX}/bin//python3",
    "long, unquoted": f"#!/bin/sh\n'''exec' {PREFIX}/bin/python3.11 \"$0\" \"$@\"\n' '''",
    "long, pip": f"#!/bin/sh\n'''exec' \"{PREFIX}/bin/python3.11\" \"$0\" \"$@\"\n' '''",
    "long, uv": f"#!/bin/sh\n'''exec' '{PREFIX}/bin/python3' \"$0\" \"$@\"\n' '''",
    "relocatable, uv": (
        "#!/bin/sh\n"
        "'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''"
    ),
    "placeholder of a wheel": "#!python",
}
FOREIGN = {
    "other environment": "#!/srv/other/bin/python3",
    "environment whose name starts alike": f"#!{PREFIX}2/bin/python3",
    "deeper folder": f"#!{PREFIX}/lib/x/bin/python3",
    "other interpreter of the environment": f"#!{PREFIX}/bin/node",
    "env": "#!/usr/bin/env python3",
    "shell": "#!/bin/sh\nexec true",
    "long, other environment": "#!/bin/sh\n'''exec' /srv/o/bin/python3 \"$0\" \"$@\"\n' '''",
}


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


@pytest.mark.parametrize("form", FORMS)
def test_recognised(form: str) -> None:
    """Every form a launcher comes in gets the same header, and keeps its body."""
    result = relocate_script(f"{FORMS[form]}\nimport os\nprint(os)\n".encode(), [PREFIX])
    assert result is not None
    assert result == relocated(b"import os\nprint(os)\n")
    assert result.startswith(b"#!/bin/sh\n''':'\n")
    assert result.endswith(b"__doc__ = None\nimport os\nprint(os)\n")
    assert PREFIX.encode() not in result


@pytest.mark.parametrize("form", FOREIGN)
def test_left_alone(form: str) -> None:
    """A script whose interpreter is not the environment's Python is left alone."""
    assert relocate_script(f"{FOREIGN[form]}\nprint()\n".encode(), [PREFIX]) is None


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF\x02", b"print()\n", b"\xcb\r\r\n", b"#!", b"#!\n"]
)
def test_no_script(content: bytes) -> None:
    """What does not begin with a command after `#!` is left alone."""
    assert relocate_script(content, [PREFIX], MAIN) is None


@pytest.mark.parametrize("name", ["q'uo", 'd"q', "$HOME", "`x`", "ü€", "\udcff", "x" * 300, "a[b]"])
@pytest.mark.parametrize("shape", ["direct", "plain", "pip", "uv", "shlex"])
def test_odd_prefixes(name: str, shape: str) -> None:
    """The prefix is recognised whatever it holds, as pip and uv write it."""
    python = f"/srv/{name}/bin/python"
    quoted = {
        "plain": python,
        "pip": f'"{python}"',
        "uv": "'" + python.replace("'", "'\"'\"'") + "'",
        "shlex": "'" + python.replace("'", "'\\''") + "'",
    }
    head = f"#!/bin/sh\n'''exec' {quoted.get(shape)} \"$0\" \"$@\"\n' '''\n"
    if shape == "direct":
        head = f"#!{python}\n"
    content = head.encode("utf-8", "surrogateescape") + b"x = 1\n"
    assert relocate_script(content, ["/srv/other/", f"/srv/{name}/"]) == relocated(b"x = 1\n")


def test_empty_body() -> None:
    """A script that is its first line only becomes one that does nothing, like the original."""
    assert relocated(b"", head=f"#!{PREFIX}/bin/python".encode()) == relocated(b"")


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        (" -I", b"-I"),
        (" -s -E", b"-s -E"),
        ("\t-Wignore::X", b"-Wignore::X"),
        (" -X $x'", b"""-X '$x'"'"''"""),
    ],
)
@pytest.mark.parametrize("entry_point", [None, MAIN])
def test_options(tail: str, options: bytes, entry_point: EntryPoint | None) -> None:
    """The interpreter's options stay, also when the script is relocated again."""
    forms = [
        ONE_LINE + tail,
        f"#!/bin/sh\n'''exec' '{PREFIX}/bin/python'{tail} \"$0\" \"$@\"\n' '''",
    ]
    for form in forms:
        result = relocate_script(f"{form}\nx = 1\n".encode(), [PREFIX], entry_point)
        assert result is not None
        compile(result, "script", "exec")
        assert b'\nexec "$_p" ' + options + b' "$_s" "$@"\n' in result
        assert relocate_script(result, [], entry_point) == result


@pytest.mark.parametrize("option", ["-X\\x", "-Xü", "-X\n"])
def test_impossible_options(option: str) -> None:
    """Options that Python would not read as text, as the header is, are refused, or left alone."""
    with pytest.raises(ValueError, match="plain ASCII"):
        entry_point_script(MAIN, [option])
    assert relocate_script(f"{ONE_LINE} {option}a\n".encode(), [PREFIX]) is None or "\n" in option


@pytest.mark.parametrize(
    "form", [*FORMS.values(), "#!/usr/bin/env python", "#!/usr/bin/env -S python3"]
)
def test_made_anew(form: str) -> None:
    """With its entry point known, a launcher is made anew from any form, `env python` included."""
    content = f"{form}\n# whatever\n".encode()
    assert relocate_script(content, [PREFIX], MAIN) == entry_point_script(MAIN)


def test_made_anew_only_if_of_the_environment() -> None:
    """A script of another interpreter is left alone even if an entry point has its name."""
    for form in ["#!/srv/other/bin/python3", "#!/bin/bash", "#!/usr/bin/env bash"]:
        assert relocate_script(f"{form}\nx\n".encode(), [PREFIX], MAIN) is None


def test_carriage_returns() -> None:
    """A script with CRLF gets a header with LF, and keeps its body's line ends."""
    body = b'"""Doc."""\r\nfrom __future__ import annotations\r\nprint(__doc__)\r\n'
    result = relocated(body, head=f"#!{PREFIX}/bin/python\r\n".encode())
    assert result.endswith(b"print(__doc__)\r\n")
    assert b"\r" not in b"".join(result.splitlines(keepends=True)[:HEADER_LINES])


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


def test_coding_cookie_nobody_knows() -> None:
    """A body in an encoding unknown here is rewritten all the same, byte for byte."""
    body = b"# coding: no-such-codec\n'\xe4'\nfrom __future__ import annotations\nx = '\xff'\n"
    result = relocate_script(f"{ONE_LINE}\n".encode() + body, [PREFIX])
    assert result is not None
    assert result.startswith(b"#!/bin/sh\n# coding: no-such-codec\n''':'\n")
    assert b"annotations\ndef __doc__(): '\xe4'\n__doc__ = __doc__.__doc__\nx = '\xff'\n" in result


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


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", BODIES)
def test_docstring(name: str, newline: str) -> None:
    """The module's `__doc__` is exactly the original's, and all else happens as it did."""
    body = BODIES[name].replace("\n", newline).encode()
    for optimize in (0, 2):
        expected: dict[str, object] = {"__name__": "__main__", "__doc__": None}
        actual = dict(expected)
        exec(compile(body, "x", "exec", dont_inherit=True, optimize=optimize), expected)  # noqa: S102
        code = compile(relocated(body), "x", "exec", dont_inherit=True, optimize=optimize)
        exec(code, actual)  # noqa: S102
        assert list(actual) == list(expected)
        assert actual["__doc__"] == expected["__doc__"]
        assert actual.get("x") == expected.get("x")


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


@pytest.mark.parametrize(
    "body",
    [
        '"""Doc."""\nfrom __future__ import print_function\nprint "old"\n',
        '"""Doc."""\nfrom __future__ import annotations\ntype X[T] = list[T\n',
        '"""Doc."""\nx = f\'{x!y:{\'\n',
        'print "old"\n',
        "'''never closed\n",
        "x = '''never closed\n",
        "   unexpected\n  indent\n",
        "$ ? \\ \n",
    ],
)
def test_other_grammar(body: str) -> None:
    """A body that this Python cannot parse is rewritten by what its first tokens say."""
    result = relocate_script(f"{ONE_LINE}\n{body}".encode(), [PREFIX])
    assert result is not None
    assert result.endswith(body.rpartition('"""\n')[2].partition("\n")[2].encode())
    assert result.decode().startswith("#!/bin/sh\n")
    assert ('"""Doc."""\n__doc__ = __doc__.__doc__\n' in result.decode()) == ("Doc" in body)


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


def test_entry_point_script_guards_its_call() -> None:
    """The call stands behind the guard, and the file is ASCII if the names are."""
    script = entry_point_script(EntryPoint(name="é", module="a.b", attr="C.m", gui=True), ["-I"])
    assert script.isascii()
    *_, imported, guard = ast.parse(script).body
    assert ast.unparse(imported) == "from a.b import C"
    assert ast.unparse(guard) == "if __name__ == '__main__':\n    sys.exit(C.m())"
    assert "naïve".encode() in entry_point_script(EntryPoint(name="x", module="naïve", attr="m"))


def test_entry_points() -> None:
    """Console and GUI scripts are read, extras and other groups left out."""
    text = (
        "# comment\n; another\n[console_scripts]\nmy-tool = tool.cli:main\r\n"
        "a.b c=m : C.run [extra,more]\n\n[other]\nnot an entry\nx = y\n"
        "[gui_scripts]\nwin:dow = naïve:f\n"
    )
    assert parse_entry_points(text) == [
        MAIN,
        EntryPoint(name="a.b c", module="m", attr="C.run"),
        EntryPoint(name="win:dow", module="naïve", attr="f", gui=True),
    ]
    assert parse_entry_points("") == []


@pytest.mark.parametrize(
    "line",
    ["x", "x =", "x = mod", "x = mod:", "= m:f", "x = m:f()", "x = m:1f", "x = m..n:f",
     "x = class:f", "x = m:f; import os", "../x = m:f", ".. = m:f", "x = m:f [a"],
)  # fmt: skip
def test_malformed_entry_points(line: str) -> None:
    """A line that names no function is an error that quotes it."""
    with pytest.raises(ValueError, match=r"^line 2, ") as caught:
        parse_entry_points(f"[console_scripts]\n{line}\n")
    assert repr(line) in str(caught.value)
