"""Processes that answer questions, several at once, each with a time limit.

They run arbitrary code, which may crash, exit, print endlessly, never return, or leave processes
behind. In a room, all processes end with the first one; without a room, with their process group.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from ..model.formats import usable_cpus
from ..model.proof import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..model.proof import Question
    from .room import Room


_T = TypeVar("_T")
_AT_ONCE: Final = 2  # per CPU: imports wait for the disk half the time
_BLOCK: Final = 1 << 14
_TAIL: Final = 4000  # bytes of output that are kept
_ANSWERS: Final = 1 << 20  # and of answers, which are short
_LINGERING: Final = 2.0
"""Seconds to wait for whatever outlives the process; without a room, it may do so for ever."""
SECONDS: Final = 60
"""How long a module may take to load."""
PATIENT: Final = 300
"""How long a command may take, and a module that loads in the source environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended.

    Parameters:
        status: its exit status, negative for a signal; `None` if it exceeded its time limit.
        output: the end of what it printed.
        answered: what it wrote to its socket.
    """

    status: int | None
    output: str
    answered: bytes
    seconds: float

    @property
    def described(self) -> str:
        """How it ended, in words."""
        if self.status is None:
            return f"did not finish within {self.seconds:.0f} s"
        number = -self.status if self.status < 0 else self.status - 128
        with suppress(ValueError):
            if number > 0:
                return f"was killed by {signal.Signals(number).name}"
        return f"exited with status {self.status}"


@dataclass(slots=True)
class Processes:
    """The processes that are running; all are killed if the work is abandoned."""

    _live: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    def run(self, words: Sequence[str], environ: Mapping[str, str], seconds: float) -> Ended:
        """Run a worker to its end; `{fd}` in its words is replaced by its socket's descriptor."""
        start = time.monotonic()
        ours, its = socket.socketpair()
        with ours, its:
            number = its.fileno()
            command = [word.replace("{fd}", str(number)) for word in words]
            process = self._start(command, environ, number)
            its.close()
            conversation = _Conversation(process, ours)
            try:
                in_time = conversation.read(start + seconds)
            finally:
                _kill(process)
                with suppress(OSError):  # a room still being made asks before it does anything
                    ours.shutdown(socket.SHUT_WR)
                status = process.wait()
                _wait_for_all(ours)
                cast("IO[bytes]", process.stdout).close()
                with self._lock:
                    self._live.discard(process)
        return Ended(
            status=status if in_time else None,
            output=conversation.output.decode("utf-8", "replace"),
            answered=bytes(conversation.answered),
            seconds=time.monotonic() - start,
        )

    def _start(
        self, command: Sequence[str], environ: Mapping[str, str], descriptor: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(descriptor,),
                env=environ,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us, and we end them
            )
            self._live.add(process)
            return process

    def end(self) -> None:
        """Kill all processes, and start no more."""
        with self._lock:
            self._ended = True
            for process in self._live:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for_all(ours: socket.socket) -> None:
    """Wait until nothing holds the other end: killed processes write files until they are gone."""
    deadline = time.monotonic() + _LINGERING
    with suppress(OSError):
        while (left := deadline - time.monotonic()) > 0:
            ours.settimeout(left)
            if not ours.recv(_BLOCK):
                break


class _Conversation:
    """What a process prints, and what it sends over its socket."""

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self.process = process
        self.ours = ours
        self.output = bytearray()
        self.answered = bytearray()
        self.asked = False

    def read(self, deadline: float) -> bool:
        """Read everything until the process has ended; return whether it ended in time."""
        printed = cast("IO[bytes]", self.process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(printed, selectors.EVENT_READ, self._print)
            selector.register(self.ours, selectors.EVENT_READ, self._answer)
            ended = False
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return ended
                ready = selector.select(0.0 if ended else min(left, 0.5))
                for key, _ in ready:
                    data = os.read(key.fd, _BLOCK)
                    key.data(data)
                    if not data:
                        selector.unregister(key.fileobj)
                if ended and not ready:
                    return True  # what it left behind may hold the pipes open
                ended = self.process.poll() is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
            return True
        return False

    def _print(self, data: bytes) -> None:
        self.output = (self.output + data)[-_TAIL:]

    def _answer(self, data: bytes) -> None:
        if data and not self.asked:
            self.asked = True
            data = data[1:]
            with suppress(OSError):
                self.ours.send(b"!")
        self.answered = (self.answered + data)[:_ANSWERS]


@cache
def _worker() -> str:
    return (files(__package__) / "worker.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Asks questions in one room.

    Parameters:
        python: the interpreter that answers, as the room sees it.
        told: called with the number of answers whenever some have come.
    """

    room: Room
    python: str
    processes: Processes
    told: Callable[[int], None] = lambda _count: None

    def facts(self) -> tuple[dict[str, Any] | None, Ended]:
        """Start the interpreter; return its facts about itself, if it reports any."""
        (ended,) = self._in_threads([partial(self._asked, [("", "")], SECONDS)])
        with suppress(ValueError):
            return dict(json.loads(ended.answered)), ended
        return None, ended

    def answers(self, questions: Iterable[Question], seconds: float = SECONDS) -> list[Answer]:
        """Ask questions, with one process per top-level package; keep their order."""
        asked = [*questions]
        by_process: dict[str, list[Question]] = defaultdict(list)
        for question in asked:
            top = question.module.partition(".")[0]
            by_process[top or f"$ {question.name}"].append(question)
        several = [each for one in by_process.values() for each in _parts(one)]
        answers = self._in_threads(
            [partial(self._answered, each, seconds) for each in several],
            lambda answers: self.told(len(answers)),
        )
        given = {answer.question: answer for some in answers for answer in some}
        return [given[question] for question in asked]

    def _in_threads(
        self, work: Iterable[Callable[[], _T]], done: Callable[[_T], None] = lambda _: None
    ) -> list[_T]:
        """Return the results of functions that start processes.

        In the main thread, a signal could arrive after a process starts and before it is recorded.
        """
        pool = ThreadPoolExecutor(_AT_ONCE * usable_cpus())
        found: list[_T] = []
        try:
            for each in [pool.submit(function) for function in work]:
                found.append(each.result())
                done(found[-1])
        except BaseException:
            self.processes.end()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def _answered(self, questions: Sequence[Question], seconds: float) -> list[Answer]:
        if questions[0].kind == "command":
            return [self._command(questions[0])]
        limit = seconds + len(questions) - 1
        ended = self._asked([(each.module, each.attr) for each in questions], limit)
        answers = [*_of_modules(questions, ended)]
        if len(questions) == 1:
            return answers
        # A question may fail because of what was loaded before it, or may never have been reached.
        return [each if each.ran else self._alone(each.question, seconds) for each in answers]

    def _alone(self, question: Question, seconds: float) -> Answer:
        return self._answered([question], seconds)[0]

    def _asked(self, questions: Sequence[tuple[str, str]], seconds: float) -> Ended:
        return self._work([*questions], seconds)

    def _work(self, what: object, seconds: float) -> Ended:
        words = [self.python, "-c", _worker(), "{fd}", json.dumps(what)]
        return self.processes.run(self.room.command(words), self.room.environ, seconds)

    def run(self, words: Sequence[str]) -> Ended:
        """Run a command."""
        (ended,) = self._in_threads([partial(self._work, [*words], PATIENT)])
        return ended

    def _command(self, question: Question) -> Answer:
        import shlex

        ended = self._work(shlex.split(question.name), PATIENT)
        lines = [line for line in ended.output.splitlines() if line.strip()]
        said = f"{ended.described}: {' | '.join(lines[-3:])}".rstrip(": ")
        return Answer(
            question=question,
            ran=ended.status == 0,
            seconds=ended.seconds,
            said="" if ended.status == 0 else said,
            status=ended.status,
            late=ended.status is None,
        )


def _answer_in(line: bytes, lost: str) -> str | None:
    """Return the answer in a line; the code that runs there may write lines of its own."""
    with suppress(ValueError):
        said = json.loads(line)
        if said is None or isinstance(said, str):
            return said
    return lost


_IN_ONE: Final = 500  # questions that fit into one process argument of 128 KiB


def _parts(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    for start in range(0, len(questions), _IN_ONE):
        yield questions[start : start + _IN_ONE]


def _of_modules(questions: Sequence[Question], ended: Ended) -> Iterator[Answer]:
    lost = f"the process {ended.described}"
    lines = [
        _answer_in(line, lost)
        for line in ended.answered.splitlines(keepends=True)
        if line.endswith(b"\n")
    ]
    share = ended.seconds / len(questions)
    for question, line in zip_longest(questions, lines[: len(questions)], fillvalue=lost):
        yield Answer(
            question=cast("Question", question),
            ran=line is None,
            seconds=share,
            said=line or "",
            late=ended.status is None and line is lost,
        )
