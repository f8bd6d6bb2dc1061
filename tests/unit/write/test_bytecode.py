"""Byte code in a plan, and the program that the environment's Python runs to compile it."""

from __future__ import annotations

import csv
import importlib.util
import marshal
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import SITE, distribution, environment, file, folder, names, plan, recipe

from hatch_pack_venv.model.entries import FileEntry, ScannedEntry, SymlinkEntry
from hatch_pack_venv.model.errors import EnvironmentProblem, SourceProblem
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.plan.order import in_order
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.write.bytecode import completed, importable, with_byte_code
from hatch_pack_venv.write.bytecode_worker import MARK, answer, byte_code, dumped_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from hatch_pack_venv.model.environment import Environment
    from hatch_pack_venv.model.plan import PackPlan

INFO = f"{SITE}/tool-1.0.dist-info"
CACHE = f"{SITE}/tool/__pycache__"
RECORD = b"tool/b.py,sha256=b,1\ntool/a.py,sha256=a,1\n../../../bin/t.py,,\n"


def made(tmp_path: Path, python: str | Path = sys.executable) -> Environment:
    """Return an environment whose interpreter is this one, or another program."""
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/python").symlink_to(python)
    return environment(distribution("tool"), prefix=tmp_path / "env")


def compiled(
    planned: PackPlan, there: Environment, kind: str = "unchecked-hash", **patterns: Any
) -> tuple[PackPlan, dict[str, bytes]]:
    """Return the plan with byte code, and the byte code while it is there."""
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


# what is compiled


def test_sources_on_import_paths_are_compiled() -> None:
    """Those of site-packages are, and the standard library's when it is packed; no others."""
    entries: list[ScannedEntry] = [
        file(f"{SITE}/a.py"),
        file(f"{SITE}/a/b.py"),
        file(f"{SITE}/a/b.pyi"),
        file("lib/python3.11/os.py"),
        file("bin/tool.py"),
        file("share/tool/plugin.py"),
        SymlinkEntry(arcname=f"{SITE}/link.py", linkname="a.py"),
    ]
    there = environment()
    target = plan(*entries)
    assert names(importable(target, there)) == [f"{SITE}/a/b.py", f"{SITE}/a.py"]
    bundled = plan(*entries, recipe=recipe(interpreter="bundled"))
    assert names(importable(bundled, there))[0] == "lib/python3.11/os.py"
    assert len(list(importable(bundled, there))) == 3


def test_none_leaves_the_plan_as_it_is() -> None:
    """Nothing is compiled unless it is asked for."""
    planned = plan(file(f"{SITE}/a.py"))
    with with_byte_code(
        planned, environment(), "none", patterns=Selection(), threads=2, report=silent
    ) as whole:
        assert whole is planned


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
    assert note.startswith(f"6 of the sources, {SITE}/tool/coding.py first, cannot be compiled")
    assert f"{SITE}/tool/python2.py" in names(whole.entries)


def test_patterns_leave_byte_code_out_and_bring_it_back(tmp_path: Path) -> None:
    """`exclude-files` and `include-files` decide on it as on any file."""
    planned = plan(file(f"{SITE}/tool/a.py"), file(f"{SITE}/tool/b.py"), file(f"{SITE}/c.py"))
    there = made(tmp_path)
    whole, found = compiled(planned, there, exclude=("__pycache__/",), include=("**/b.*.pyc",))
    assert list(found) == [f"{CACHE}/b.cpython-311.pyc"]
    assert whole.notes == ()
    whole, found = compiled(planned, there, exclude=("*.pyc",))
    assert whole.entries == planned.entries


def test_names_that_no_file_system_holds_have_no_byte_code(tmp_path: Path) -> None:
    """A source whose name is as long as names can be is packed without."""
    planned = plan(file(f"{SITE}/tool/{'a' * 240}.py"), file(f"{SITE}/tool/{'b' * 239}.py"))
    _, found = compiled(planned, made(tmp_path))
    assert [Path(name).name[0] for name in found] == ["b"]


def test_a_record_lists_the_byte_code_of_its_sources() -> None:
    """Each row has no hash, as pip writes it; other distributions' and scripts' are not listed."""
    planned = plan(
        file(f"{SITE}/tool/a.py"),
        file(f"{SITE}/tool/b.py"),
        file(f"{SITE}/other.py"),
        file("bin/t.py"),
        folder(INFO),
        file(f"{INFO}/RECORD", RECORD),
        environment=environment(distribution("tool")),
    )
    byte_code = {
        f"{SITE}/tool/a.py": file(f"{CACHE}/a.cpython-311.pyc", b"1"),
        f"{SITE}/other.py": file(f"{SITE}/__pycache__/other.cpython-311.pyc", b"2"),
    }
    whole = completed(planned, environment(), byte_code, [])
    (record,) = [entry for entry in whole.entries if entry.arcname == f"{INFO}/RECORD"]
    assert isinstance(record, FileEntry)
    assert isinstance(record.content, bytes)
    assert record.size == len(record.content)
    assert [row[0] for row in csv.reader(record.content.decode().splitlines())] == [
        "../../../bin/t.py",
        "tool/__pycache__/a.cpython-311.pyc",
        "tool/a.py",
        "tool/b.py",
    ]
    assert b"tool/__pycache__/a.cpython-311.pyc,,\n" in record.content
    again = completed(whole, environment(), byte_code, [])
    assert again.entries == whole.entries


# problems


def test_a_python_that_does_not_run_is_one_sentence(tmp_path: Path) -> None:
    """It cannot be started, or ends at once: nothing is packed, and the way out is told."""
    planned = plan(file(f"{SITE}/tool/a.py"))
    for number, program in enumerate(("/nowhere", "/bin/false")):
        there = made(tmp_path / str(number), program)
        with pytest.raises(EnvironmentProblem) as caught:
            compiled(planned, there)
        assert str(there.prefix / "bin/python") in str(caught.value)
        assert 'bytecode = "none"' in str(caught.value)


def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It is named, and nothing is written."""
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
    assert whole.notes[0].startswith(f"1 of the sources, {SITE}/tool/a.py")


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


# the program


def test_the_program_answers_in_lines(tmp_path: Path) -> None:
    """A size, a dash or the reason stand for what became of a source."""

    def ask(source: Path, target: Path) -> str:
        fields = os.fsencode(source), os.fsencode(target), b"lib/a.py"
        return answer(b"\0".join(fields).hex() + "\n", 1)

    good, bad = tmp_path / "good\n\udce9.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_text("x =\n")
    target = tmp_path / "1.pyc"
    assert ask(good, target) == str(target.stat().st_size)
    assert ask(bad, tmp_path / "2.pyc") == "-"
    assert not (tmp_path / "2.pyc").exists()
    assert ask(tmp_path / "gone", target).startswith("![Errno 2]")
    assert ask(good, tmp_path / "no/folder").startswith("![Errno 2]")


@pytest.mark.parametrize(
    "elements",
    ["None, 0, 8", "..., (None, 2), 0, 8", ", ".join(map(str, [None, *range(300), 1 << 20]))],
    ids=["small", "nested", "large"],
)
def test_frozensets_are_written_in_a_fixed_order(elements: str) -> None:
    """Sets whose order hangs on addresses are the same bytes whatever order they have in memory.

    Here they have two because elements whose hashes collide lie in the order they were added in.
    """
    other = ", ".join(re.findall(r"\(.*?\)|[^ ,]+", elements)[::-1])
    codes = [
        compile(
            f"def f(x):\n  y = 'some text'\n  return x in {{{text}}}\nz = 'some text'\n", "", "exec"
        )
        for text in (elements, other)
    ]
    orders = [list(next(c for c in walked(code) if isinstance(c, frozenset))) for code in codes]
    assert orders[0] != orders[1]
    contents = [dumped_in_order(code) for code in codes]
    assert contents[0] == contents[1]
    assert marshal.loads(contents[0]) == codes[0]  # noqa: S302 (our own bytes)
    assert MARK not in contents[0]


def walked(code: CodeType) -> Iterator[object]:
    """Yield the constants of a code object and of those in it."""
    for constant in code.co_consts:
        yield constant
        if isinstance(constant, type(code)):
            yield from walked(constant)


def test_a_source_with_the_mark_itself_is_not_compiled_wrongly() -> None:
    """Whatever cannot be told apart is an error, and hence packed without byte code."""
    text = f"x in {{None, 'a'}}\ny = ({MARK!r}, 1)\n"
    code = compile(text, "name", "exec", dont_inherit=True)
    with pytest.raises(ValueError, match="fixed order"):
        dumped_in_order(code)


def test_what_was_interned_before_does_not_matter() -> None:
    """A set is one object or two by what other sources did (CPython issue 129724), here neither.

    The same holds for the cached strings of one character, which may be interned or not.
    """
    word = "w" + os.urandom(8).hex()
    source = f"a = {{'{word}', 2, 3}}\ndef f():\n    b = {{'{word}', 2, 3}}, '}}'\n".encode()
    before = byte_code(source, "name", 1)
    interned = sys.intern(word), sys.intern("}")
    assert byte_code(source, "name", 1) == before
    del interned


def test_code_without_such_sets_is_written_as_ever() -> None:
    """Nothing is changed for most sources."""
    code = compile("x in {'a', 'b'}\ndef f(): return (None, 1)\n", "name", "exec")
    assert dumped_in_order(code) == marshal.dumps(code)
