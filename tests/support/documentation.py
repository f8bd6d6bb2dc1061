"""Write the parts of the documentation that are generated from the code: `hatch run docs`."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hatch_pack_venv
from hatch_pack_venv.config.table import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"
API = README.parent / "docs" / "api.md"
_TABLE = re.compile(
    r"(?<=<!-- configuration-table -->\n).*?(?=<!-- /configuration-table -->)", re.DOTALL
)


def with_table(text: str) -> str:
    """Return README's text with the configuration table generated from the code."""
    text, count = _TABLE.subn(lambda _match: markdown(), text)
    assert count == 1, "README.md has lost the markers of its configuration table"
    return text


_HEAD = """\
# Python API

The public names of `hatch_pack_venv`, from their docstrings; `hatch run docs` writes this page.
Errors derive from `PackVenvError`, whose text is the message to show.
"""
_SECTION = re.compile(r"(Parameters|Returns|Raises):")


def api() -> str:
    """Return the reference of the public names, as Markdown."""
    parts = [_HEAD]
    for name in hatch_pack_venv.__all__:
        parts += _described(name, getattr(hatch_pack_venv, name))
    return "\n".join(parts)


def _described(name: str, value: Any) -> Iterator[str]:
    """Yield the sections of a function, or of a class with its public methods."""
    yield f"## `{name}`\n\n{_declaration(name, value)}\n{_prose(value)}"
    if not inspect.isclass(value):
        return
    for method, member in vars(value).items():
        raw = getattr(member, "__func__", member)
        if not method.startswith("_") and (inspect.isfunction(raw) or isinstance(raw, property)):
            shown = raw.fget if isinstance(raw, property) else raw
            kind = _declaration(method, raw) if inspect.isfunction(raw) else ""
            yield f"### `{name}.{method}`\n\n{kind}{_prose(shown)}"


def _declaration(name: str, value: Any) -> str:
    """Return a signature as the source has it, with expressions instead of run-time values."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    (node,) = tree.body
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
        text = "\n".join([f"class {name}({bases}):" if bases else f"class {name}:", *fields])
    else:
        assert isinstance(node, ast.FunctionDef)
        returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
        each = ast.unparse(node.args)
        text = f"def {name}({each}){returns}"
    return f"```python\n{text}\n```\n"


def _prose(value: Any) -> str:
    """Return a docstring as Markdown: its sections become lists."""
    lines = []
    inside = listed = False
    for line in inspect.cleandoc(value.__doc__ or "").splitlines():
        if match := _SECTION.fullmatch(line):
            lines += [f"**{match[1]}**", ""]
            inside, listed = True, match[1] != "Returns"
        elif listed and re.match(r" {4}\S", line):
            lines.append(f"- {line.strip()}")
        elif inside and line.startswith(" "):
            lines.append(f"{'  ' if listed else ''}{line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    API.write_text(api(), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
