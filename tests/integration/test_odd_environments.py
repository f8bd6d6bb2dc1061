"""Malformed files in an environment give a result or one sentence, quickly, in little memory.

Each environment is packed by the command, in its own process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support.shells import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS: Final = 2.0
"""Processor time, which varies little on a busy machine; half a second is usual."""
MEBIBYTES: Final = 300
PYTHON: Final = os.path.realpath(sys.executable)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Paths in an environment, and ways to damage it."""

    prefix: Path
    site: Path
    info: Path

    def kernel(self, text: str) -> None:
        """Write a kernelspec."""
        folder = self.prefix / "share/jupyter/kernels/demo"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(text)

    def top_level(self, text: str) -> None:
        """Name the top-level modules, which count where there is no RECORD."""
        (self.info / "RECORD").unlink()
        (self.info / "top_level.txt").write_text(text)

    def as_egg(self, name: str, content: bytes) -> None:
        """Install as setuptools did once."""
        (self.info / "RECORD").unlink()
        (self.info / "METADATA").rename(self.info / "PKG-INFO")
        (self.info / name).write_bytes(content)
        self.info.rename(self.site / "demo-1.0.egg-info")

    def fifo(self, path: Path) -> None:
        """Put a FIFO in a file's place."""
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    def link(self, path: Path, target: str) -> None:
        """Put a link in a file's place."""
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def python(self, text: str) -> None:
        """Put a script in the interpreter's place."""
        for path in (self.prefix / "bin").glob("python*"):
            path.unlink()
        path = self.prefix / "bin/python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


def _add(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


def _large(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def _chain(places: Places) -> None:
    """Make folders with links to each other, which never end."""
    for name, other in (("a", "b"), ("b", "a")):
        (places.site / name).mkdir()
        (places.site / name / "next").symlink_to(f"../{other}")


def _rows(places: Places) -> None:
    with (places.info / "RECORD").open("ab") as stream:
        stream.writelines(b"demo/%d.py,sha256=%043d,1\n" % (n, n) for n in range(1_500_000))


ODD: Final[dict[str, Callable[[Places], object]]] = {
    "RECORD in UTF-16": lambda p: _add(p.info / "RECORD", "ä,,\n".encode("utf-16")),
    "RECORD in Latin-1": lambda p: _add(p.info / "RECORD", "ä,,\n".encode("latin-1")),
    "RECORD with a long field": lambda p: _add(p.info / "RECORD", b"x" * 200_000 + b",,\n"),
    "RECORD of 100 MB": _rows,
    "RECORD that leads to itself": lambda p: p.link(p.info / "RECORD", "RECORD"),
    "RECORD that is a FIFO": lambda p: p.fifo(p.info / "RECORD"),
    "METADATA that is /dev/zero": lambda p: p.link(p.info / "METADATA", "/dev/zero"),
    "METADATA of 5 GB": lambda p: _large(p.info / "METADATA", 5 << 30),
    "direct_url.json in Latin-1": lambda p: _add(p.info / "direct_url.json", b'{"url": "\xe4"}'),
    "direct_url.json with a broken URL": lambda p: _add(
        p.info / "direct_url.json", b'{"url": "file://[v6/x", "dir_info": {"editable": true}}'
    ),
    "direct_url.json that is nested": lambda p: _add(p.info / "direct_url.json", b"[" * 100_000),
    "top_level.txt with an absolute name": lambda p: p.top_level("/etc\n"),
    "top_level.txt with a long name": lambda p: p.top_level("x" * 300),
    "top_level.txt with a pattern": lambda p: p.top_level("**\n"),
    "requires.txt in Latin-1": lambda p: p.as_egg("requires.txt", b"\xe4\n"),
    "a NUL in a .pth file": lambda p: _add(p.site / "x.pth", b"/a\0b\n"),
    "a long line in a .pth file": lambda p: _add(p.site / "x.pth", b"/" + b"x" * 5000),
    "a .pth file that is a FIFO": lambda p: p.fifo(p.site / "x.pth"),
    "pyvenv.cfg that is a FIFO": lambda p: p.fifo(p.prefix / "pyvenv.cfg"),
    "a kernelspec without a program": lambda p: p.kernel(f'{{"argv": [], "x": "{p.prefix}"}}'),
    "a kernelspec that is nested": lambda p: p.kernel("[" * 200_000 + str(p.prefix)),
    "a link into /proc": lambda p: p.link(p.site / "proc", "/proc/self"),
    "folders without an end": _chain,
    "an interpreter that prints": lambda p: p.python(f'echo hello; exec "{PYTHON}" "$@"; echo bye'),
    "an interpreter that prints bytes": lambda p: p.python("printf '\\377\\n'"),
    "an interpreter that prints nothing": lambda p: p.python("exit 0"),
    "an interpreter that prints JSON": lambda p: p.python("echo '{}'"),
    "an interpreter that prints gigabytes": lambda p: p.python("exec head -c 6000000000 /dev/zero"),
    "a file whose name acts on a terminal": lambda p: p.fifo(p.site / "\x1b]0;x\x07\r\n\x1b[2J"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with one distribution."""
    prefix = tmp_path_factory.mktemp("odd") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (site,) = prefix.glob("lib/python3*/site-packages")
    info = site / "demo-1.0.dist-info"
    info.mkdir()
    (site / "demo.py").write_text("def main():\n    print('demo')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (info / "RECORD").write_text("demo.py,,\ndemo-1.0.dist-info/METADATA,,\n")
    return prefix


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How a process ended, what it said, and what it took."""

    status: int
    said: bytes
    seconds: float
    mebibytes: int


# A process forked from this one would have this one's memory counted as its own.
_MEASURING: Final = """
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
_, status, used = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)
with open(sys.argv[1], "w") as file:
    facts = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss >> 10
    json.dump(facts, file)
"""


def measured(*words: object, cwd: Path) -> Measured:
    """Run the command with limits on processor time and memory."""
    facts = cwd / "measured.json"
    command = [sys.executable, "-I", "-S", "-c", _MEASURING, facts]
    command += [sys.executable, "-m", "hatch_pack_venv", *words]
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=unmeasured(), stderr=subprocess.PIPE, check=True
    )
    status, seconds, mebibytes = json.loads(facts.read_text())
    return Measured(status=status, said=done.stderr, seconds=seconds, mebibytes=mebibytes)


def check(done: Measured, out: Path) -> None:
    """Check that there is an archive, or an error message and no output."""
    print(f"status {done.status}, {done.seconds:.2f} s, {done.mebibytes} MiB, {done.said!r}")
    assert done.status in (0, 1)
    assert all(line.isprintable() for line in done.said.decode().splitlines())
    if done.status == 1:
        first, *more = done.said.decode().splitlines()
        assert first.startswith("pack-venv: error: ")
        assert all(line.startswith("  - ") for line in more)
        assert not out.exists()
    assert done.seconds < SECONDS
    assert done.mebibytes < MEBIBYTES


@pytest.mark.parametrize("case", ODD)
def test_an_odd_file(template: Path, tmp_path: Path, case: str) -> None:
    """The status is 0 or 1, within two seconds of processor time and 300 MiB."""
    prefix, out = tmp_path / "env", tmp_path / "out"
    shutil.copytree(template, prefix, symlinks=True)
    (site,) = prefix.glob("lib/python3*/site-packages")
    ODD[case](Places(prefix=prefix, site=site, info=site / "demo-1.0.dist-info"))
    words = ("pack", prefix, "-o", out / "app", "--format", "tar", "--interpreter", "target", "-q")
    check(measured(*words, cwd=tmp_path), out)


def test_a_deleted_working_folder(template: Path, tmp_path: Path) -> None:
    """Absolute paths work; relative ones are one error."""
    gone, out = tmp_path / "gone", tmp_path / "out"
    gone.mkdir()
    script = f'rmdir "{gone}"; exec "$@"'
    for prefix, status in ((str(template), 0), ("env", 1)):
        gone.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "hatch_pack_venv", "pack", prefix, "-o", str(out / "app")]
        words += ["--format", "tar", "--interpreter", "target", "-q"]
        done = subprocess.run(
            ["sh", "-c", script, "sh", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=gone,
            env=unmeasured(),
        )
        assert done.returncode == status, done.stderr
        assert done.stderr.count("\n") == status
        assert "Traceback" not in done.stderr
