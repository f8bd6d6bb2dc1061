"""Asking the interpreter of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.scan.probe import read_environment

if TYPE_CHECKING:
    from pathlib import Path


SITE = "lib/python3.11/site-packages"


def test_an_interpreter_that_does_not_run_is_refused(prefix: Path) -> None:
    """An interpreter that fails is reported with its last line of output."""
    script = prefix.parent / "base" / "python3.11"
    script.write_text("#!/bin/sh\necho first >&2\necho no luck >&2\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=r"does not run \(exit status 3: no luck\)"):
        read_environment(prefix)
    script.chmod(0o644)
    with pytest.raises(EnvironmentProblem, match="cannot be started"):
        read_environment(prefix)
