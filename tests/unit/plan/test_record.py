"""RECORD files match what is packed."""

from __future__ import annotations

import base64
import csv
import hashlib
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, folder, inputs, plan
from support.trees import make_wheel

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.scan.wheels import WheelOverlay

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.plan import PackPlan

INFO = f"{SITE}/tool-1.0.dist-info"
RECORD = """\
tool/__init__.py,sha256=same,3
tool/__pycache__/__init__.cpython-311.pyc,,

tool/gone.h,sha256=gone,1
../../../bin/tool,sha256=old,99
/build/env/share/data,sha256=data,1
/etc/elsewhere,,
tool-1.0.dist-info/RECORD,,
"tool/a, b.py",sha256=comma,1
"""


def digest(content: bytes) -> str:
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={encoded.decode().rstrip('=')}"


def content_of(planned: PackPlan, arcname: str) -> bytes:
    (entry,) = [entry for entry in planned.entries if entry.arcname == arcname]
    assert isinstance(entry, FileEntry)
    assert isinstance(entry.content, bytes)
    assert entry.size == len(entry.content)
    return entry.content


def rows(planned: PackPlan, arcname: str) -> list[list[str]]:
    return list(csv.reader(content_of(planned, arcname).decode().splitlines()))


def test_an_installed_record_tells_what_is_packed(tmp_path: Path) -> None:
    """Rows of files left out are dropped, rewritten files get new hashes, other rows stay."""
    module = tmp_path / "module"
    module.write_bytes(b"123")
    planned = plan(
        FileEntry(arcname=f"{SITE}/tool/__init__.py", content=str(module), size=3),
        file(f"{SITE}/tool/__pycache__/__init__.cpython-311.pyc"),
        file(f"{SITE}/tool/gone.h"),
        FileEntry(arcname=f"{SITE}/tool/a, b.py", content=str(module), size=3),
        file("bin/tool", b"#!/build/env/bin/python\nprint()\n", executable=True),
        FileEntry(arcname="share/data", content=str(module), size=3),
        folder(INFO),
        file(f"{INFO}/RECORD", RECORD.encode()),
        environment=environment(distribution("tool")),
        inputs=inputs(selection=Selection(exclude=("*.h",))),
    )
    launcher = content_of(planned, "bin/tool")
    assert b"/build/env" not in launcher
    assert rows(planned, f"{INFO}/RECORD") == [
        ["tool/__init__.py", "sha256=same", "3"],
        ["../../../bin/tool", digest(launcher), str(len(launcher))],
        ["../../../share/data", "sha256=data", "1"],
        ["tool-1.0.dist-info/RECORD", "", ""],
        ["tool/a, b.py", "sha256=comma", "1"],
    ]


@pytest.mark.parametrize(
    "record",
    [
        b'tool/a.py,sha256=a,1\r\n"tool/b.py","sha256=b","1"\r\n',
        b"tool/b.py,sha256=b,1\n\ntool-1.0.dist-info/RECORD,,\n",
        b"",
    ],
)
def test_a_record_with_nothing_to_change_stays_as_it_is(record: bytes) -> None:
    """Order, line endings and quotes are kept."""
    planned = plan(
        FileEntry(arcname=f"{SITE}/tool/a.py", content="/source/a.py", size=1),
        FileEntry(arcname=f"{SITE}/tool/b.py", content="/source/b.py", size=1),
        file(f"{INFO}/RECORD", record),
        environment=environment(distribution("tool")),
    )
    assert content_of(planned, f"{INFO}/RECORD") == record


def test_a_folder_that_stands_for_a_link_is_listed_by_its_files() -> None:
    """virtualenv lists links into its cache; a folder listed along with its files is dropped."""
    entries: list[ScannedEntry] = [
        *(folder(f"{SITE}/{name}") for name in ("tool", "tool/sub", "other")),
        *(file(f"{SITE}/{name}") for name in ("tool/__init__.py", "tool/sub/a.py", "other/x.py")),
        file(f"{INFO}/RECORD", b"tool,,\nother,,\nother/x.py,,\ntool-1.0.dist-info/RECORD,,\n"),
    ]
    planned = plan(*entries, environment=environment(distribution("tool")))
    assert [row[0] for row in rows(planned, f"{INFO}/RECORD")] == [
        "tool/__init__.py",
        "tool/sub/a.py",
        "other/x.py",
        "tool-1.0.dist-info/RECORD",
    ]


def test_a_wheels_record_is_made(tmp_path: Path) -> None:
    """The wheel's files, launchers and metadata have their rows, in order."""
    wheel = make_wheel(
        tmp_path,
        {
            "my_app/__init__.py": b"x = 1\n",
            "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
        },
    )
    there = environment()
    planned = plan(environment=there, overlays=[WheelOverlay.from_path(wheel, there)])
    found = rows(planned, f"{SITE}/my_app-2.0.dist-info/RECORD")
    assert [row[0] for row in found] == [
        "../../../bin/my-app",
        "my_app-2.0.dist-info/INSTALLER",
        "my_app-2.0.dist-info/METADATA",
        "my_app-2.0.dist-info/RECORD",
        "my_app-2.0.dist-info/WHEEL",
        "my_app-2.0.dist-info/entry_points.txt",
        "my_app/__init__.py",
    ]
    assert found[-1] == ["my_app/__init__.py", digest(b"x = 1\n"), "6"]
    assert found[0][1] == digest(content_of(planned, "bin/my-app"))


def test_records_can_stay_out(tmp_path: Path) -> None:
    """With `record-files = "exclude"` neither the installed nor the wheel's RECORD is packed."""
    wheel = make_wheel(tmp_path, {})
    there = environment(distribution("tool"))
    planned = plan(
        file(f"{INFO}/RECORD", RECORD.encode()),
        environment=there,
        inputs=inputs(selection=Selection(records=False)),
        overlays=[WheelOverlay.from_path(wheel, there)],
    )
    assert [e.arcname for e in planned.entries if e.arcname.endswith("RECORD")] == []
