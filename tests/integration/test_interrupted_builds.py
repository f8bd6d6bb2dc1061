"""Ctrl-C and other signals during a real `hatch build`, and while the command starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from support.environments import run, tool
from support.projects import make_project
from support.shells import unmeasured

pytestmark = [pytest.mark.network, pytest.mark.slow]

CONFIGURATION: Final = """\
[tool.hatch.build.hooks.pack-venv]
interpreter = "target"
format = ["tar.xz", "zip"]
[tool.hatch.build.targets.pack-venv]
interpreter = "target"
format = ["tar.xz", "zip"]
"""
SAID: Final = "pack-venv: interrupted, nothing was written"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project with an earlier archive and an environment that takes seconds to pack."""
    folder = tmp_path_factory.mktemp("interrupted")
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    root = make_project(folder / "project", env, CONFIGURATION)
    run(sys.executable, "-m", "hatchling", "build", "-t", "pack-venv", cwd=root)
    (env / "large").write_bytes(os.urandom(40_000_000))
    return root


def output(root: Path) -> dict[str, bytes]:
    """Return the packed files; a wheel that exists before packing begins is hatchling's."""
    return {path.name: path.read_bytes() for path in (root / "dist-venv").iterdir()}


def packing(root: Path, variables: dict[str, str], target: str) -> subprocess.Popen[str]:
    """Start `hatch build` in a session of its own, as a terminal does; return when it packs."""
    process = subprocess.Popen(
        [tool("hatch"), "build", "-t", target],
        cwd=root,
        env={**unmeasured(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not any((root / "dist-venv").glob(".*.partial")):
        time.sleep(0.002)
    return process


def build_process(session: int) -> int:
    """Return the process in which hatchling builds."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"hatchling" in words and os.getsid(int(path.name)) == session:
                return int(path.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise LookupError


@pytest.mark.parametrize(
    ("number", "target"),
    [
        (signal.SIGINT, "wheel"),
        (signal.SIGINT, "pack-venv"),
        (signal.SIGTERM, "pack-venv"),
        (signal.SIGHUP, "wheel"),
    ],
)
def test_a_signal_to_a_terminal(
    root: Path, offline: dict[str, str], number: signal.Signals, target: str
) -> None:
    """Every process gets it: the build prints one line, and earlier files are unchanged.

    The status is that of Hatch, which SIGTERM and SIGHUP kill at once, and which exits with 256 - 2
    if SIGINT kills the shell in which it builds.
    """
    before = output(root)
    process = packing(root, offline, target)
    os.killpg(process.pid, number)
    said, _ = process.communicate()
    assert said.endswith(f"\n{SAID}\n")
    assert "Traceback" not in said
    assert process.returncode in ((130, 254) if number == signal.SIGINT else (-number,))
    assert output(root) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_build(root: Path, offline: dict[str, str], number: signal.Signals) -> None:
    """Hatch passes its status on: 128 and the signal's number."""
    before = output(root)
    process = packing(root, offline, "pack-venv")
    os.kill(build_process(process.pid), number)
    said, _ = process.communicate()
    assert said.endswith(f"\n{SAID}\n")
    assert "Traceback" not in said
    assert process.returncode == 128 + number
    assert output(root) == before


STARTING: Final = """\
import signal, sys

class Raising:
    def __set_name__(self, owner, name):  # CPython before 3.12 wraps what comes here
        signal.raise_signal(number)

class Watching:
    def find_spec(self, name, path=None, target=None):
        global left
        left -= 1
        if left == 0 and at % 2:
            signal.raise_signal(number)
        elif left == 0:
            type("Made", (), {"attribute": Raising()})
        elif number == 0:
            print(name, file=sys.stderr)

number, at = map(int, sys.argv[1:3])
left = at
sys.argv[:3] = ["pack-venv"]
from hatch_pack_venv.__main__ import main
sys.meta_path.insert(0, Watching())
main()
"""


def test_a_signal_while_the_command_imports(tmp_path: Path) -> None:
    """Whichever import Ctrl-C interrupts, there is one line, status 130, and no file left."""
    env, out = tmp_path / "env", tmp_path / "out"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    words = ("pack", env, "-o", out / "app", "--format", "tar.gz", "--interpreter", "target", "-q")

    def started(number: int, at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", STARTING, str(number), str(at), *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=unmeasured()
        )

    imported = started(0, 0).stderr.splitlines()
    (out / "app.tar.gz").unlink()
    before = sorted(out.iterdir())
    for at in range(1, len(imported) + 1, 23):
        done = started(signal.SIGINT, at)
        assert done.stderr == "pack-venv: error: interrupted, nothing was written\n", imported[
            at - 1
        ]
        assert done.returncode == 130
        assert sorted(out.iterdir()) == before
