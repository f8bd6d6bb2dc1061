"""Patterns: which match something, and which match nothing."""

from __future__ import annotations

import pytest
from support.fakes import SITE, environment, file

from hatch_pack_venv.plan.select import Selection, note_on

NAMES = frozenset({"bin/tool", f"{SITE}/pkg/__init__.py", f"{SITE}/pkg/tests", "share/doc/a.txt"})


@pytest.mark.parametrize(
    "pattern",
    [
        "bin/",
        "/bin/tool",
        "*.txt",
        "**/pkg/",
        "@tests",
        "@headers",
        "**/__pycache__/",
        "*.pyc",
        "#x",
    ],
)
def test_patterns_that_name_something_are_not_noted(pattern: str) -> None:
    """Nor are presets, comments and patterns for bytecode, which comes and goes."""
    assert [*Selection(exclude=(pattern,)).unused(NAMES)] == []


@pytest.mark.parametrize("pattern", ["tests/x.py", "/tool", "*.h", "/", "a[b"])
def test_patterns_that_name_nothing_are_noted(pattern: str) -> None:
    """The note names the key and the pattern, whatever the other patterns match."""
    selection = Selection(exclude=("bin/", pattern), include=(pattern,))
    assert [*selection.unused(NAMES)] == [
        f"{key} names {pattern!r}, which matches nothing: correct or remove it"
        for key in ("exclude-files", "include-files")
    ]


def test_what_venvstacks_writes_for_its_layers_is_not_noted() -> None:
    """postinstall.py writes it again; a note names any other customisation that is left out."""
    name = f"{SITE}/sitecustomize.py"
    theirs = b'"""venvstacks layered environment site customization script\n\n* Calls'
    for content, noted in ((theirs, 0), (b"import sys\n", 1)):
        assert len([*note_on(file(name, content), environment(), "")]) == noted
