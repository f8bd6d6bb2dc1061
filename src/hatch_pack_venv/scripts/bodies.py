"""The Python part of a script that gets a header of ours: what it needs to mean the same behind it.

The header is a string, hence the module's docstring. Only a docstring may stand before
`from __future__` imports, so the body's own one has to leave its place, and the rest stays as it
is. Only leading tokens are read: a body may be in the grammar of another Python than this one.
"""

from __future__ import annotations

import itertools
import re
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def behind_header(body: bytes, encoding: str) -> bytes:
    """Return a script's Python part as it can stand behind the launchers' header.

    Parameters:
        encoding: what its coding cookie says (PEP 263), `utf-8` without one.
    """
    if b"\0" in body:
        return body
    for codec in (encoding, "latin-1"):  # Latin-1 reads all; quotes are ASCII nearly everywhere
        try:
            text = body.decode(codec)
            if text.encode(codec) == body:
                return _with_own_doc(text).encode(codec)
        except (LookupError, UnicodeError):
            continue
    return body


def _with_own_doc(text: str) -> str:
    """Give the module its `__doc__` back, which the header would be otherwise.

    Only a docstring may stand before `from __future__` imports, and the header is one: the body's
    own docstring has to leave its place. It becomes that of a function defined after the imports,
    because the compiler then treats it alike: indentation (stripped since CPython 3.13), `-OO`.
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
    """A simple statement, or the start of a compound one, and its place in the text.

    Parameters:
        following: where the next statement, or the next line, begins.
        goes_on: whether a semicolon ends it.
    """

    tokens: tuple[tokenize.TokenInfo, ...]
    start: int
    stop: int
    following: int
    goes_on: bool

    @property
    def is_docstring(self) -> bool:
        """Whether it is strings only, no bytes, no f-string; in parentheses or not."""
        strings = [token.string for token in self.tokens if token.type == tokenize.STRING]
        prefixes = {re.split("[\"']", string)[0].lower() for string in strings}
        others = {token.string for token in self.tokens if token.type != tokenize.STRING}
        return bool(strings) and prefixes <= {"", "r", "u"} and others <= {"(", ")"}

    @property
    def is_future_import(self) -> bool:
        return [token.string for token in self.tokens[:2]] == ["from", "__future__"]


def _simple_statements(text: str) -> Iterator[_Statement]:
    """Yield the statements from the top, and read no further than asked for.

    Tokens are all it looks at: the rest may be in the grammar of a newer or an older Python. It
    ends where tokens cannot be told.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    starts = [0, *itertools.accumulate(map(len, lines))]
    tokens: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(iter([*lines, ""]).__next__):
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
