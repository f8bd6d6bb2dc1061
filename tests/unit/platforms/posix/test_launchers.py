"""Launchers: which scripts are rewritten, and that the result is still Python."""

from __future__ import annotations

import ast

import pytest
from support.fakes import SCRIPT_BODIES, SCRIPT_PREFIX, relocated_script

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.posix.launchers import (
    StartChecks,
    entry_point_script,
    relocate_script,
    start_check,
)

MAIN = EntryPoint(name="my-tool", module="tool.cli", attr="main")


HEADER_LINES = entry_point_script(MAIN).partition(b"':'''\n")[0].count(b"\n") + 1


ONE_LINE = f"#!{SCRIPT_PREFIX}/bin/python3.11"


FORMS = {
    "direct": f"#!{SCRIPT_PREFIX}/bin/python3.11",
    "direct, spaced": f"#! {SCRIPT_PREFIX}/bin/python ",
    "direct, free-threaded": f"#!{SCRIPT_PREFIX}/bin/python3.13t",
    "direct, doubled slash": f"#!{SCRIPT_PREFIX}/bin//python3",
    "long, unquoted": f"#!/bin/sh\n'''exec' {SCRIPT_PREFIX}/bin/python3.11 \"$0\" \"$@\"\n' '''",
    "long, pip": f"#!/bin/sh\n'''exec' \"{SCRIPT_PREFIX}/bin/python3.11\" \"$0\" \"$@\"\n' '''",
    "long, uv": f"#!/bin/sh\n'''exec' '{SCRIPT_PREFIX}/bin/python3' \"$0\" \"$@\"\n' '''",
    "relocatable, uv": (
        "#!/bin/sh\n"
        "'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''"
    ),
    "placeholder of a wheel": "#!python",
}


FOREIGN = {
    "other environment": "#!/srv/other/bin/python3",
    "environment whose name starts alike": f"#!{SCRIPT_PREFIX}2/bin/python3",
    "deeper folder": f"#!{SCRIPT_PREFIX}/lib/x/bin/python3",
    "other interpreter of the environment": f"#!{SCRIPT_PREFIX}/bin/node",
    "env": "#!/usr/bin/env python3",
    "shell": "#!/bin/sh\nexec true",
    "long, other environment": "#!/bin/sh\n'''exec' /srv/o/bin/python3 \"$0\" \"$@\"\n' '''",
}


@pytest.mark.parametrize("form", FORMS)
def test_recognised(form: str) -> None:
    """Every form a launcher comes in gets the same header, and keeps its body."""
    result = relocate_script(f"{FORMS[form]}\nimport os\nprint(os)\n".encode(), [SCRIPT_PREFIX])
    assert result is not None
    assert result == relocated_script(b"import os\nprint(os)\n")
    assert result.startswith(b"#!/bin/sh\n''':'\n")
    assert result.endswith(b"__doc__ = None\nimport os\nprint(os)\n")
    assert SCRIPT_PREFIX.encode() not in result


@pytest.mark.parametrize("form", FOREIGN)
def test_left_alone(form: str) -> None:
    """A script whose interpreter is not the environment's Python is left alone."""
    assert relocate_script(f"{FOREIGN[form]}\nprint()\n".encode(), [SCRIPT_PREFIX]) is None


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF\x02", b"print()\n", b"\xcb\r\r\n", b"#!", b"#!\n"]
)
def test_no_script(content: bytes) -> None:
    """A file that does not begin with `#!` and a command is left alone."""
    assert relocate_script(content, [SCRIPT_PREFIX], [MAIN]) is None


@pytest.mark.parametrize("name", ["q'uo", 'd"q', "$HOME", "`x`", "ü€", "\udcff", "x" * 300, "a[b]"])
@pytest.mark.parametrize("shape", ["direct", "plain", "pip", "uv", "shlex"])
def test_odd_prefixes(name: str, shape: str) -> None:
    """The prefix is recognised whatever characters it contains, as pip and uv write it."""
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
    assert relocate_script(content, ["/srv/other/", f"/srv/{name}/"]) == relocated_script(
        b"x = 1\n"
    )


def test_empty_body() -> None:
    """A script that is only its first line becomes one that does nothing, like the original."""
    assert relocated_script(b"", head=f"#!{SCRIPT_PREFIX}/bin/python".encode()) == relocated_script(
        b""
    )


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        (" -I", b"-I"),
        (" -s -E", b"-s -E"),
        ("\t-Wignore::X", b"-Wignore::X"),
        (" -X $x'", b"""-X '$x'"'"''"""),
    ],
)
@pytest.mark.parametrize("points", [(), (MAIN,)])
def test_options(tail: str, options: bytes, points: tuple[EntryPoint, ...]) -> None:
    """The interpreter's options stay, also when the script is relocated again."""
    forms = [
        ONE_LINE + tail,
        f"#!/bin/sh\n'''exec' '{SCRIPT_PREFIX}/bin/python'{tail} \"$0\" \"$@\"\n' '''",
    ]
    for form in forms:
        result = relocate_script(f"{form}\nx = 1\n".encode(), [SCRIPT_PREFIX], points)
        assert result is not None
        compile(result, "script", "exec")
        assert b'\nexec "$_p" ' + options + b' "$_s" "$@"\n' in result
        assert relocate_script(result, [], points) == result


@pytest.mark.parametrize("option", ["-X\\x", "-Xü", "-X\n"])
def test_impossible_options(option: str) -> None:
    """Options that are not printable ASCII are refused, or their script is left alone."""
    with pytest.raises(ValueError, match="printable ASCII"):
        entry_point_script(MAIN, [option])
    assert (
        relocate_script(f"{ONE_LINE} {option}a\n".encode(), [SCRIPT_PREFIX]) is None
        or "\n" in option
    )


@pytest.mark.parametrize(
    "form", [*FORMS.values(), "#!/usr/bin/env python", "#!/usr/bin/env -S python3"]
)
def test_made_anew(form: str) -> None:
    """A launcher whose entry point is known is regenerated from any form, even `env python`."""
    content = f"{form}\n# whatever\n".encode()
    assert relocate_script(content, [SCRIPT_PREFIX], [MAIN]) == entry_point_script(MAIN)


IMPORT = "import sys\nfrom tool.cli import main\n"
RE = "import re\n" + IMPORT
GUARD = "if __name__ == '__main__':\n"
TEMPLATES = {
    "pip": f"# -*- coding: utf-8 -*-\n{RE}{GUARD}"
    "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n"
    "    sys.exit(main())\n",
    "pip, new": f"{IMPORT}{GUARD}    if sys.argv[0].endswith('.exe'):\n"
    "        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit(main())\n",
    "uv": f"# -*- coding: utf-8 -*-\n{IMPORT}{GUARD.replace(chr(39), chr(34))}"
    '    if sys.argv[0].endswith("-script.pyw"):\n        sys.argv[0] = sys.argv[0][:-11]\n'
    '    elif sys.argv[0].endswith(".exe"):\n        sys.argv[0] = sys.argv[0][:-4]\n'
    "    sys.exit(main())\n",
    "old setuptools": "# EASY-INSTALL-ENTRY-SCRIPT: 'tool==1.0','console_scripts','my-tool'\n"
    "__requires__ = 'tool==1.0'\nimport re\nimport sys\n"
    f"from pkg_resources import load_entry_point\n\n{GUARD}"
    "    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n"
    "    sys.exit(\n".replace("(\n", "(")
    + "load_entry_point('tool==1.0', 'console_scripts', 'my-tool')())\n",
    "ours": entry_point_script(MAIN, checks=StartChecks(python="import os\nif os:\n    pass\n"))
    .partition(b"\n':'''\n")[2]
    .decode(),
}


@pytest.mark.parametrize("body", TEMPLATES.values(), ids=TEMPLATES)
def test_what_installers_write_is_made_anew(body: str) -> None:
    """The launchers of every installer are distinguished from scripts that somebody wrote."""
    content = f"{ONE_LINE}\n{body}".encode()
    assert relocate_script(content, [SCRIPT_PREFIX], [MAIN]) == entry_point_script(MAIN)


@pytest.mark.parametrize("body", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize(
    "line", ["import os; os.environ['REGION'] = 'eu'", "from patches import everything"]
)
def test_an_edited_launcher_keeps_its_body(body: str, line: str) -> None:
    """A line that no installer writes is kept, and so is the rest."""
    edited = f"{line}\n{body}"
    content = f"{ONE_LINE}\n{edited}".encode()
    result = relocate_script(content, [SCRIPT_PREFIX], [MAIN])
    assert result is not None
    assert result.endswith(f"{line}\n{body}".encode())
    assert SCRIPT_PREFIX.encode() not in result


def test_a_script_of_an_entry_points_name_that_starts_another_keeps_its_body() -> None:
    """The name alone does not determine what a script starts."""
    other = TEMPLATES["pip"].replace("tool.cli", "other.cli")
    result = relocate_script(f"{ONE_LINE}\n{other}".encode(), [SCRIPT_PREFIX], [MAIN])
    assert result is not None
    assert b"from other.cli import main\n" in result


@pytest.mark.parametrize("last", [0, 1])
def test_of_two_entry_points_of_one_name_the_installed_one_runs(last: int) -> None:
    """The launcher's body shows which of the two distributions was installed last."""
    points = [MAIN, EntryPoint(name="my-tool", module="rival", attr="Main.run")]
    started = points[last]
    body = f"import sys\nfrom {started.module} import {started.attr.partition('.')[0]}\n"
    body += f"{GUARD}    sys.exit({started.attr}())\n"
    result = relocate_script(f"{ONE_LINE}\n{body}".encode(), [SCRIPT_PREFIX], points)
    assert result == entry_point_script(started)


def test_an_edited_script_of_env_is_left_alone() -> None:
    """`#!/usr/bin/env python` before somebody's own code means the Python on the caller's PATH."""
    content = b"#!/usr/bin/env python3\nimport tool.cli\ntool.cli.main('-q')\n"
    assert relocate_script(content, [SCRIPT_PREFIX], [MAIN]) is None


def test_made_anew_only_if_of_the_environment() -> None:
    """A script of another interpreter is left alone even if an entry point has its name."""
    for form in ["#!/srv/other/bin/python3", "#!/bin/bash", "#!/usr/bin/env bash"]:
        assert relocate_script(f"{form}\nx\n".encode(), [SCRIPT_PREFIX], [MAIN]) is None


def test_carriage_returns() -> None:
    """A script with CRLF gets a header with LF, and keeps its body's line ends."""
    body = b'"""Doc."""\r\nfrom __future__ import annotations\r\nprint(__doc__)\r\n'
    result = relocated_script(body, head=f"#!{SCRIPT_PREFIX}/bin/python\r\n".encode())
    assert result.endswith(b"print(__doc__)\r\n")
    assert b"\r" not in b"".join(result.splitlines(keepends=True)[:HEADER_LINES])


def test_coding_cookie_nobody_knows() -> None:
    """A script in an unknown encoding is still rewritten, without decoding its body."""
    body = b"# coding: no-such-codec\n'\xe4'\nfrom __future__ import annotations\nx = '\xff'\n"
    result = relocate_script(f"{ONE_LINE}\n".encode() + body, [SCRIPT_PREFIX])
    assert result is not None
    assert result.startswith(b"#!/bin/sh\n# coding: no-such-codec\n''':'\n")
    assert b"annotations\ndef __doc__(): '\xe4'\n__doc__ = __doc__.__doc__\nx = '\xff'\n" in result


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", SCRIPT_BODIES)
def test_docstring(name: str, newline: str) -> None:
    """The module's `__doc__` is exactly the original's, and everything else works as before."""
    body = SCRIPT_BODIES[name].replace("\n", newline).encode()
    for optimize in (0, 2):
        expected: dict[str, object] = {"__name__": "__main__", "__doc__": None}
        actual = dict(expected)
        exec(compile(body, "x", "exec", dont_inherit=True, optimize=optimize), expected)  # noqa: S102
        code = compile(relocated_script(body), "x", "exec", dont_inherit=True, optimize=optimize)
        exec(code, actual)  # noqa: S102
        assert list(actual) == list(expected)
        assert actual["__doc__"] == expected["__doc__"]
        assert actual.get("x") == expected.get("x")


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
    """A script whose body this Python cannot parse is rewritten according to its first tokens."""
    result = relocate_script(f"{ONE_LINE}\n{body}".encode(), [SCRIPT_PREFIX])
    assert result is not None
    assert result.endswith(body.rpartition('"""\n')[2].partition("\n")[2].encode())
    assert result.decode().startswith("#!/bin/sh\n")
    assert ('"""Doc."""\n__doc__ = __doc__.__doc__\n' in result.decode()) == ("Doc" in body)


def test_entry_point_script_guards_its_call() -> None:
    """The call is behind the guard, and the file is ASCII if the imported names are."""
    script = entry_point_script(EntryPoint(name="é", module="a.b", attr="C.m", gui=True), ["-I"])
    assert script.isascii()
    *_, imported, guard = ast.parse(script).body
    assert ast.unparse(imported) == "from a.b import C"
    assert ast.unparse(guard) == "if __name__ == '__main__':\n    sys.exit(C.m())"
    assert "naïve".encode() in entry_point_script(EntryPoint(name="x", module="naïve", attr="m"))


LOADER = "/lib64/ld-linux-x86-64.so.2"
CHECKS = {
    "version": start_check(LOADER, "glibc 2.38 or later (bin/python3.13)", 38),
    "loader alone": start_check(LOADER, "glibc 2.17 or later (bin/python3.13)"),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_a_launcher_of_ours_gets_the_checks_of_the_archive_it_is_packed_into(kind: str) -> None:
    """Checks for another archive's interpreter are dropped; the body and the cookie are kept."""
    body = b"#!/env/bin/python\n# coding: utf-8\nprint(1)\n"
    plain = relocate_script(body, ["/env"])
    checks = StartChecks(shell=CHECKS[kind])
    checked = relocate_script(body, ["/env"], (), checks)
    assert plain is not None
    assert checked is not None
    assert CHECKS[kind].encode() in checked
    assert checked.replace(CHECKS[kind].encode(), b"") == plain
    assert relocate_script(checked, []) == plain
    assert relocate_script(plain, [], (), checks) == checked


def test_a_launcher_names_the_python_that_connects_it() -> None:
    """It gives the version, replaces that of another archive, and a bundle needs no such step."""
    bundled = relocate_script(b"#!/env/bin/python\npass\n", ["/env"])
    assert bundled is not None
    assert b"postinstall.py" not in bundled
    assert b"unpack the archive again" in bundled
    free_threaded = StartChecks(connecting="python3.13t")
    target = relocate_script(bundled, [], (), free_threaded)
    assert target is not None
    assert b'run \\"python3.13t postinstall.py\\" in' in target
    assert relocate_script(target, []) == bundled


def test_a_launcher_whose_head_was_edited_is_left_alone() -> None:
    """Statements that are not ours stay where they are."""
    content = entry_point_script(MAIN).replace(b"exec ", b"if true; then X=1; fi\nexec ")
    assert relocate_script(content, [], [MAIN]) is None


@pytest.mark.parametrize("odd", ["$(touch x)", "a\\b", "'''", '"', "\n", "é"])
def test_odd_names_stay_out_of_the_header(odd: str) -> None:
    """Text that a shell or Python would interpret never gets into a launcher."""
    assert start_check(f"/lib/{odd}", "glibc 2.38 or later", 38) == ""
    plain = start_check(LOADER, "glibc 2.38 or later", 38)
    assert start_check(LOADER, f"glibc 2.38 or later ({odd})", 38) == plain
    assert start_check("", "musl") == ""
