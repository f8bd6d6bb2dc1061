"""Causes of failures that a rule knows."""

from __future__ import annotations

import pytest

from hatch_pack_venv.prove.causes import Known

SITE = "lib/python3.11/site-packages"
KNOWN = Known(
    root="/room/Ünpacked/app",
    folders=(SITE, "lib/python3.11"),
    left_out={
        f"{SITE}/pkg/words.py": "exclude-files",
        f"{SITE}/pkg/data/table.txt": "exclude-files",
        "lib/python3.11/tkinter": 'interpreter-trim = "minimal"',
    },
    hidden=("/home/me/project",),
    left=frozenset({"libGL.so.1"}),
    variables=frozenset({"SETTINGS_FILE"}),
)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("ModuleNotFoundError: No module named 'pkg.words'", f"{SITE}/pkg/words.py was left out"),
        ("ImportError: cannot import name 'words' from 'pkg' (x)", "left out (exclude-files)"),
        ("No module named 'tkinter'", 'left out (interpreter-trim = "minimal")'),
        (
            f"[Errno 2] No such file or directory: '/room/Ünpacked/app/{SITE}/pkg/data/table.txt'",
            f"{SITE}/pkg/data/table.txt was left out",
        ),
        (
            "libfoo.so.2: cannot open shared object file: No such file",
            "libfoo.so.2 is neither in the archive",
        ),
        ("libGL.so.1: cannot open shared object file: No such file", "is left to the target"),
        ("ImportError: failed to find libmagic. Check it", "libmagic is opened by name"),
        ("OSError: cannot load library 'libcairo.so.2'", "libcairo is opened by name"),
        ("'No time zone found with key Europe/Berlin'", "needs the distribution tzdata: "),
        ("libstdc++.so.6: version `GLIBCXX_3.4.30' not found", "needs GLIBCXX_3.4.30"),
        ("No such file or directory: '/home/me/project/x'", "names /home/me/project, which only"),
        ("KeyError: 'SETTINGS_FILE' (x.py, line 3)", "the variable SETTINGS_FILE is set"),
        ("[Errno 30] Read-only file system: '/tmp/x'", "it writes to /tmp/x"),
    ],
)
def test_a_cause_is_told(said: str, cause: str) -> None:
    """Each cause is one clause that says what is missing."""
    found = KNOWN.cause(said)
    assert found is not None
    assert cause in found


@pytest.mark.parametrize(
    "said",
    ["ZeroDivisionError: division by zero", "No module named 'numpy'", "KeyError: 'OTHER'", "x"],
)
def test_nothing_is_guessed(said: str) -> None:
    """A failure that no rule recognises has no cause."""
    assert KNOWN.cause(said) is None
