"""Environments made through one path and packed through another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.archives import members
from support.environments import make_environment, run
from support.interpreters import newest_of_each
from support.machine import needs

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("namespaces")
BARE: Final = {"PATH": "/usr/bin:/bin"}
TARGET: Final = PackOptions.from_mapping({"interpreter": "target", "format": "tar"})


@pytest.mark.parametrize("by", ["venv --without-pip", "uv"])
def test_made_through_a_link_and_packed_by_the_real_path(tmp_path: Path, by: str) -> None:
    """As where `/home` is a link: no file names that path, and a hand-made script runs moved."""
    python = newest_of_each()[-1]
    (tmp_path / "var/home").mkdir(parents=True)
    (tmp_path / "home").symlink_to("var/home")
    known = tmp_path / "home/env"
    make_environment(known, python, by=by)
    own = known / "bin/own"
    own.write_text(f"#!{known}/bin/python\nimport sys\nprint(sys.prefix)\n")
    own.chmod(0o755)
    (result,) = pack(tmp_path / "var/home/env", tmp_path / "app", TARGET)
    found = members(result.path)
    named = [name for name, each in found.items() if str(known).encode() in each.content]
    assert named == []
    run("tar", "-xf", result.path, "-C", tmp_path)
    root = tmp_path / "env"
    run(python.path, root / "postinstall.py", "--no-compile", env=BARE)
    done = hiding.run_hidden([root / "bin/own"], hide=[tmp_path / "var"], env=BARE)
    assert done.stdout == f"{root}\n", done.stderr
