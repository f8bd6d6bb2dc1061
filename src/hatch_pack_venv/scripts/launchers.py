"""Scripts that find the interpreter beside themselves: bytes to bytes.

A launcher is a POSIX shell header followed by Python. Python sees the header as a string, the
module's docstring; a statement after it puts `__doc__` right again. The shell replaces itself
before it reads the Python part. Measured with dash, bash, busybox ash, ksh93, mksh, zsh and yash.
"""

from __future__ import annotations

import keyword
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .bodies import behind_header

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHEBANG: Final = b"#!/bin/sh\n"

# Starts no process unless called through a link. Its variables have odd names because assigning to
# one that the caller exported would change what Python inherits. ksh93 quotes what `command -v`
# tells; printf is no builtin of mksh; yash has no `[` if PATH is empty, and goes on.
_FIND_PYTHON: Final = b"""\
''':'
_s=$0
case $_s in
  -*/*) _s=./$_s ;;
  */*) ;;
  *)
    if [ -e "$_s" ]; then _s=./$_s; else _s=$(command -v -- "$_s"); fi
    case $_s in "'"* | "$'"*) eval "_s=$_s" ;; esac ;;
esac
_p=$_s
while [ -h "$_p" ]; do
  _l=$(PATH=${PATH:+$PATH:}/usr/bin:/bin; readlink -- "$_p" 2>/dev/null || ls -ld -- "$_p")
  _l=${_l#*"$_p -> "}
  case $_l in /*) _p=$_l ;; *) _p=${_p%/*}/$_l ;; esac
done
_p=${_p%/*}/python
if [ ! -x "$_p" ]; then
  _s="${0##*/}: no interpreter beside this launcher ($_p):"
  _s="$_s run \\"pythonX.Y postinstall.py\\" in the unpacked folder first"
  { printf '%s\\n' "$_s" || echo "$_s"; } >&2 2>/dev/null
  exit 127
fi
"""
_EXEC: Final = b'exec "$_p"%b "$_s" "$@"\n'
_END: Final = b"':'''\n"

_COOKIE: Final = re.compile(
    rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)[^\r\n]*(?:\r?\n|\Z)"
)  # PEP 263
_OWN: Final = re.compile(
    re.escape(_SHEBANG)
    + b"(?:#[^\n]*\n)?"
    + re.escape(_FIND_PYTHON)
    + re.escape(_EXEC).replace(re.escape(b"%b"), b"(?P<options>.*)")
    + re.escape(_END)
)
_LONG: Final = re.compile(
    rb"#![ \t]*/bin/sh[ \t]*\r?\n"
    rb"'''exec' (?P<command>[^\r\n]+) \"\$0\" \"\$@\"\r?\n"
    rb"' '''(?:\r?\n|\Z)"
)
_DIRECT: Final = re.compile(rb"#!(?P<command>[^\r\n]*)(?:\r?\n|\Z)")
_QUOTED_QUOTE: Final = re.compile(r"""'(?:"'"|\\')'""")  # how a quote is written between quotes

_PYTHON: Final = r"python[\w.]*"
_UV_RELOCATABLE: Final = re.escape('"$(dirname -- "$(realpath -- "$0")")"/') + f"'{_PYTHON}'"
_WHEEL_PLACEHOLDER: Final = "pythonw?"  # "#!python", the binary distribution format (PEP 427)
_ENV: Final = rf"(?:/usr)?/bin/env(?:[ \t]+-S)?[ \t]+{_PYTHON}"
# Printable and without a backslash: Python reads the header as a string.
_OPTIONS: Final = r"(?P<options>(?:[ \t]+[!-\[\]-~]+)*)"

_ENTRY_POINT_VALUE: Final = re.compile(
    r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(?:\[[^\]]*\])?"  # entry points specification
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A console or GUI script that a distribution declares.

    Parameters:
        attr: what to call in `module`; may be dotted.
        gui: whether it is one of `gui_scripts`; POSIX launchers make no difference.
    """

    name: str
    module: str
    attr: str
    gui: bool = False


def entry_point_script(
    entry_point: EntryPoint, options: Sequence[str] = (), check: str = ""
) -> bytes:
    """Return a complete POSIX launcher which finds `python` beside itself.

    The module is imported outside the guard, as pip and uv do it, so that the children that
    multiprocessing spawns find the same names. `__doc__` is `None`, as in their launchers.

    Parameters:
        options: the interpreter's, such as `-I`; printable ASCII without a backslash.
        check: Python statements that end the script where it cannot run, before it imports more.
    """
    body = f"""\
__doc__ = None
import sys

{check}from {entry_point.module} import {entry_point.attr.partition(".")[0]}

if __name__ == "__main__":
    sys.exit({entry_point.attr}())
"""
    return _header(options) + body.encode()


def relocate_script(
    content: bytes,
    prefixes: Sequence[str],
    entry_point: EntryPoint | None = None,
    check: str = "",
) -> bytes | None:
    """Return the script rewritten to find its own interpreter; `None` to leave it alone.

    Rewritten are the launchers of pip, distlib, installer and uv (with a path after `#!`, or in
    `'''exec'` where it is long or holds spaces), uv's relocatable ones, `#!python`, and our own,
    which stay the same. A coding cookie moves to line 2, where it is in force (PEP 263). The body's
    docstring and its `from __future__` imports keep their meaning, whatever Python runs this.

    Parameters:
        prefixes: the paths by which the environment may be named; the interpreter has to lie in
            `bin` of one of them.
        entry_point: what the script is known to start. Its launcher is then made anew, for
            `#!/usr/bin/env python` too, keeping the interpreter's options.
        check: what such a launcher does first, as Python statements.
    """
    own = _OWN.match(content)
    if own and entry_point is None:
        return content
    head = own or _LONG.match(content) or _DIRECT.match(content)
    if head is None:
        return None
    if own:
        options: list[str] | None = shlex.split(own["options"].decode())
    else:
        command = head["command"].decode("utf-8", "surrogateescape").strip()
        options = _options(command, prefixes, env=entry_point is not None)
    if options is None:
        return None
    if entry_point is not None:
        return entry_point_script(entry_point, options, check)
    return _with_own_header(content[head.end() :], options)


def parse_entry_points(text: str) -> list[EntryPoint]:
    """Return the console and GUI scripts that an `entry_points.txt` declares.

    Raises:
        ValueError: a line of these two sections is not `name = module:attr`; it is named.
    """
    found: list[EntryPoint] = []
    section = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip()
        elif section in {"console_scripts", "gui_scripts"}:
            found.append(_entry_point(line, number, gui=section == "gui_scripts"))
    return found


def _entry_point(line: str, number: int, *, gui: bool) -> EntryPoint:
    name, _, value = (part.strip() for part in line.partition("="))
    match = _ENTRY_POINT_VALUE.fullmatch(value)
    names_a_file = name not in {"", ".", ".."} and not set(name) & {"/", "\0"}
    if not (match and names_a_file and _is_dotted(match["module"]) and _is_dotted(match["attr"])):
        msg = f"line {number}, {line!r}, is not of the form 'name = module:function'"
        raise ValueError(msg)
    return EntryPoint(name=name, module=match["module"], attr=match["attr"], gui=gui)


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


# the head


def _options(command: str, prefixes: Sequence[str], *, env: bool) -> list[str] | None:
    """Return the interpreter's options; `None` for a command that is not the environment's Python.

    The kernel takes all that follows the interpreter for one argument, so several options never
    worked in a shebang; here they do.
    """
    if command.startswith("'"):
        command = _QUOTED_QUOTE.sub("'", command)
    known = [rf"{re.escape(prefix.rstrip('/'))}/+bin/+{_PYTHON}" for prefix in prefixes]
    known += [_UV_RELOCATABLE, _WHEEL_PLACEHOLDER, *([_ENV] if env else [])]
    match = re.fullmatch(rf"(?P<quote>[\"']?)(?:{'|'.join(known)})(?P=quote){_OPTIONS}", command)
    return match["options"].split() if match else None


def _header(options: Sequence[str], cookie: bytes = b"") -> bytes:
    quoted = "".join(f" {shlex.quote(option)}" for option in options)
    if "\\" in quoted or not (quoted.isascii() and quoted.isprintable()):
        msg = f"{list(options)!r}: the options of a launcher must be plain ASCII, no backslash"
        raise ValueError(msg)
    return _SHEBANG + cookie + _FIND_PYTHON + _EXEC % quoted.encode() + _END


# the body


def _with_own_header(body: bytes, options: Sequence[str]) -> bytes:
    """Put the header before a body, and what the body needs to run behind it.

    A body that cannot be read as text (a zip archive after a shebang, which Python runs, or an
    unknown encoding with bytes that matter) is kept as it is.
    """
    cookie = _COOKIE.match(body)
    if cookie is None:
        return _header(options) + behind_header(body, "utf-8")
    header = _header(options, cookie[0].strip() + b"\n")
    return header + behind_header(body[cookie.end() :], cookie[1].decode())
