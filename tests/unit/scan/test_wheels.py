"""Wheels as entries, where an installation would put them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, inputs, names, plan
from support.trees import make_wheel

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import PlanError, WheelProblem
from hatch_pack_venv.scan.wheels import WheelOverlay

if TYPE_CHECKING:
    from pathlib import Path


def test_files_go_where_an_installation_puts_them(tmp_path: Path) -> None:
    """Modules, data, headers and scripts go to their schemes, with launchers but no RECORD."""
    wheel = make_wheel(
        tmp_path,
        {
            "my_app/__init__.py": b"x = 1\n",
            "my_app-2.0.data/data/share/my-app/conf": b"1",
            "my_app-2.0.data/headers/my.h": b"h",
            "my_app-2.0.data/scripts/plain": b"#!python\nprint(1)\n",
            "my_app-2.0.data/scripts/shell": b"#!/bin/sh\n",
            "my_app-2.0.data/purelib/pure.py": b"",
            "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n"
            b"[gui_scripts]\nmy-gui = my_app.gui:App.run\n",
        },
    )
    overlay = WheelOverlay.from_path(wheel, environment())
    entries = {entry.arcname: entry for entry in overlay.entries}
    info = f"{SITE}/my_app-2.0.dist-info"
    assert entries.keys() == {
        "bin/my-app",
        "bin/my-gui",
        "bin/plain",
        "bin/shell",
        "include/site/python3.11/my-app/my.h",
        f"{SITE}/my_app/__init__.py",
        f"{SITE}/pure.py",
        "share/my-app/conf",
        f"{info}/INSTALLER",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/entry_points.txt",
    }
    executable = {name for name, entry in entries.items() if entry.executable}
    assert executable == {"bin/my-app", "bin/my-gui", "bin/plain", "bin/shell"}
    assert bytes(entries["bin/plain"].content).startswith(b"#!/bin/sh\n")  # type: ignore[arg-type]
    assert entries["bin/shell"].content == b"#!/bin/sh\n"
    assert (overlay.distribution.key, overlay.distribution.version) == ("my-app", "2.0")
    assert [point.name for point in overlay.distribution.entry_points] == ["my-app", "my-gui"]


def test_an_entry_point_comes_before_a_script_of_its_name(tmp_path: Path) -> None:
    """As pip and uv install it; RECORD lists the launcher once."""
    wheel = make_wheel(
        tmp_path,
        {
            "my_app-2.0.data/scripts/serve": b"#!/bin/sh\necho shell\n",
            "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nserve = my_app:main\n",
        },
    )
    overlay = WheelOverlay.from_path(wheel, environment())
    assert names(overlay.entries).count("bin/serve") == 1
    made = {entry.arcname: entry for entry in plan(overlays=[overlay]).entries}
    launcher, record = made["bin/serve"], made[f"{overlay.distribution.metadata_dir}/RECORD"]
    assert isinstance(launcher, FileEntry)
    assert isinstance(record, FileEntry)
    assert b"from my_app import main" in bytes(launcher.content)  # type: ignore[arg-type]
    assert bytes(record.content).count(b"bin/serve,") == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["nothing", "old version", "editable"])
def test_the_wheel_replaces_whatever_is_installed(tmp_path: Path, state: str) -> None:
    """Old modules, metadata, launchers and editable `.pth` files go; the wheel's are packed."""
    wheel = make_wheel(tmp_path, {"my_app/new.py": b"new = 1\n"})
    installed = {
        "nothing": [],
        "old version": [distribution("My_App", f"{SITE}/my_app/old.py", "bin/old")],
        "editable": [
            distribution("my_app", f"{SITE}/_editable_impl.pth", editable_source="/home/me/app")
        ],
    }[state]
    there = environment(*installed)
    scanned = [file(name) for each in installed for name in each.files]
    scanned += [file(f"{each.metadata_dir}/METADATA") for each in installed]
    packed = plan(*scanned, environment=there, overlays=[WheelOverlay.from_path(wheel, there)])
    mine = [name for name in names(packed.entries) if name.startswith((SITE, "bin/"))]
    info = f"{SITE}/my_app-2.0.dist-info"
    assert sorted(name for name in mine if name.count(".") > SITE.count(".")) == [
        info,
        f"{info}/INSTALLER",
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
        f"{SITE}/my_app/new.py",
    ]
    assert packed.head["distributions"] == [{"name": "my-app", "version": "2.0"}]


def test_the_wheel_wins_over_files_nobody_owns(tmp_path: Path) -> None:
    """A stray file of the same name gives way to the wheel's."""
    wheel = make_wheel(tmp_path, {"my_app.py": b"new"})
    there = environment()
    packed = plan(
        file(f"{SITE}/my_app.py", b"stray"),
        environment=there,
        overlays=[WheelOverlay.from_path(wheel, there)],
    )
    contents = {e.arcname: e.content for e in packed.entries if isinstance(e, FileEntry)}
    assert contents[f"{SITE}/my_app.py"] == b"new"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "import sys\nfrom app.cli import main\nif __name__ == '__main__':\n sys.exit(main())\n",
            0,
        ),
        ("import os, sys\nos.environ['A'] = '1'\nfrom app.cli import main\nsys.exit(main())\n", 1),
        ("", 0),
    ],
)
def test_an_edited_launcher_that_the_wheel_replaces_is_told(
    tmp_path: Path, body: str, told: int
) -> None:
    """The edit is lost, with a note; a launcher as installers write it is replaced silently."""
    wheel = make_wheel(tmp_path, {"app.py": b""}, "app-2.0-py3-none-any.whl")
    point = EntryPoint(name="app", module="app.cli", attr="main")
    there = environment(distribution("app", "bin/app", entry_points=(point,)))
    script = file("bin/app", f"#!{there.prefix}/bin/python\n{body}".encode(), executable=True)
    notes = plan(script, environment=there, overlays=[WheelOverlay.from_path(wheel, there)]).notes
    assert [note.partition(":")[0] for note in notes] == [
        "bin/app was edited, and the edit is lost"
    ] * told
    left = inputs(excluded_project="app")
    assert plan(script, environment=there, inputs=left).notes == ()


def test_another_editable_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Replacing the project does not permit another editable install."""
    wheel = make_wheel(tmp_path, {})
    there = environment(distribution("neighbour", editable_source="/home/me/neighbour"))
    with pytest.raises(PlanError, match=r"neighbour is installed in editable mode from /home/me/n"):
        plan(environment=there, overlays=[WheelOverlay.from_path(wheel, there)])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone-1.0-py3-none-any.whl", "there is no wheel .*gone-1.0-py3-none-any.whl: build it"),
        ("text.txt", "is not a wheel: its name must have the form"),
        ("a-1.0-cp39-cp39-linux_x86_64.whl", r"with the environment's CPython 3\.11\.7"),
        (
            "a-1.0-py3-none-win_amd64.whl",
            r"is not compatible with the environment's CPython 3\.11\.7 on linux",
        ),
        ("bad-1.0-py3-none-any.whl", "bad-1.0-py3-none-any.whl cannot be read"),
    ],
)
def test_wheels_that_cannot_be_used_are_named(tmp_path: Path, name: str, message: str) -> None:
    """A missing, misnamed, incompatible or damaged wheel is one error."""
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(b"no zip file")
    with pytest.raises(WheelProblem, match=message):
        WheelOverlay.from_path(tmp_path / name, environment())


def test_a_wheel_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """The error comes at once."""
    os.mkfifo(tmp_path / "a-1.0-py3-none-any.whl")
    with pytest.raises(WheelProblem, match=r"cannot be read: .*it is a FIFO, not a file"):
        WheelOverlay.from_path(tmp_path / "a-1.0-py3-none-any.whl", environment())


def test_a_wheel_cannot_write_outside(tmp_path: Path) -> None:
    """A member that leaves the environment is refused."""
    wheel = make_wheel(tmp_path, {"my_app-2.0.data/data/../../../../evil": b""})
    with pytest.raises(WheelProblem, match=r"cannot be read: it contains a file that would be"):
        WheelOverlay.from_path(wheel, environment())
