"""Bytecode, compiled by the environment's interpreter in separate processes."""

from __future__ import annotations

import importlib.util
import marshal
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import SITE, distribution, environment, file, names, plan

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import EnvironmentProblem, SourceProblem
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.plan.order import in_order
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.write.bytecode import with_byte_code

if TYPE_CHECKING:
    from types import CodeType

    from hatch_pack_venv.model.environment import Environment
    from hatch_pack_venv.model.plan import PackPlan


CACHE = f"{SITE}/tool/__pycache__"


def made(tmp_path: Path, python: str | Path = sys.executable) -> Environment:
    """Return an environment whose interpreter is this one, or another program."""
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to(python)
    return environment(distribution("tool"), prefix=tmp_path / "env")


def compiled(
    planned: PackPlan, there: Environment, kind: str = "unchecked-hash", **patterns: Any
) -> tuple[PackPlan, dict[str, bytes]]:
    """Return the plan with bytecode, and the content of the temporary bytecode files."""
    selection = Selection(**patterns)
    with with_byte_code(
        planned, there, kind, patterns=selection, threads=2, report=silent
    ) as whole:
        found = {
            entry.arcname: Path(entry.content).read_bytes()
            for entry in whole.entries
            if isinstance(entry, FileEntry) and isinstance(entry.content, str)
            if entry.arcname.endswith(".pyc")
        }
    return whole, found


def code_of(content: bytes) -> CodeType:
    code: CodeType = marshal.loads(content[16:])  # noqa: S302 (our own bytes)
    return code


def test_byte_code_lies_where_python_looks_for_it(tmp_path: Path) -> None:
    """Name, header and hash are those of PEP 3147 and PEP 552, the time is the source's."""
    there = made(tmp_path)
    on_disk = tmp_path / "b"
    on_disk.write_bytes(b"x = 2\n")
    source = FileEntry(arcname=f"{SITE}/tool/b.c.py", content=str(on_disk), size=6, mtime=7)
    planned = plan(file(f"{SITE}/tool/a.py", b"x = 1\n"), source)
    for kind, flags in (("unchecked-hash", 1), ("checked-hash", 3)):
        whole, found = compiled(planned, there, kind)
        assert sorted(found) == [f"{CACHE}/a.cpython-311.pyc", f"{CACHE}/b.c.cpython-311.pyc"]
        assert CACHE in names(whole.entries)
        content = found[f"{CACHE}/b.c.cpython-311.pyc"]
        head = importlib.util.MAGIC_NUMBER + bytes([flags, 0, 0, 0])
        assert content[:16] == head + importlib.util.source_hash(b"x = 2\n")
        assert code_of(content).co_filename == f"{SITE}/tool/b.c.py"
        times = {entry.arcname: entry.mtime for entry in whole.entries}
        assert times[f"{CACHE}/b.c.cpython-311.pyc"] == times[f"{SITE}/tool/b.c.py"]
        assert list(whole.entries) == in_order(whole.entries)
        sizes = {e.arcname: e.size for e in whole.entries if isinstance(e, FileEntry)}
        assert sizes[f"{CACHE}/b.c.cpython-311.pyc"] == len(content)


def test_what_does_not_compile_is_told_and_packed_without(tmp_path: Path) -> None:
    """Templates, other Pythons' sources, wrong encodings and deep nesting are one note."""
    planned = plan(
        file(f"{SITE}/tool/a.py", b"x = 1\n"),
        file(f"{SITE}/tool/template.py", b"class {{ name }}:\n"),
        file(f"{SITE}/tool/python2.py", b"print 'a'\n"),
        file(f"{SITE}/tool/nothing.py", b"\0"),
        file(f"{SITE}/tool/coding.py", b"# coding: klingon\n"),
        file(f"{SITE}/tool/latin.py", b"x = '\xe9'\n"),
        file(f"{SITE}/tool/deep.py", b"x = " + b"(" * 100_000),
    )
    whole, found = compiled(planned, made(tmp_path))
    assert list(found) == [f"{CACHE}/a.cpython-311.pyc"]
    (note,) = whole.notes
    assert note.startswith(f"6 of the source files, such as {SITE}/tool/coding.py, cannot be")
    assert f"{SITE}/tool/python2.py" in names(whole.entries)


def test_patterns_leave_byte_code_out_and_bring_it_back(tmp_path: Path) -> None:
    """`exclude-files` and `include-files` apply to bytecode as to any file."""
    planned = plan(file(f"{SITE}/tool/a.py"), file(f"{SITE}/tool/b.py"), file(f"{SITE}/c.py"))
    there = made(tmp_path)
    whole, found = compiled(planned, there, exclude=("__pycache__/",), include=("**/b.*.pyc",))
    assert list(found) == [f"{CACHE}/b.cpython-311.pyc"]
    assert whole.notes == ()
    whole, found = compiled(planned, there, exclude=("*.pyc",))
    assert whole.entries == planned.entries


def test_names_that_no_file_system_holds_have_no_byte_code(tmp_path: Path) -> None:
    """A source whose bytecode would have too long a name is packed without it."""
    planned = plan(file(f"{SITE}/tool/{'a' * 240}.py"), file(f"{SITE}/tool/{'b' * 239}.py"))
    _, found = compiled(planned, made(tmp_path))
    assert [Path(name).name[0] for name in found] == ["b"]


# problems


def test_a_python_that_does_not_run_is_one_sentence(tmp_path: Path) -> None:
    """If it cannot be started or exits at once, the error names it and what to set."""
    planned = plan(file(f"{SITE}/tool/a.py"))
    for number, program in enumerate(("/nowhere", "/bin/false")):
        there = made(tmp_path / str(number), program)
        with pytest.raises(EnvironmentProblem) as caught:
            compiled(planned, there)
        assert str(there.prefix / "bin/python") in str(caught.value)
        assert 'bytecode = "none"' in str(caught.value)


def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The error names the source and its path."""
    gone = FileEntry(arcname=f"{SITE}/tool/a.py", content=str(tmp_path / "gone"), size=1)
    with pytest.raises(SourceProblem) as caught:
        compiled(plan(gone), made(tmp_path))
    assert f"{SITE}/tool/a.py cannot be compiled" in str(caught.value)
    assert str(tmp_path / "gone") in str(caught.value)


def test_a_source_that_crashes_the_compiler_does_not_compile(tmp_path: Path) -> None:
    """Another process goes on with the others."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = FileEntry(arcname=f"{SITE}/tool/a.py", content=str(pipe), size=0)
    planned = plan(waiting, file(f"{SITE}/tool/b.py"))

    def kill_the_one_that_waits() -> None:
        with pipe.open("wb"):  # returns when the process has opened the other end
            os.kill(reader_of(pipe), signal.SIGKILL)

    killer = threading.Thread(target=kill_the_one_that_waits)
    killer.start()
    whole, found = compiled(planned, made(tmp_path))
    killer.join()
    assert f"{CACHE}/b.cpython-311.pyc" in found
    assert whole.notes[0].startswith(f"1 of the source files, such as {SITE}/tool/a.py")


def reader_of(pipe: Path) -> int:
    """Return the id of another process that holds a pipe open."""
    while True:
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                same = os.readlink(link) == str(pipe)
            except OSError:
                continue
            if same and int(link.parts[2]) != os.getpid():
                return int(link.parts[2])
        time.sleep(0.01)
