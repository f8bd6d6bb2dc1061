"""What a room shows and hides, and which variables it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatch_pack_venv.prove.room import Sight, clean_variables, without_session


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("home/base/site", "home/project", "file"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def options(sight: Sight, below: Path) -> list[tuple[str, str]]:
    words = [*sight.options()]
    found: list[tuple[str, str]] = []
    while words:
        option = words.pop(0)
        if option == "--ro-bind":
            words.pop(0)
        found.append((option, words.pop(0)))
    root = str(below)
    return [(o, p.removeprefix(f"{root}/")) for o, p in found if p.startswith(root)]


@pytest.fixture(autouse=True)
def _nothing_else_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatch_pack_venv.prove.room._EMPTY", ())


def test_the_inner_is_said_after_the_outer(tree: Path) -> None:
    """An interpreter in a hidden home is visible, except for what is hidden inside it."""
    home, base = tree / "home", tree / "home/base"
    sight = Sight.of(hide=[base / "site", home, home / "project"], show=[base])
    assert options(sight, tree) == [
        ("--tmpfs", "home"),
        ("--ro-bind", "home/base"),
        ("--tmpfs", "home/base/site"),
    ]


def test_what_nothing_hides_needs_no_showing(tree: Path) -> None:
    """Nor do missing paths need hiding; hiding a link hides what it points to."""
    (tree / "link").symlink_to("home")
    sight = Sight.of(hide=[tree / "missing", tree / "link"], show=[tree / "file"])
    assert options(sight, tree) == [("--tmpfs", "home")]


def test_a_sight_can_be_changed(tree: Path) -> None:
    """Paths hidden and shown later count as if they had been given at once."""
    home, base = tree / "home", tree / "home/base"
    sight = Sight.of(hide=[home]).hiding([base / "site"]).showing([base])
    assert sight == Sight.of(hide=[base / "site", home], show=[base])
    assert (sight.hides(home / "x"), sight.hides(tree / "x")) == (True, False)


def test_the_system_is_never_hidden() -> None:
    """A home that is the root, as in some containers, stays visible."""
    assert Sight.of(hide=[Path("/"), Path("/usr"), Path("/etc")]).hidden == frozenset()


def test_variables_that_lead_somewhere_stay_outside() -> None:
    """Variables that configure an application stay; those with existing paths do not."""
    taken = clean_variables(
        {
            "DATABASE_URL": "postgres://user@host/name",
            "LEVEL": "3",
            "MISSING": "/nonexistent/x",
            "LIBRARIES": "/nonexistent:/etc",
            "LD_PRELOAD": "libx.so",
            "PYTHONWARNINGS": "error",
            "DISPLAY": ":0",
            "DISPLAYED": "yes",
        }
    )
    assert set(taken) == {"DATABASE_URL", "LEVEL", "MISSING", "DISPLAYED"}


def test_a_session_is_neither_here_nor_there() -> None:
    """In the source environment, all other variables stay."""
    given = {"DISPLAY": ":0", "WAYLAND_DISPLAY": "x", "LD_LIBRARY_PATH": "/opt", "PYTHONPATH": "/x"}
    assert without_session(given) == {"LD_LIBRARY_PATH": "/opt", "PYTHONPATH": "/x"}
