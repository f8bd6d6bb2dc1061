"""Squashfs images: mounted read-only, and run from there with the originals hidden."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.environments import make_environment, run
from support.hiding import namespace, run_hidden
from support.interpreters import Python, bundlable
from support.machine import needs, require
from support.trees import make_wheel, tree_state

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.read.verify import verify

pytestmark = [needs("namespaces", "shared CPython", "mksquashfs"), pytest.mark.slow]
TELL: Final = b"""\
import json, os, sys
import teller_data
def main():
    try:
        open(os.path.join(sys.prefix, "new"), "w")
        why = "written"
    except OSError as error:
        why = error.strerror
    cached = os.path.exists(teller_data.__spec__.cached)
    print(json.dumps({"said": sys.argv[1:], "prefix": sys.prefix, "why": why, "cached": cached}))
"""
# Arguments: how to mount, an image, a folder; a command. Nobody else sees the mount.
MOUNTED: Final = """
how=$1; image=$2; folder=$3; shift 3
case $how in
  squashfuse) squashfuse "$image" "$folder" ;;
  *) mount -o loop,ro "$image" "$folder" ;;
esac || exit 99
"$@"
status=$?
umount "$folder"
exit $status
"""
MOUNTS: Final = [
    pytest.param("squashfuse", marks=needs("squashfuse")),
    pytest.param("loop", marks=needs("mounts")),
]


@pytest.fixture(scope="module", params=["none", "unchecked-hash"])
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Path], bool]:
    """Pack an application; return the image, the folders to hide, and whether it has bytecode."""
    folder = tmp_path_factory.mktemp("packed")
    python: Python = bundlable()[-1]
    environment = make_environment(folder / "teller", python, by="uv")
    points = b"[console_scripts]\ntell = teller:main\n"
    files = {
        "teller.py": TELL,
        "teller_data.py": b"",
        "teller-1.5.dist-info/entry_points.txt": points,
    }
    wheel = make_wheel(folder, files, "teller-1.5-py3-none-any.whl")
    before = tree_state(environment)
    options = PackOptions.from_mapping(
        {"format": "squashfs", "wheels": [str(wheel)], "bytecode": request.param}
    )
    (result,) = pack(environment, folder / "out/teller", options)
    assert tree_state(environment) == before
    return result.path, [environment, python.prefix], request.param != "none"


@pytest.mark.parametrize("how", MOUNTS)
def test_it_runs_where_it_is_mounted(
    packed: tuple[Path, list[Path], bool], tmp_path: Path, how: str
) -> None:
    """Its launcher runs without a step before; nothing is or can be written."""
    image, hidden, with_byte_code = packed
    place = tmp_path / "any place"
    place.mkdir()
    launcher = place / "teller/bin/tell"
    mounting: list[str | Path] = ["sh", "-c", MOUNTED, "sh", how, image, place]
    done = run_hidden([*mounting, launcher, "two words"], hide=hidden)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["said"] == ["two words"]
    assert found["prefix"] == str(place / "teller")
    assert found["why"] != "written"
    assert found["cached"] == with_byte_code
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("how", MOUNTS)
def test_what_is_mounted_verifies(
    packed: tuple[Path, list[Path], bool], tmp_path: Path, how: str
) -> None:
    """A mounted tree verifies as the image itself does."""
    image = packed[0]
    assert verify(image).findings == ()
    place = tmp_path / "mnt"
    place.mkdir()
    prefix = namespace()
    assert prefix is not None
    tool = [sys.executable, "-m", "hatch_pack_venv", "verify", place / "teller"]
    command = [*prefix, "sh", "-c", MOUNTED, "sh", how, image, place, *tool]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as packed" in done.stdout


@needs("root", "squashfuse")
def test_the_recipe(packed: tuple[Path, list[Path], bool], tmp_path: Path) -> None:
    """The lines of docs/recipes/mount.md work, in a namespace of their own."""
    page = Path(__file__).parents[3] / "docs/recipes/mount.md"
    (lines,) = re.findall(r"<!-- run -->\n```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    image, hidden, _ = packed
    (tmp_path / "mnt").mkdir()
    env = {"IMAGE": str(image), "MOUNT": str(tmp_path / "mnt"), "PATH": os.environ["PATH"]}
    done = run_hidden(["sh", "-ec", lines.replace("greet", "tell")], hide=hidden, env=env)
    assert json.loads(done.stdout)["said"] == ["World"], done.stderr


def test_nothing_of_the_builder_is_in_it(
    packed: tuple[Path, list[Path], bool], tmp_path: Path
) -> None:
    """Unpacked by another program, no file names the build's folder and no link is absolute."""
    require("unsquashfs")
    folder = tmp_path / "unpacked"
    run("unsquashfs", "-quiet", "-no-progress", "-dest", folder, packed[0])
    place = bytes(packed[0].parents[1])
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert [path for path in files if place in path.read_bytes()] == []
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    assert links
    assert [path for path in links if str(path.readlink()).startswith("/")] == []
