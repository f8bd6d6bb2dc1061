"""Interpreters that answer badly, low memory, closed streams, signals, and flipped bits."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from faults.zip_bits import flipped, small_zip
from support.shells import unmeasured

from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.scan import asking
from hatch_pack_venv.scan.probe import ask_interpreter


def interpreter(tmp_path: Path, script: str) -> Path:
    """Make a program that acts as an environment's interpreter."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


REAL: Final = f'exec "{os.path.realpath(sys.executable)}" "$@"'
GOOD: Final = {
    "as it is": REAL,
    "prints before": f"echo hello; echo 'no \\033[31m' >&2; {REAL}",
    "prints bytes": f"printf '\\377\\376'; {REAL}",
    "prints after": f'"{os.path.realpath(sys.executable)}" "$@"; echo bye',
    "starts another that stays": f"sleep 0.2 & {REAL}",
}
LAST: Final = "for last; do :; done; "  # the word that precedes the answer
BAD: Final = {
    "prints nothing": "exit 0",
    "prints other JSON": "echo '{}'",
    "answers other JSON": LAST + 'echo "$last {}"',
    "answers a list": LAST + 'echo "$last [1]"',
    "answers wrong types": LAST + """echo "$last" '{"minor": 3, "site_packages": [1]}'""",
    "answers bytes": LAST + "printf '%s \\377\\n' \"$last\"",
    "answers nested": LAST + "echo \"$last\" $(head -c 100000 /dev/zero | tr '\\0' '[')",
    "answers megabytes": LAST + 'printf %s "$last"; head -c 5000000 /dev/zero',
    "prints without an end": "exec cat /dev/zero",
    "prints errors without an end": "exec yes >&2",
    "fails": "printf '\\033[31mno\\n' >&2; exit 3",
    "is killed": "kill -9 $$",
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_printed_does_not_matter(tmp_path: Path, case: str) -> None:
    """The answer is recognised by a unique word."""
    found = ask_interpreter(interpreter(tmp_path, GOOD[case]))
    assert found.minor == f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_is_one_sentence(tmp_path: Path, case: str) -> None:
    """It is reported quickly, in printable text that cannot control a terminal."""
    began = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="repair or recreate the environment") as caught:
        ask_interpreter(interpreter(tmp_path, BAD[case]))
    assert time.monotonic() - began < 10
    assert caught.value.for_terminal.isprintable()


def test_an_interpreter_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed together with the processes it started."""
    monkeypatch.setattr(asking, "_TIMEOUT", 0.5)
    script = f"sleep 77 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(EnvironmentProblem, match=r"gave no answer within 0\.5 seconds"):
        ask_interpreter(interpreter(tmp_path, script))
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{child}/stat").exists():
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("env") / "app"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    (path / "data").write_bytes(os.urandom(20_000_000))
    return path


def command(*arguments: object, **options: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "hatch_pack_venv", *map(str, arguments)]
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        words, text=True, env=unmeasured(), **{"stderr": subprocess.PIPE, **options}
    )


@pytest.mark.parametrize("format", ["tar.gz", "tar.zst", "zip"])
def test_low_memory_is_one_sentence(environment: Path, tmp_path: Path, format: str) -> None:
    """An archive, or a sentence; nothing is left."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))

    out = tmp_path / "out"
    arguments = ("pack", environment, "-o", out / "a", "--format", format)
    process = command(*arguments, "--interpreter", "target", preexec_fn=limit)
    _, said = process.communicate()
    assert "Traceback" not in said
    if process.returncode:
        assert "not enough memory" in said
        assert not out.exists()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_is_no_error(environment: Path, tmp_path: Path, closed: str) -> None:
    """The archive is written, and nothing that is printed gets into it."""
    shell = {"stdout": ">&-", "stderr": "2>&-"}[closed]
    script = f'"$@" {shell}'
    words = [sys.executable, "-m", "hatch_pack_venv", "pack", str(environment)]
    words += ["-o", str(tmp_path / "a")]
    words += ["--format", "tar", "--interpreter", "target"]
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words], capture_output=True, check=False, env=unmeasured()
    )
    assert done.returncode == 0
    assert verify(tmp_path / "a.tar").is_whole


NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", NUMBERS)
def test_signals_end_with_their_status(
    environment: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """One line, 128 and the signal's number, and nothing left in the folder."""
    process = command(
        *("pack", environment, "-o", tmp_path / "a", "--format", "tar.xz"),
        *("--interpreter", "target"),
    )
    while process.poll() is None and not [*tmp_path.glob(".*.partial")]:
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate()
    assert (process.returncode, said) == (
        128 + number,
        "pack-venv: error: interrupted, nothing was written\n",
    )
    assert [*tmp_path.iterdir()] == []


def test_a_flipped_bit_that_verifies_changes_nothing(tmp_path: Path) -> None:
    """What is accepted with one bit flipped unpacks to the same tree with every tool.

    `python -m tests.faults.zip_bits` flips all of them.
    """
    found = flipped(small_zip(tmp_path), tmp_path, stride=139)
    assert found.wrong == []
    assert found.refused > 100
    assert len(found.accepted) < found.refused / 10
