"""Bytecode in a plan, and the program that the environment's Python runs to compile it."""

from __future__ import annotations

import csv
import marshal
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, folder, inputs, names, plan

from hatch_pack_venv.model.entries import FileEntry, ScannedEntry, SymlinkEntry
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.write.bytecode import completed, importable, with_byte_code
from hatch_pack_venv.write.bytecode_worker import MARK, answer, byte_code, dumped_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import CodeType


INFO = f"{SITE}/tool-1.0.dist-info"


CACHE = f"{SITE}/tool/__pycache__"


RECORD = b"tool/b.py,sha256=b,1\ntool/a.py,sha256=a,1\n../../../bin/t.py,,\n"


# what is compiled


def test_sources_on_import_paths_are_compiled() -> None:
    """Those in site-packages are, and the standard library's if it is packed, but no others."""
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
    bundled = plan(*entries, inputs=inputs(interpreter="bundled"))
    assert names(importable(bundled, there))[0] == "lib/python3.11/os.py"
    assert len(list(importable(bundled, there))) == 3


def test_none_leaves_the_plan_as_it_is() -> None:
    """Nothing is compiled unless it is asked for."""
    planned = plan(file(f"{SITE}/a.py"))
    with with_byte_code(
        planned, environment(), "none", patterns=Selection(), threads=2, report=silent
    ) as whole:
        assert whole is planned


def test_a_record_lists_the_byte_code_of_its_sources() -> None:
    """Rows have no hash, as pip writes them; other distributions' and scripts' are not listed."""
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


# the program


def test_the_program_answers_in_lines(tmp_path: Path) -> None:
    """Each answer is the size, a dash if the source is invalid, or the reason for an error."""

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
    """Sets whose order depends on addresses give the same bytes, whatever their order in memory.

    Here they have two, because elements whose hashes collide stay in the order of insertion.
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
    """A source that is ambiguous is an error, and is therefore packed without bytecode."""
    text = f"x in {{None, 'a'}}\ny = ({MARK!r}, 1)\n"
    code = compile(text, "name", "exec", dont_inherit=True)
    with pytest.raises(ValueError, match="fixed order"):
        dumped_in_order(code)


def test_what_was_interned_before_does_not_matter() -> None:
    """Other sources decide whether a set is one object or two (CPython issue 129724), but not here.

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
