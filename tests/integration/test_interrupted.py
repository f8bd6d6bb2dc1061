"""Runs ended from outside: the earlier archive is kept, and no stray files are left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.archives import FORMATS_HERE
from support.environments import make_environment
from support.fakes import file, plan
from support.hiding import namespace
from support.interpreters import newest_of_each
from support.machine import needs
from support.shells import opened_in, unmeasured

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that takes seconds to pack."""
    path = make_environment(
        tmp_path_factory.mktemp("env") / "app", newest_of_each()[-1], ["pip"], by="uv"
    )
    (path / "large").write_bytes(os.urandom(40_000_000))
    return path


def started(
    prefix: Path, out: Path, format: CompressionFormat, *options: str
) -> subprocess.Popen[str]:
    """Start packing, and return when its threads compress (xz writes late)."""
    late = format is CompressionFormat.XZ or bool(options)
    command = [sys.executable, "-m", "hatch_pack_venv", "pack", str(prefix), "-o", str(out / "app")]
    command += [
        "--force",
        "--interpreter",
        "target" if not format.runs_where_it_is else "bundled",
        "--format",
        format.suffix[1:],
        "--threads",
        "2",
        *options,
    ]
    if format.starts:
        command += ["--entry-point", "python"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=unmeasured()
    )
    while process.poll() is None:
        sizes = [path.stat().st_size for path in out.glob(".*.partial")]
        if sizes and late:
            time.sleep(1)
        if any(sizes) or (sizes and late):
            break
        time.sleep(0.002)
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", FORMATS_HERE, ids=lambda each: each.name)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_was_there(
    tmp_path: Path, prefix: Path, format: CompressionFormat, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM end the run at once, with one message, and without a trace."""
    earlier = tmp_path / f"app{format.suffix}"
    earlier.write_bytes(b"earlier")
    process = started(prefix, tmp_path, format)
    process.send_signal(number)
    sent = time.monotonic()
    _, messages = process.communicate()
    assert time.monotonic() - sent < 10
    assert process.returncode == 128 + number
    assert messages == "pack-venv: error: interrupted, nothing was written\n"
    assert earlier.read_bytes() == b"earlier"
    assert names(tmp_path) == [earlier.name]
    assert opened_in(tmp_path) == []


def test_a_signal_does_not_wait_for_a_block(tmp_path: Path, prefix: Path) -> None:
    """A zstd block is compressed in one call, which takes most of a minute at level 19."""
    source, out = tmp_path / "app", tmp_path / "out"
    shutil.copytree(prefix, source, symlinks=True)
    (source / "large").write_text("\n".join(map(str, range(6_000_000))), encoding="ascii")
    out.mkdir()
    process = started(source, out, CompressionFormat.ZSTD, "--compression-level", "19")
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, messages = process.communicate()
    assert time.monotonic() - sent < 5
    assert (process.returncode, names(out)) == (130, [])
    assert messages == "pack-venv: error: interrupted, nothing was written\n"


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, prefix: Path) -> None:
    """SIGKILL leaves a partial file and the earlier archive; the next run leaves only its own."""
    earlier = tmp_path / "app.zip"
    earlier.write_bytes(b"earlier")
    process = started(prefix, tmp_path, CompressionFormat.ZIP)
    process.kill()
    process.communicate()
    assert earlier.read_bytes() == b"earlier"
    assert len(names(tmp_path)) == 2
    write_archives(plan(file("a")), tmp_path / "app", [CompressionFormat.ZIP])
    assert names(tmp_path) == ["app.zip", "app.zip.json"]
    assert earlier.read_bytes() != b"earlier"


@needs("namespaces")
def test_a_full_disk_is_one_error(tmp_path: Path, prefix: Path) -> None:
    """On a full file system nothing is left behind, and the earlier archive is kept."""
    script = (
        'mount -t tmpfs -o size=8m none "$1" && printf earlier > "$1/app.tar.zst"'
        ' && "$2" -m hatch_pack_venv pack "$3" -o "$1/app" --force --interpreter target'
        " --format tar.zst;"
        ' echo "exit $?"; ls -A "$1"; cat "$1/app.tar.zst"'
    )
    command = [*(namespace() or ()), "sh", "-c", script, "sh", tmp_path, sys.executable, prefix]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout == "exit 1\napp.tar.zst\nearlier", done.stderr
    assert done.stderr == (
        f"pack-venv: error: {tmp_path}/app.tar.zst cannot be written: No space left on device\n"
    )
