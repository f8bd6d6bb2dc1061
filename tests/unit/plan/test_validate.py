"""Size limits, names that cannot be packed, and notes on headers and nested environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, inputs, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.model.results import REST, sizes_by_owner
from hatch_pack_venv.plan.validate import (
    check_size,
    check_zip_names,
    headers_notes,
    nested_environments,
    unpacked_size,
)
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_too_large_names_the_largest() -> None:
    """The error gives both sizes and the owners of the files; bytecode counts with its source."""
    small, large = distribution("small", f"{SITE}/s.py"), distribution("large", f"{SITE}/l.py")
    entries = [file(f"{SITE}/s.py", b"x" * 10), file(f"{SITE}/l.py", b"x" * 2000), file("y", b"y")]
    made = plan(*entries, environment=environment(small, large))
    size = unpacked_size(made)
    assert size > made.size + 500  # the manifest's
    check_size(made, size)
    check_size(made, None)
    with pytest.raises(PlanError) as caught:
        check_size(made, size - 1)
    (problem,) = caught.value.problems
    assert f"({size} bytes), exceeds max-size" in problem
    assert "large 1.0 2.0 kB" in problem
    assert problem.endswith("small 1.0 10 B")
    byte_code = file(f"{SITE}/__pycache__/s.cpython-311.opt-1.pyc", b"x" * 5)
    assert sizes_by_owner([*entries, byte_code], [small, large]) == {
        "small 1.0": 15,
        "large 1.0": 2000,
        REST: 1,
    }


@pytest.mark.parametrize("name", ["bin/..\\\\..\\\\x", "\\\\x", "a\\\\b", "a/C:\\\\x"])
def test_names_that_windows_takes_for_folders_are_refused(name: str) -> None:
    """Packing refuses them; they are not left for `verify` to find."""
    with pytest.raises(PlanError, match="has a backslash or a drive in its name"):
        plan(file(name))


def test_names_that_zip_has_no_encoding_for_are_refused(tmp_path: Path) -> None:
    """All are reported at once, before anything is written; tar formats can hold them."""
    made = plan(file("caf\udce9.txt"), file("n\udcff"), file("caf\u00e9"))
    with pytest.raises(PlanError) as caught:
        write_archives(made, tmp_path / "a", [CompressionFormat.GZIP, CompressionFormat.ZIP])
    assert len(caught.value.problems) == 2
    assert r"caf\udce9.txt" in caught.value.for_terminal
    assert [*tmp_path.iterdir()] == []
    (result,) = write_archives(made, tmp_path / "a", [CompressionFormat.GZIP])
    assert verify(result.path).findings == ()


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_what_compiles_when_run_is_told_that_headers_stay_out(name: str) -> None:
    """There is no note if headers are packed, or if there is no such distribution."""
    packed = plan(file("a"), environment=environment(distribution(name)))
    (note,) = headers_notes(packed)
    assert note.startswith(f"{name} may need Python.h to compile C at run time")
    assert 'include-files = ["/include/"]' in note
    assert not [*headers_notes(plan(file("a"), environment=environment(distribution("six"))))]
    header = file("include/python3.11/Python.h")
    assert not [*headers_notes(plan(header, environment=environment(distribution(name))))]


@pytest.mark.parametrize("python", ["bin/python", "Scripts/python.exe"])
def test_an_environment_in_the_environment_is_told(python: str) -> None:
    """The problem names its folder and a pattern to exclude it; a lone `pyvenv.cfg` is fine."""
    entries = [file("pyvenv.cfg"), file("bin/python"), file("a/one/pyvenv.cfg")]
    assert [*nested_environments(entries)] == []
    (problem,) = nested_environments([*entries, file(f"a/one/{python}")])
    assert problem.startswith("a/one is a nested environment, ")
    assert 'exclude-files = ["/a/one/"]' in problem


def test_a_zip_file_holds_no_name_that_is_not_utf_8() -> None:
    """The error shows the name in a form for any terminal; other non-ASCII names are fine."""
    check_zip_names(plan(file("café.txt"), file("日本.txt")))
    with pytest.raises(PlanError) as caught:
        check_zip_names(plan(file("caf\udce9.txt"), file("\udcff/x")))
    assert len(caught.value.problems) == 3  # a folder among them
    assert any(r"name 'caf\udce9.txt' is not" in problem for problem in caught.value.problems)
    assert all(problem.isascii() for problem in caught.value.problems)
    with pytest.raises(PlanError, match=r"name 'caf\\udce9' is not .*: set install-target to"):
        check_zip_names(plan(file("f"), inputs=inputs(install_target="caf\udce9")))
