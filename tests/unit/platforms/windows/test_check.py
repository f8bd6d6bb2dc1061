"""Names that Windows cannot hold, and paths that are too long for it."""

from __future__ import annotations

import unicodedata

import pytest
from support.fakes import file, folder

from hatch_pack_venv.model.entries import collisions
from hatch_pack_venv.model.requirements import describe_path_budget
from hatch_pack_venv.platforms.windows.check import (
    PathBudget,
    name_problem,
    name_problems,
    units,
    upper_case,
)


@pytest.mark.parametrize(
    "name",
    ["CON", "nul", "Aux.py", "com1.tar.gz", "LPT9", "COM¹", "lpt³.txt", "nul .txt", "CONIN$"],
)
def test_devices_are_refused_whatever_their_ending(name: str) -> None:
    """Device names cannot be file names, in any case and with any extension."""
    assert "is the device" in str(name_problem(name))


@pytest.mark.parametrize("name", ["a.", "a ", "..."])
def test_trailing_dots_and_spaces_are_refused(name: str) -> None:
    """A name may not end in characters that Windows drops."""
    assert "which Windows drops" in str(name_problem(name))


@pytest.mark.parametrize("character", [*'<>:"|?*\\', "\x00", "\x1f", "\n"])
def test_characters_are_refused(character: str) -> None:
    """No name on Windows can contain these characters."""
    assert "which Windows does not allow in names" in str(name_problem(f"a{character}b"))


@pytest.mark.parametrize(
    "name",
    [
        "console.py",
        "com.py",
        "com10.py",
        "COM0",
        "nulls",
        "aux_.py",
        ".gitignore",
        " a",
        "a b",
        "é",
    ],
)
def test_usual_names_pass(name: str) -> None:
    """Names that only resemble device names are valid."""
    assert name_problem(name) is None


def test_a_name_is_measured_in_utf16_units() -> None:
    """255 units fit; a character beyond the first plane takes two."""
    assert name_problem("x" * 255) is None
    assert "256 characters" in str(name_problem("x" * 256))
    assert units("a\U0001f40d") == 3
    assert name_problem("\U0001f40d" * 127) is None
    assert "256 characters" in str(name_problem("\U0001f40d" * 128))


def test_all_problems_are_listed_a_folder_once() -> None:
    """A folder with a bad name is listed once, along with all other problems."""
    found = list(
        name_problems(["aux", "aux/a.py", "aux/b.py", "ok/what?", "ok", "Data/x", "data/x"])
    )
    assert [line.split(" ")[0] for line in found] == ["aux", "ok/what?", "Data/x"]
    assert found[-1].startswith("Data/x and data/x are the same name on Windows")


def test_collisions_are_found_by_what_is_compared() -> None:
    """The caller decides which names are equal; a name does not collide with its duplicate."""
    names = [
        "A/b",
        "a/B",
        "a/c",
        "a/c",
        "Straße",
        "STRASSE",
        "é",
        unicodedata.normalize("NFD", "é"),
    ]
    assert collisions(names, fold=upper_case) == [("A/b", "a/B")]
    assert collisions(names) == [("A/b", "a/B"), ("STRASSE", "Straße")]
    by_form = collisions(names, fold=lambda name: unicodedata.normalize("NFD", name))
    assert by_form == [tuple(sorted(names[-2:]))]


@pytest.mark.parametrize(("one", "other"), [("é", "É"), ("ω", "Ω"), ("ж", "Ж")])
def test_case_is_ignored_beyond_ascii(one: str, other: str) -> None:
    """NTFS compares the upper case of every alphabet where it maps one to one."""
    assert upper_case(one) == upper_case(other)


def test_case_of_two_characters_is_not_ignored() -> None:
    """A sharp s and a dotless i equal only themselves on NTFS."""
    assert len({upper_case(name) for name in ("ß", "SS", "\u0131", "I")}) == 4


def test_the_budget_is_what_the_longest_member_leaves() -> None:
    """The folder with its drive, a separator, the member and a NUL take 260 units together."""
    budget = PathBudget.of([file("a" * 100), file("b" * 99)], "c" * 50)
    assert (budget.longest, budget.length) == ("a" * 100, 100)
    assert budget.deepest + 1 + 100 + 1 == 260


def test_folders_leave_room_for_a_short_name() -> None:
    """A folder that is as long as a file leaves 12 units less."""
    assert PathBudget.of([folder("d" * 90), file("f" * 100)]).longest == "d" * 90
    assert PathBudget.of([folder("d" * 90)]).deepest == 260 - 12 - 1 - 1 - 90


def test_the_budget_counts_utf16_units() -> None:
    """A snake takes two units."""
    assert PathBudget.of([file("\U0001f40d")]).length == 2


def test_the_budget_is_told_from_the_manifest() -> None:
    """The sentence names the member and how long the folder's path may be."""
    text = describe_path_budget(PathBudget.of([file("Lib/site-packages/x.py")]).facts())
    assert "at most 236 characters" in text
    assert "Lib/site-packages/x.py has 22 of 260" in text
