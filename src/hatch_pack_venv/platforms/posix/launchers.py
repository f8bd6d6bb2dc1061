"""Scripts that find the interpreter next to themselves: bytes to bytes.

A launcher is a POSIX shell header followed by Python. Python sees the header as a string, the
module's docstring; a statement after it restores `__doc__`. The shell replaces itself before it
reads the Python part. Tested with dash, bash, busybox ash, ksh93, mksh, zsh and yash.
"""

from __future__ import annotations

import itertools
import re
import shlex
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...model.distribution import EntryPoint


_SHEBANG: Final = b"#!/bin/sh\n"

# Starts no process unless called through a link, or with a check. Its variables have odd names
# because assigning to one that the caller exported would change what Python inherits. PATH is
# searched by hand, as ksh93 quotes what `command -v` prints. The system's own readlink comes before
# any other. mksh has no builtin printf; yash has no `[` if PATH is empty, and goes on.
_FIND_PYTHON: Final = """\
''':'
_s=$0
case $_s in
  -*/*) _s=./$_s ;;
  */*) ;;
  *)
    _l=${PATH-}:
    if [ -e "$_s" ]; then _s=./$_s _l=; fi
    while [ -n "$_l" ]; do
      _p=${_l%%:*} _l=${_l#*:}
      if [ -e "${_p:-.}/$_s" ]; then _s=${_p:-.}/$_s _l=; fi
    done
    case $_s in */*) ;; *) _s=./$_s ;; esac ;;
esac
_p=$_s
while [ -h "$_p" ]; do
  _l=$(PATH=/usr/bin:/bin${PATH:+:$PATH}; readlink -- "$_p" 2>/dev/null || ls -ld -- "$_p")
  _l=${_l#*"$_p -> "}
  case $_l in /*) _p=$_l ;; *) _p=${_p%/*}/$_l ;; esac
done
_p=${_p%/*}/python
_l=
if [ ! -x "$_p" ]; then
  _l="no interpreter beside this launcher ($_p):"
  _l="$_l @advice@"
fi
"""
# Nothing that would start is refused: if a check fails, the interpreter itself is tried. The loader
# of a glibc before 2.33 does not print its version, and that of another libc has none to print.
_LOADER_CHECK: Final = """\
if [ -z "$_l" ] && [ ! -e @loader@ ] && ! "$_p" -ISc "" >/dev/null 2>&1; then
  _l="needs @needed@; this system has no @loader@, its loader"
fi
"""
_VERSION_CHECK: Final = """\
if [ -z "$_l" ]; then
  _l=$(@loader@ --version 2>/dev/null || /usr/bin/getconf GNU_LIBC_VERSION 2>/dev/null) || _l=
  _l=${_l#*version }; _l=${_l#glibc }; _l=${_l#2.}; _l=${_l%%[!0-9]*}
  if [ "${_l:-0}" -ge @minor@ ] || "$_p" -ISc "" >/dev/null 2>&1; then
    _l=
  elif [ ! -e @loader@ ]; then
    _l="needs @needed@; this system has no @loader@, its loader"
  else
    _l="needs @needed@; this system has ${_l:+2.}${_l:-an older or another one}"
  fi
fi
"""
_EXEC: Final = b"""\
if [ -n "$_l" ]; then
  { printf '%%s\\n' "${0##*/}: $_l" || echo "${0##*/}: $_l"; } >&2 2>/dev/null
  exit 127
fi
exec "$_p"%b "$_s" "$@"
"""
_END: Final = b"':'''\n"


def _any_check(*checks: str) -> bytes:
    """Return a pattern that matches whatever `start_check` may have returned."""
    patterns = [re.sub("@[a-z]+@", ".*", re.escape(check)) for check in checks]
    return f"(?:{'|'.join(patterns)})?".encode()


_COOKIE: Final = re.compile(
    rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)[^\r\n]*(?:\r?\n|\Z)"
)  # PEP 263
_OWN: Final = re.compile(
    re.escape(_SHEBANG)
    + b"(?P<cookie>#[^\n]*\n)?"
    + re.escape(_FIND_PYTHON).replace("@advice@", ".*").encode()
    + _any_check(_LOADER_CHECK, _VERSION_CHECK)
    + re.escape(_EXEC % b"@").replace(b"@", b"(?P<options>.*)", 1)
    + re.escape(_END)
)
_LONG: Final = re.compile(
    rb"#![ \t]*/bin/sh[ \t]*\r?\n"
    rb"'''exec' (?P<command>[^\r\n]+) \"\$0\" \"\$@\"\r?\n"
    rb"' '''(?:\r?\n|\Z)"
)
_DIRECT: Final = re.compile(rb"#!(?P<command>[^\r\n]*)(?:\r?\n|\Z)")
_QUOTED_QUOTE: Final = re.compile(r"""'(?:"'"|\\')'""")  # an escaped quote inside quotes
_PYTHON: Final = r"python[\w.]*"
_UV_RELOCATABLE: Final = re.escape('"$(dirname -- "$(realpath -- "$0")")"/') + f"'{_PYTHON}'"
_WHEEL_PLACEHOLDER: Final = "pythonw?"  # "#!python", the binary distribution format (PEP 427)
_ENV: Final = rf"(?:/usr)?/bin/env(?:[ \t]+-S)?[ \t]+{_PYTHON}"

# Printable and without a backslash: Python reads the header as a string.
_OPTIONS: Final = r"(?P<options>(?:[ \t]+[!-\[\]-~]+)*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChecks:
    """What launchers check before they start something that cannot run.

    Parameters:
        connecting: the name of a Python that can run `postinstall.py` while there is no interpreter
            yet; empty if the archive brings its own.
        shell: statements in the header, before the interpreter starts; from `start_check`.
        python: statements that exit the script, before it imports anything but `sys`.
    """

    connecting: str = ""
    shell: str = ""
    python: str = ""

    @property
    def head(self) -> bytes:
        """The header's statements up to the one that starts the interpreter."""
        advice = "unpack the archive again, as a whole"
        if self.connecting:
            advice = f'run \\"{self.connecting} postinstall.py\\" in the unpacked folder first'
        return (_FIND_PYTHON.replace("@advice@", advice) + self.shell).encode()


NO_CHECKS: Final = StartChecks()
_PLAIN: Final = re.compile(r"[\w ().,/+-]*", re.ASCII)  # needs no escaping inside quotes


def start_check(loader: str, needed: str, minor: int | None = None) -> str:
    """Return shell statements that say why an interpreter would not start.

    Without `minor` they start no process; with it they take half a millisecond. Text with odd
    characters cannot be put into a launcher: then the part in parentheses is dropped, or there are
    no statements.

    Parameters:
        loader: the path of the dynamic loader that the interpreter names.
        needed: what the interpreter needs, in words.
        minor: the minor version of the oldest glibc 2 that it starts with.
    """
    if not _PLAIN.fullmatch(needed):
        needed = needed.partition(" (")[0]
    if not loader or " " in loader or not _PLAIN.fullmatch(loader + needed):
        return ""
    text = _LOADER_CHECK if minor is None else _VERSION_CHECK.replace("@minor@", str(minor))
    return text.replace("@loader@", loader).replace("@needed@", needed)


def entry_point_script(
    entry_point: EntryPoint, options: Sequence[str] = (), checks: StartChecks = NO_CHECKS
) -> bytes:
    """Return a complete POSIX launcher that finds `python` next to itself.

    The module is imported outside the guard, as pip and uv do, so that children spawned by
    multiprocessing find the same names. `__doc__` is `None`, as in their launchers.

    Parameters:
        options: the interpreter's, such as `-I`; printable ASCII without a backslash.
    """
    body = f"""\
__doc__ = None
import sys

{checks.python}from {entry_point.module} import {entry_point.attr.partition(".")[0]}

if __name__ == "__main__":
    sys.exit({entry_point.attr}())
"""
    return _header(options, checks) + body.encode()


def relocate_script(
    content: bytes,
    prefixes: Sequence[str],
    entry_points: Sequence[EntryPoint] = (),
    checks: StartChecks = NO_CHECKS,
) -> bytes | None:
    """Return the script rewritten to find its own interpreter, or `None` to leave it unchanged.

    This covers the launchers of pip, distlib, installer and uv (with a path after `#!`, or in
    `'''exec'` if it is long or contains spaces), uv's relocatable ones, `#!python`, and our own,
    whose checks are renewed. A coding cookie moves to line 2, where it takes effect (PEP 263). The
    body's docstring and its `from __future__` imports keep their meaning, whichever Python runs
    this.

    Parameters:
        prefixes: the paths by which the environment may be named; the interpreter must be in `bin`
            of one of them.
        entry_points: those declared under the script's name. A launcher as an installer writes it
            for one of them is generated anew, for `#!/usr/bin/env python` too, keeping the
            interpreter's options; any other body was edited and is kept as it is, without the
            Python part of `checks`.
    """
    own = _OWN.match(content)
    head = own or _LONG.match(content) or _DIRECT.match(content)
    if head is None:
        return None
    body = content[head.end() :]
    entry_point = started_by(body, entry_points)
    if own:
        options = _own_options(own["options"])
    else:
        command = head["command"].decode("utf-8", "surrogateescape").strip()
        options = _options(command, prefixes, env=entry_point is not None)
    if options is None:
        return None
    if entry_point is not None:
        return entry_point_script(entry_point, options, checks)
    if own:
        return _header(options, checks, own["cookie"] or b"") + body
    return _with_own_header(body, options, checks)


def is_as_installed(content: bytes, entry_points: Sequence[EntryPoint]) -> bool:
    """Return whether a script is what installers write as a launcher of one of its entry points."""
    head = _OWN.match(content) or _LONG.match(content) or _DIRECT.match(content)
    return head is not None and started_by(content[head.end() :], entry_points) is not None


# what installers write

_KNOWN_LINES: Final = frozenset(
    """\
__doc__ = None
import re
import sys
if __name__ == "__main__":
if sys.argv[0].endswith("-script.pyw"):
if sys.argv[0].endswith(".exe"):
elif sys.argv[0].endswith(".exe"):
sys.argv[0] = sys.argv[0][:-11]
sys.argv[0] = sys.argv[0][:-4]
sys.argv[0] = sys.argv[0].removesuffix(".exe")
sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
try:
from importlib.metadata import distribution
except ImportError:
from importlib_metadata import distribution
from pkg_resources import load_entry_point
def importlib_load_entry_point(spec, group, name):
dist_name, _, _ = spec.partition("==")
matches = (
entry_point
for entry_point in distribution(dist_name).entry_points
if entry_point.group == group and entry_point.name == name
)
return next(matches).load()
globals().setdefault("load_entry_point", importlib_load_entry_point)""".splitlines()
)
"""Lines of the launchers of pip, distlib, installer, uv and setuptools, without indentation."""
_REQUIRES: Final = re.compile(r'__requires__ = "[^"]*"')
_LOAD: Final = re.compile(
    r'(?:sys\.exit\()?load_entry_point\("[^"]*", "(?:console|gui)_scripts", "([^"]*)"\)\(\)\)?'
)
_OWN_CHECK: Final = re.compile(
    rb"(__doc__ = None\nimport sys\n\n).*(?=^from [\w.]+ import )", re.MULTILINE | re.DOTALL
)


def started_by(body: bytes, entry_points: Sequence[EntryPoint]) -> EntryPoint | None:
    """Return the entry point that a launcher starts; `None` for a body that does anything else.

    Parameters:
        body: what follows the head; an empty one counts as the launcher of the last entry point.
        entry_points: those that it may start.
    """
    if not entry_points:
        return None
    text = _OWN_CHECK.sub(rb"\1", body).decode("utf-8", "replace").replace("'", '"')
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    other = [line for line in lines if line not in _KNOWN_LINES and not _REQUIRES.fullmatch(line)]
    if not lines:
        return entry_points[-1]
    if len(other) == 1:
        loaded = _LOAD.fullmatch(other[0])
        found = [each for each in entry_points if loaded and each.name == loaded[1]]
    elif len(other) == 2:
        found = [each for each in entry_points if other == _statements(each)]
    else:
        found = []
    return found[-1] if found else None


def _statements(entry_point: EntryPoint) -> list[str]:
    """Return the two statements that distinguish the launchers of an entry point."""
    first = entry_point.attr.partition(".")[0]
    return [f"from {entry_point.module} import {first}", f"sys.exit({entry_point.attr}())"]


# the head


def launcher_options(content: bytes) -> list[str] | None:
    """Return the interpreter's options in a launcher of ours, or `None` for any other script."""
    own = _OWN.match(content)
    return None if own is None else _own_options(own["options"])


def _own_options(quoted: bytes) -> list[str] | None:
    """Return the options in a launcher of ours, or `None` if an edit made them unreadable."""
    try:
        return shlex.split(quoted.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None


def _options(command: str, prefixes: Sequence[str], *, env: bool) -> list[str] | None:
    """Return the interpreter's options, or `None` if a command is not the environment's Python.

    The kernel passes everything after the interpreter as one argument, so several options never
    worked in a shebang; here they do.
    """
    if command.startswith("'"):
        command = _QUOTED_QUOTE.sub("'", command)
    known = [rf"{re.escape(prefix.rstrip('/'))}/+bin/+{_PYTHON}" for prefix in prefixes]
    known += [_UV_RELOCATABLE, _WHEEL_PLACEHOLDER, *([_ENV] if env else [])]
    match = re.fullmatch(rf"(?P<quote>[\"']?)(?:{'|'.join(known)})(?P=quote){_OPTIONS}", command)
    return match["options"].split() if match else None


def _header(options: Sequence[str], checks: StartChecks, cookie: bytes = b"") -> bytes:
    quoted = "".join(f" {shlex.quote(option)}" for option in options)
    if "\\" in quoted or not (quoted.isascii() and quoted.isprintable()):
        msg = (
            f"{list(options)!r}: the options of a launcher must be printable ASCII without"
            " backslashes"
        )
        raise ValueError(msg)
    return _SHEBANG + cookie + checks.head + _EXEC % quoted.encode() + _END


# the body


def _with_own_header(body: bytes, options: Sequence[str], checks: StartChecks) -> bytes:
    """Prepend the header to a body, with what the body needs to run after it.

    A body that cannot be read as text (a zip archive after a shebang, which Python runs, or an
    unknown encoding with significant bytes) is kept unchanged.
    """
    cookie = _COOKIE.match(body)
    if cookie is None:
        return _header(options, checks) + behind_header(body, "utf-8")
    header = _header(options, checks, cookie[0].strip() + b"\n")
    return header + behind_header(body[cookie.end() :], cookie[1].decode())


def behind_header(body: bytes, encoding: str) -> bytes:
    """Return a script's Python part in a form that works after the launchers' header.

    Parameters:
        encoding: from its coding cookie (PEP 263), `utf-8` without one.
    """
    if b"\0" in body:
        return body
    for codec in (encoding, "latin-1"):  # Latin-1 decodes anything; quotes are ASCII nearly always
        try:
            text = body.decode(codec)
            if text.encode(codec) == body:
                return _with_own_doc(text).encode(codec)
        except (LookupError, UnicodeError):
            continue
    return body


def _with_own_doc(text: str) -> str:
    """Restore the module's `__doc__`, which would otherwise be the header.

    Only a docstring may precede `from __future__` imports, and the header is one: the body's own
    docstring has to move. It becomes that of a function defined after the imports, because the
    compiler then treats it the same way: indentation (stripped since CPython 3.13), `-OO`.
    """
    before, repair, end = "", "__doc__ = None\n", 0
    for statement in _simple_statements(text):
        if end == 0 and statement.is_docstring:
            docstring = text[statement.start : statement.stop]
            repair = f"def __doc__(): {docstring}\n__doc__ = __doc__.__doc__\n"
            before = text[: statement.start]
            if not statement.goes_on:
                before += text[statement.stop : statement.following]
        elif statement.is_future_import:
            before += text[end : statement.following]
        else:
            break
        end = statement.following
    if before and not before.endswith(("\n", "\r")):
        before += "\n"
    return before + repair + text[end:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """A simple statement, or the start of a compound one, and its position in the text.

    Parameters:
        following: where the next statement, or the next line, starts.
        goes_on: whether it ends with a semicolon.
    """

    tokens: tuple[tokenize.TokenInfo, ...]
    start: int
    stop: int
    following: int
    goes_on: bool

    @property
    def is_docstring(self) -> bool:
        """Whether it is only strings (no bytes, no f-strings), with or without parentheses."""
        strings = [token.string for token in self.tokens if token.type == tokenize.STRING]
        prefixes = {re.split("[\"']", string)[0].lower() for string in strings}
        others = {token.string for token in self.tokens if token.type != tokenize.STRING}
        return bool(strings) and prefixes <= {"", "r", "u"} and others <= {"(", ")"}

    @property
    def is_future_import(self) -> bool:
        return [token.string for token in self.tokens[:2]] == ["from", "__future__"]


_LONGEST_LINE: Final = 1 << 16  # characters


def _simple_statements(text: str) -> Iterator[_Statement]:
    """Yield statements from the top, reading no further than requested.

    Only tokens are examined: the rest may use the grammar of a newer or an older Python. Stops
    where tokenizing fails, and before a line too long to be written by hand: the regular
    expressions of `tokenize` (before CPython 3.12) take a kilobyte of memory per character of it.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    starts = [0, *itertools.accumulate(map(len, lines))]
    tokens: list[tokenize.TokenInfo] = []
    short = itertools.takewhile(lambda line: len(line) < _LONGEST_LINE, lines)
    try:
        for token in tokenize.generate_tokens(itertools.chain(short, [""]).__next__):
            if token.type in {tokenize.COMMENT, tokenize.NL}:
                continue
            if token.type not in {tokenize.NEWLINE, tokenize.ENDMARKER} and token.string != ";":
                tokens.append(token)
            elif tokens:
                yield _statement(tokens, token, text, starts)
                tokens = []
    except (tokenize.TokenError, SyntaxError):
        return


def _statement(
    tokens: Sequence[tokenize.TokenInfo], end: tokenize.TokenInfo, text: str, starts: Sequence[int]
) -> _Statement:
    def offset(place: tuple[int, int]) -> int:
        return starts[min(place[0], len(starts)) - 1] + place[1]

    goes_on = end.string == ";"
    following = offset((end.start[0] + 1, 0))
    if goes_on:
        following = offset(end.end)
        following += len(text[following:]) - len(text[following:].lstrip(" \t"))
    return _Statement(
        tokens=tuple(tokens),
        start=offset(tokens[0].start),
        stop=offset(tokens[-1].end),
        following=following,
        goes_on=goes_on,
    )
