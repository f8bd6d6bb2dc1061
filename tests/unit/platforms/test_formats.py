"""Which formats are possible for an environment of each system."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fakes import INTERPRETER, environment

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.errors import InterpreterProblem
from hatch_pack_venv.platforms.platform import check_possible

RUN, OCI = CompressionFormat.RUN, CompressionFormat.OCI
SQUASHFS = CompressionFormat.SQUASHFS


def check(system: str, format: CompressionFormat) -> None:
    found = environment(interpreter=replace(INTERPRETER, system=system))
    check_possible(found, bytecode="none", fixed_path=False, formats=[format])


@pytest.mark.parametrize(
    ("system", "format", "sentence"),
    [
        ("win32", RUN, "is a Windows environment, and run files need a POSIX shell: choose"),
        ("win32", SQUASHFS, "is a Windows environment, and Windows cannot mount squashfs: choose"),
        ("win32", OCI, "is not a Linux environment, which images require: choose another format"),
        ("darwin", OCI, "is not a Linux environment, which images require: choose another format"),
    ],
)
def test_what_a_system_cannot_start_is_refused(
    system: str, format: CompressionFormat, sentence: str
) -> None:
    """Before anything is read."""
    with pytest.raises(InterpreterProblem, match=sentence):
        check(system, format)


@pytest.mark.parametrize(
    ("system", "format"),
    [("linux", RUN), ("linux", OCI), ("linux", SQUASHFS), ("darwin", RUN), ("win32", "zip")],
)
def test_others_are_taken(system: str, format: CompressionFormat) -> None:
    """Run files are for macOS, too."""
    check(system, CompressionFormat(format))
