"""Exports on a file system that can share blocks."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.machine import needs

if TYPE_CHECKING:
    from pathlib import Path

_EXPORT = """
import os, sys
from pathlib import Path
from support.fakes import file, plan
from hatch_pack_venv.write.archive import write_folder
from hatch_pack_venv.model.entries import FileEntry, Patch, PatchedFile
disk = Path(sys.argv[1])
large = disk / "large"
large.write_bytes(os.urandom(1_000_000))
patched = PatchedFile(path=str(large), patches=(Patch(offset=0, replacement=b"new"),))
planned = plan(
    FileEntry(arcname="large", content=str(large), size=1_000_000),
    FileEntry(arcname="patched", content=patched, size=1_000_000),
    file("small", b"1"),
)
target = write_folder(planned, disk / "out").path
os.sync()
data = large.read_bytes()
assert (target / "large").read_bytes() == data
assert (target / "patched").read_bytes() == b"new" + data[3:]
assert (target / "large").stat().st_ino != large.stat().st_ino
assert (target / "large").stat().st_nlink == 1
with (target / "large").open("r+b") as stream:
    stream.write(b"changed")
assert large.read_bytes() == data
"""


@needs("mounts", "mkfs.btrfs")
def test_an_export_shares_blocks_and_no_inode(tmp_path: Path) -> None:
    """On btrfs, a large file's copy shares blocks but no inode; a patched copy shares neither."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as stream:
        stream.truncate(160 << 20)
    script = (
        'mkfs.btrfs -q "$1" && mount -o loop "$1" "$2" && "$3" -c "$4" "$2"'
        ' && filefrag -v "$2/large" "$2/out/patched"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", image, disk, sys.executable, _EXPORT]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": "tests", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    shared, _, own = done.stdout.partition("patched")
    assert "shared" in shared
    assert "shared" not in own
