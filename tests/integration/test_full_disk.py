"""A full disk, or Ctrl-C to the command, leaves earlier output as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from support import hiding
from support.archives import OUTPUTS
from support.environments import make_environment, tool
from support.interpreters import newest_of_each
from support.machine import needs
from support.shells import unmeasured
from support.trees import Scene, lasting_state

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.write.archive import write_archives

TESTS: Final = Path(__file__).parents[1]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make an environment with a file of more than one block."""
    scene = Scene.make(tmp_path)
    (scene.env / "data/big").write_bytes(os.urandom(1_500_000))
    return scene


# real processes

# Runs in its own namespace. Arguments: the tests' folder, a scene, an output, sizes of the file
# system. Prints, for each size, the outcome and the files that are then on the disk.
ON_SMALL_DISKS: Final = """
import json, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.archives import write_output
from support.trees import Scene
from hatch_pack_venv import PackVenvError
scene, output, sizes = Scene(root=Path(sys.argv[2])), sys.argv[3], json.loads(sys.argv[4])
disk = scene.root / "disk"
found = []
for size in sizes:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
    subprocess.run(mount, check=True)
    for name in ("app.tar", "app.tar.gz", "app.zip", "app.tar.json"):
        (disk / name).write_text("earlier")
    message = "done"
    try:
        write_output(scene.plan(), disk, output)
    except PackVenvError as error:
        message = str(error)
    names = {str(p.relative_to(disk)): p.is_file() and p.stat().st_size for p in disk.rglob("*")}
    found.append((message, names))
    subprocess.run(["umount", str(disk)], check=True)
print(json.dumps(found))
"""


EARLIER: Final = {"app.tar": 7, "app.tar.gz": 7, "app.zip": 7, "app.tar.json": 7}


def on_small_disks(
    scene: Scene, output: str, sizes: list[int]
) -> list[tuple[str, dict[str, object]]]:
    prefix = hiding.namespace()
    assert prefix is not None, "mount namespaces are not allowed here"
    (scene.root / "disk").mkdir()
    command = [*prefix, sys.executable, "-c", ON_SMALL_DISKS, TESTS, scene.root, output]
    done = subprocess.run(
        [*map(str, command), json.dumps(sizes)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(message, names) for message, names in json.loads(done.stdout)]


@needs("namespaces")
@pytest.mark.parametrize("output", [*OUTPUTS, pytest.param("SQUASHFS", marks=needs("mksquashfs"))])
def test_a_full_disk(scene: Scene, output: str) -> None:
    """Without enough space, one sentence is reported and only the earlier files are left."""
    ((message, names),) = on_small_disks(scene, output, [700_000])
    assert "cannot be written: No space left on device" in message
    assert names == EARLIER


@needs("namespaces")
def test_a_disk_that_is_full_just_before_the_end(scene: Scene) -> None:
    """Near the limit, both the archive and its facts are written, or neither."""
    for number in range(80):
        # Many distributions make the facts longer than Python's buffer.
        folder = scene.env / f"lib/python3.11/site-packages/p{number}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: p{number}\nVersion: 1\nSummary: {'x' * 90}\n")
    (result,) = write_archives(
        scene.plan(), scene.root / "out/app", [CompressionFormat.UNCOMPRESSED]
    )
    page = os.sysconf("SC_PAGE_SIZE")
    pages = -(-result.size // page) + len(EARLIER)
    found = on_small_disks(scene, "UNCOMPRESSED", [page * (pages + n) for n in range(-1, 5)])
    outcomes = [message == "done" for message, _ in found]
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {True, False}
    assert outcomes[1] is False, "there was room for the archive only"
    for message, names in found:
        if message == "done":
            assert names["app.tar"] == result.size
            assert names.keys() == EARLIER.keys()
        else:
            assert "No space left on device" in message
            assert names == EARLIER


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a real environment that takes a while to compress."""
    env = make_environment(tmp_path_factory.mktemp("slow") / "env", newest_of_each()[-1], by="uv")
    (env / "data").write_bytes(os.urandom(40_000_000))
    return env


@pytest.mark.parametrize("command", ["pack", "export"])
def test_sigint_to_the_command(environment: Path, tmp_path: Path, command: str) -> None:
    """Ctrl-C ends with one line and status 130; the earlier output is all that is there."""
    out = tmp_path / "out"
    target = out / "app"
    arguments = [str(environment), "--interpreter", "target"]
    if command == "pack":
        out.mkdir()
        (out / "app.tar.xz").write_text("earlier")
        call = [tool("pack-venv"), "pack", *arguments, "--force", "-o", str(target)]
    else:
        (target / "share/venv/metadata").mkdir(parents=True)
        (target / "share/venv/metadata/pack-venv.json").write_text("earlier")
        call = [tool("pack-venv"), "export", arguments[0], str(target), *arguments[1:]]
    state = lasting_state(out)
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=unmeasured()) as process:
        end = time.monotonic() + 60
        while not any(path.name.endswith(".partial") for path in out.iterdir()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
        process.send_signal(signal.SIGINT)
        _, message = process.communicate()
    assert process.returncode == 130
    assert message == "pack-venv: error: interrupted, nothing was written\n"
    assert lasting_state(out) == state
