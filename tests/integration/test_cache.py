"""The cache of compressed blocks across real builds: killed, concurrent, and on bad disks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.environments import make_environment
from support.hiding import namespace
from support.interpreters import newest_of_each
from support.machine import needs
from support.shells import unmeasured

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment of some blocks, half of which cannot be compressed."""
    path = make_environment(
        tmp_path_factory.mktemp("env") / "app", newest_of_each()[-1], ["pip"], by="uv"
    )
    (path / "large").write_bytes(os.urandom(6_000_000))
    return path


def command(prefix: Path, out: Path, *options: str) -> list[str]:
    start = [sys.executable, "-m", "hatch_pack_venv", "pack", str(prefix), "-o", str(out), "-v"]
    return [*start, "--force", "--interpreter", "target", "--prove", "none", *options]


def packed(words: list[str], out: Path, cache: Path, *before: str) -> tuple[str, str]:
    """Pack; return the archive's SHA-256 and the line about the cache."""
    environment = unmeasured() | {"HATCH_PACK_VENV_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [*before, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "cache: " in line or "cached" in line]
    return hashlib.sha256(out.read_bytes()).hexdigest(), told


def without(prefix: Path, out: Path, *options: str) -> str:
    """Pack without a cache."""
    words = command(prefix, out, "--cache", "false", *options)
    subprocess.run(words, env=unmeasured(), capture_output=True, check=True)
    return hashlib.sha256(out.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.zst", ".zip"])
def test_the_second_build_finds_all_blocks(tmp_path: Path, prefix: Path, suffix: str) -> None:
    """Both have the bytes of a build without a cache."""
    out, cache = tmp_path / f"app{suffix}", tmp_path / "cache"
    expected = without(prefix, out)
    assert not cache.exists()
    first, told = packed(command(prefix, out), out, cache)
    assert "cache: 0 of " in told
    second, told = packed(command(prefix, out, "--threads", "3"), out, cache)
    words = told.partition("cache: ")[2].split()
    assert words[0] == words[2] != "0"
    assert {first, second} == {expected}


def test_builds_at_once_one_of_which_is_killed(tmp_path: Path, prefix: Path) -> None:
    """The surviving builds and the next one produce the bytes of a build without a cache."""
    cache, words = tmp_path / "cache", ("--format", "zip")
    expected = without(prefix, tmp_path / "app.zip")
    environment = unmeasured() | {"HATCH_PACK_VENV_CACHE_DIR": str(cache)}
    builds = []
    for number in range(3):
        out = tmp_path / str(number) / "app.zip"
        builds.append(
            subprocess.Popen(
                command(prefix, out, *words), env=environment, stderr=subprocess.DEVNULL
            )
        )
    while not list(cache.glob("blocks/*")):
        assert builds[0].poll() is None
        time.sleep(0.005)
    builds[0].send_signal(signal.SIGKILL)
    assert [build.wait() for build in builds] == [-signal.SIGKILL, 0, 0]
    for number in (1, 2):
        content = (tmp_path / str(number) / "app.zip").read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
    out = tmp_path / "app.zip"
    assert packed(command(prefix, out), out, cache)[0] == expected


_MOUNTED = {
    "full": 'mount -t tmpfs -o size=400k,mode=700 none "$0"; exec "$@"',
    "read-only": 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"',
}


@needs("namespaces")
@pytest.mark.parametrize("disk", ["full", "read-only"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_disk_that_takes_nothing_costs_the_time(
    tmp_path: Path, prefix: Path, disk: str, *, filled: bool
) -> None:
    """The archive is the same as without a cache; on a read-only disk, cached blocks are used."""
    start = namespace()
    assert start is not None
    out, cache = tmp_path / "app.zip", tmp_path / "cache"
    expected = without(prefix, out)
    cache.mkdir(mode=0o700)
    if filled:
        packed(command(prefix, out), out, cache)
    found, told = packed(
        command(prefix, out), out, cache, *start, "sh", "-ec", _MOUNTED[disk], str(cache)
    )
    assert found == expected
    if disk == "read-only" and filled:
        words = told.partition("cache: ")[2].split()
        assert words[0] == words[2] != "0"
    elif disk == "read-only":
        assert f"no blocks are cached for the next build: {cache}" in told
    else:
        assert "cache: 0 of " in told


def test_no_file_may_be_as_large_as_a_block(tmp_path: Path) -> None:
    """If the system stops a write (EFBIG), the block is returned and no partial file is left."""
    cache = tmp_path / "cache"
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from hatch_pack_venv.write.block_cache import BlockCache\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "cache = BlockCache.opened(0)\n"
        "for size in (40_000, 60_000, 30_000):\n"
        "    assert cache.remembered(lambda: bytes(size), [b'%d' % size], '') == bytes(size)\n"
        "cache.close()\n"
        "print(sorted(path.stat().st_size for path in cache.folder.iterdir()))\n"
    )
    environment = os.environ | {"HATCH_PACK_VENV_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"[{40_000 + 4}]\n"


@needs("namespaces")
@pytest.mark.parametrize("limit", ["size=1m", "nr_inodes=6"])
def test_a_disk_that_is_full_although_it_told_of_room(tmp_path: Path, limit: str) -> None:
    """Blocks are still returned, no partial file is left, and an earlier block is found."""
    start = namespace()
    assert start is not None
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    script = (
        "import shutil\n"
        "from hatch_pack_venv.write.block_cache import BlockCache\n"
        "cache = BlockCache.opened(0)\n"
        "def ask(key, block):\n"
        "    assert cache.remembered(lambda: block, [key], '') == block\n"
        "ask(b'small', b'1')\n"
        "ask(b'large', bytes(min(shutil.disk_usage(cache.folder).free, 1 << 20)))\n"  # and 4
        "for key in (b'1', b'2', b'3'):\n"
        "    ask(key, b'1')\n"
        "ask(b'small', b'1')\n"
        "cache.close()\n"
        "print(cache.found, sorted(path.suffix for path in cache.folder.iterdir()))\n"
    )
    mounted = f'mount -t tmpfs -o {limit},mode=700 none "$0"; exec "$@"'
    words = [*start, "sh", "-ec", mounted, str(cache), sys.executable, "-c", script]
    environment = os.environ | {"HATCH_PACK_VENV_CACHE_DIR": str(cache)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    kept = {"size=1m": "1 ['']\n", "nr_inodes=6": "1 ['', '', '', '']\n"}[limit]
    assert (done.stdout, done.stderr) == (kept, "")
