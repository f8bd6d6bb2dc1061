"""Documents match the code: quoted messages, the API reference, and links."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
from support.documentation import API, README, api

if TYPE_CHECKING:
    from pathlib import Path

DOCS = README.parent / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)]+))?\)")


def test_the_reference_is_that_of_the_docstrings() -> None:
    """docs/api.md is what `hatch run docs` writes."""
    assert API.read_text(encoding="utf-8") == api()


@cache
def literals() -> str:
    """Return all texts of the code, those that are written in several parts joined."""
    found = []
    for path in (README.parent / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "\0" for v in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def messages() -> list[str]:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    cells = (line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `"))
    return [quoted for cell in cells for quoted in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("message", messages())
def test_troubleshooting_quotes_messages_that_there_are(message: str) -> None:
    """Each quoted message is in the code, word for word."""
    assert message in literals()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(README.parent)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Each link leads to an existing file, and its fragment to a heading in that file."""
    for target, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = page.parent / target
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert heading in slugs, (target, heading)
