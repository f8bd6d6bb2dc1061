"""Editable installs of compiled modules."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from support.fakes import SITE, copied, editable, problem_of
from support.machine import needs
from support.trees import write

from hatch_pack_venv.model.distribution import Exposed

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.scan.editables import ResolvedEditables

pytestmark = needs("gcc")


def test_a_library_of_the_build_folder_is_refused(tmp_path: Path) -> None:
    """An extension module that finds a library only where it was built cannot be copied alone."""
    source = write(tmp_path / "src", "a/__init__.py", **{"x.c": "int x;", "y.c": "int y;"})
    (source / "build").mkdir()
    gcc: list[str | Path] = ["gcc", "-shared", "-o"]
    subprocess.run([*gcc, source / "build/libx.so", source / "x.c"], check=True)

    def link(rpath: str, library: Path) -> ResolvedEditables:
        search = [f"-L{library.parent}", "-Wl,--no-as-needed", "-lx", f"-Wl,-rpath,{rpath}"]
        command = [*gcc, source / "a/_ext.so", source / "y.c", *search]
        subprocess.run(command, check=True)
        return copied(
            tmp_path, editable("a", source, exposed=(Exposed(name="a", path=source / "a"),))
        )

    built = source / "build/libx.so"
    for rpath in (str(built.parent), "$ORIGIN/../build"):
        problem = problem_of(link(rpath, built))
        assert problem == f"{SITE}/a/_ext.so needs {built}, which it would not find once copied"
    beside = built.rename(source / "a/libx.so")
    assert str(problem_of(link(str(beside.parent), beside))).endswith("not find once copied")
    assert problem_of(link("$ORIGIN", beside)) is None
