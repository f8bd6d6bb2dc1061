"""Which versions of the build target can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import environment

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.hatch.release import Release
from hatch_pack_venv.model.errors import OptionsError
from hatch_pack_venv.write.sinks import squashfs


def release(**table: Any) -> Release:
    source = Source.of(environment(), PackOptions.from_mapping(table))
    return Release(prefix=Path(".venv"), source=source, output=Path("dist-venv"))


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_a_version_has_its_interpreter_in_its_name(interpreter: str) -> None:
    """Both can be in one folder; `standard` is as configured."""
    options = release(format="tar").providing(interpreter).source.options
    assert options.interpreter == interpreter
    assert options.archive_name.endswith(f"-{interpreter}")
    assert release(format="tar").providing(None).source.options.interpreter == "bundled"


@pytest.mark.parametrize("format", ["run", "oci", "squashfs"])
def test_what_runs_where_it_is_brings_its_interpreter(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing connects it on the target, so version `target` is refused before packing."""
    monkeypatch.setattr(squashfs, "find_mksquashfs", lambda: "mksquashfs")
    assert release(format=format).providing("bundled").source.options.interpreter == "bundled"
    with pytest.raises(OptionsError) as caught:
        release(format=["tar", format]).providing("target")
    (problem,) = caught.value.problems
    assert f"needs postinstall.py, but format '{format}' runs without it" in problem
