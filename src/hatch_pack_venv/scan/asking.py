"""Asking an interpreter, in a separate process and for a bounded time."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..metadata.files import parse_json
from ..model.errors import EnvironmentProblem, InterpreterMissing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_TIMEOUT: Final = 60  # seconds; a cold start from a slow network disk takes a few
_SAID_LIMIT: Final = 1 << 20  # bytes; an answer has about a thousand
_LAST_WORDS: Final = 4096

_ANSWER: Final = """
os.write(1, ("\\n%s %s\\n" % (sys.argv[1], answer)).encode())
"""


def answer_of(executable: Path, options: Sequence[str], questions: str) -> Any:
    """Run an interpreter for a bounded time and return its answer; `None` if that is not JSON.

    Parameters:
        questions: a program that assigns the text of its answer, as JSON, to `answer`.

    Raises:
        EnvironmentProblem: if it cannot be started, fails, does not end, or never stops printing.
    """
    # Start-up code may print as well: the answer is the line that begins with a random word.
    word = secrets.token_hex(8)
    command = [str(executable), *options, "-B", "-c", questions + _ANSWER, word]
    status, said = _run(executable, command)
    if status != 0:
        last = said[-_LAST_WORDS:].decode("utf-8", "replace").strip()
        reason = (last.splitlines() or ["no message"])[-1]
        raise InterpreterMissing(
            f"{executable} does not run (exit status {status}: {reason}): repair or recreate"
            " the environment"
        )
    try:
        return parse_json(said.partition(word.encode())[2].partition(b"\n")[0])
    except ValueError:
        return None


def _run(executable: Path, command: list[str]) -> tuple[int, bytes]:
    """Run a command for a bounded time; return its status and what it printed.

    Raises:
        EnvironmentProblem: it cannot be started, does not end, or never stops printing.
    """
    # This variable makes a framework's Python on macOS take itself for the one that runs this.
    environ = {key: os.environ[key] for key in os.environ if key != "__PYVENV_LAUNCHER__"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        raise InterpreterMissing(
            f"{executable} cannot be started ({error}): repair or recreate the environment"
        ) from error
    said = bytearray()
    listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
    try:
        listener.start()
        listener.join(_TIMEOUT)
        status = process.wait(0 if listener.is_alive() else 1)
    except subprocess.TimeoutExpired:
        wrong = f"gave no answer within {_TIMEOUT} seconds"
        if len(said) > _SAID_LIMIT:
            wrong = "keeps printing instead of answering"
        raise EnvironmentProblem(
            f"{executable} {wrong}: repair or recreate the environment"
        ) from None
    finally:
        _end(process)
    return status, bytes(said)


def _listen(process: subprocess.Popen[bytes], said: bytearray) -> None:
    """Collect what a process prints, up to a limit."""
    if process.stdout is not None:
        with process.stdout as stream:
            while len(said) <= _SAID_LIMIT and (data := os.read(stream.fileno(), _LAST_WORDS)):
                said += data


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and, on POSIX, those that it has started and left behind."""
    with suppress(OSError):  # it has ended and left none behind
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
