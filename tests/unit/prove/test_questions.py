"""The questions for an unpacked environment, found from its files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.trees import write

from hatch_pack_venv.prove.questions import questions_of

if TYPE_CHECKING:
    from pathlib import Path

SITE = "lib/python3.11/site-packages"
HEAD: dict[str, Any] = {
    "name": "My.App",
    "layout": {"scripts": "bin", "site_packages": [SITE]},
}


def make(root: Path, *, record: bool = True) -> Path:
    (root / "bin").mkdir()
    write(
        root / SITE,
        "my_app/__init__.py",
        "my_app/data/x.txt",
        "_my_app.cpython-311-x86_64-linux-gnu.so",
        "libplain.so",
        "google/cloud/storage/__init__.py",
        "google/cloud/version.py",
        "other/__init__.abi3.so",
        "no-identifier.py",
        "__pycache__/my_app.cpython-311.pyc",
        "folder_of_data/x.json",
        **{
            "my_app-1.dist-info/METADATA": "Name: my-app\nVersion: 1\n",
            "my_app-1.dist-info/entry_points.txt": (
                "[console_scripts]\nrun = my_app.cli:main\nmore = my_app.cli:more [extra]\n"
                "[plugins]\nplain = my_app.plugin\n"
            ),
            "other-2.dist-info/METADATA": "Name: other\nVersion: 2\n",
            "other-2.dist-info/entry_points.txt": "[x.y]\nz = other:a.b\n",
        },
    )
    if record:
        rows = "my_app/__init__.py,,\n_my_app.cpython-311-x86_64-linux-gnu.so,,\n"
        (root / SITE / "my_app-1.dist-info/RECORD").write_text(rows)
    return root


def asked(root: Path, what: Any) -> list[tuple[str, str, str]]:
    found = questions_of(root, HEAD, what)
    return [(each.kind, each.name, f"{each.module}:{each.attr}") for each in found]


def test_a_start_asks_for_the_project_alone(tmp_path: Path) -> None:
    """Its modules are those that its RECORD lists, its entry points those without extras."""
    assert asked(make(tmp_path), "start") == [
        ("module", "_my_app", "_my_app:"),
        ("module", "my_app", "my_app:"),
        ("entry point", "plain", "my_app.plugin:"),
        ("entry point", "run", "my_app.cli:main"),
    ]


def test_without_record_the_project_is_known_by_its_name(tmp_path: Path) -> None:
    """With `record-files = "exclude"`, only the module of that name is left."""
    modules = [name for kind, name, _ in asked(make(tmp_path, record=False), "start")]
    assert modules == ["my_app", "plain", "run"]


def test_all_are_the_modules_that_there_are(tmp_path: Path) -> None:
    """Namespace packages count by their parts; libraries, data and invalid names do not count."""
    found = asked(make(tmp_path), "all")
    assert [name for kind, name, _ in found if kind == "module"] == [
        "_my_app",
        "google.cloud.storage",
        "google.cloud.version",
        "my_app",
        "other",
    ]
    assert ("entry point", "z", "other:a.b") in found


def test_commands_come_after_a_start(tmp_path: Path) -> None:
    """They are asked last."""
    found = asked(make(tmp_path), ("run --version",))
    assert [kind for kind, _, _ in found] == ["module"] * 2 + ["entry point"] * 2 + ["command"]
    assert found[-1] == ("command", "run --version", ":")


@pytest.mark.parametrize("text", [b"[x]\ncaf\xe9 = other:a\n", b"[x]\nnothing\n"])
def test_what_python_cannot_read_is_asked_as_far_as_it_goes(tmp_path: Path, text: bytes) -> None:
    """Names in another encoding are asked for; an invalid file has no entry points."""
    root = make(tmp_path)
    (root / SITE / "other-2.dist-info/entry_points.txt").write_bytes(text)
    names = [name for kind, name, _ in asked(root, "all") if kind == "entry point"]
    assert names == ["caf\udce9", "plain", "run"] if b"=" in text else ["plain", "run"]
