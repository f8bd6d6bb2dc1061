"""An archive for the target's interpreter knows which libraries the target must have."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.archives import open_tar
from support.binaries import compile_library, runpath
from support.environments import make_environment
from support.hiding import run_hidden
from support.interpreters import newest_of_each
from support.machine import needs
from support.trees import extract

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("namespaces", "gcc")]


@pytest.mark.parametrize("mode", ["target", "promised"])
def test_a_library_that_is_not_there_is_told_by_name(tmp_path: Path, mode: str) -> None:
    """The sentence names the file that needs it; where the library exists, nothing is printed."""
    python = newest_of_each()[-1]
    library = compile_library(tmp_path / "opt/libquote.so.4")
    env = make_environment(tmp_path / "made/env", python, by="uv")
    site = env / f"lib/python{python.minor}/site-packages"
    flags = ["-Wl,--no-as-needed", str(library), *runpath(str(library.parent))]
    compile_library(site / "quotes/_quote.so", *flags)
    (site / "quotes/_quote.so").chmod(0o755)
    interpreter = "target" if mode == "target" else str(python.path)
    options = PackOptions.from_mapping({"interpreter": interpreter, "format": "tar"})
    (result,) = pack(env, tmp_path / "out/app", options)
    with open_tar(result.path) as tar:
        extract(tar, tmp_path / "there", by="tar")
    (root,) = (tmp_path / "there").iterdir()
    head = json.loads((root / "share/venv/metadata/pack-venv.json").read_text())
    file = f"lib/python{python.minor}/site-packages/quotes/_quote.so"
    folder = str(library.parent)
    assert head["target_libraries"] == [{"name": library.name, "file": file, "folder": folder}]
    connect = [str(python.path), str(root / "postinstall.py"), "--no-compile"]
    there = subprocess.run(connect, capture_output=True, text=True, check=True)
    assert there.stderr == ""
    gone = run_hidden(connect, hide=[tmp_path / "opt", env])
    assert gone.returncode == 0
    assert gone.stderr.startswith("postinstall.py: The library libquote.so.4 cannot be loaded")
    assert gone.stderr.endswith("and quotes/_quote.so needs it: install it.\n")
    checked = run_hidden([*connect[:2], "--check"], hide=[tmp_path / "opt", env])
    assert (checked.returncode, checked.stderr) == (1, gone.stderr)
