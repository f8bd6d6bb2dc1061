"""Runs the command in a fork of this process, with one fault.

This process was started with `shim.c` preloaded.
"""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import resource
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from hatch_pack_venv.cli import main as command

_SHORT: Final = 20  # seconds for one run


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that happens to a run.

    Parameters:
        number: the number of the call at which it happens.
        error: the error that the call fails with, if it can; only calls that write lack space.
        signal: the signal that arrives before it.
        later: microseconds from the call until the signal arrives; 0: just before the call.
        lasting: whether all calls that need space fail from then on.
        limit: a resource and its limit.
    """

    number: int = 0
    error: int = 0
    signal: int = 0
    later: int = 0
    lasting: bool = False
    limit: tuple[str, int] | None = None

    @property
    def kind(self) -> str:
        """Return the name under which runs with such a fault are counted."""
        if self.limit:
            return self.limit[0]
        if self.signal:
            return signal.Signals(self.signal).name + (" at any moment" if self.later else "")
        return errno.errorcode[self.error] + (" from there on" if self.lasting else "")

    def __str__(self) -> str:
        """Describe the fault."""
        if self.limit:
            return f"{self.limit[0]} of {self.limit[1]}"
        later = f" and {self.later} microseconds" if self.later else ""
        return f"{self.kind}, call {self.number}{later}"


class _Fault(ctypes.Structure):
    """`struct fault` of `shim.c`."""

    _fields_: ClassVar = [
        ("number", ctypes.c_long),
        ("error", ctypes.c_int),
        ("signal", ctypes.c_int),
        ("later", ctypes.c_long),
        ("lasting", ctypes.c_int),
    ]


class Shim:
    """The functions that `shim.c` exports."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.fault_met.restype = ctypes.c_char_p
        self._library.fault_kinds.restype = ctypes.c_char_p

    def arm(self, root: Path, fault: Fault) -> None:
        """Start counting, and failing."""
        what = _Fault(fault.number, fault.error, fault.signal, fault.later, fault.lasting)
        self._library.fault_arm(os.fsencode(root), ctypes.byref(what))

    def told(self) -> Told:
        """Stop, and return what was counted."""
        self._library.fault_disarm()
        text = ctypes.create_string_buffer(1 << 14)
        self._library.fault_counts(text, ctypes.c_size_t(len(text)))
        rows = (line.split() for line in text.value.decode().splitlines())
        return Told(
            met=os.fsdecode(self._library.fault_met()),
            kinds=self._library.fault_kinds().decode(),
            counts={name: int(count) for name, count in rows},
            modules=[*sys.modules],
        )


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a run reports about its calls.

    Parameters:
        met: the call at which a fault happened.
        kinds: the errors that each call can return: `-` none, `p` EIO, `r` EINTR as well, `w` lack
            of space as well.
        counts: how many calls were made, by name.
        modules: the imported modules.
    """

    met: str = ""
    kinds: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its status, or the negative number of a signal, and its messages."""

    status: int
    said: str
    told: Told


def run(arguments: list[str], root: Path, fault: Fault, shim: Shim) -> Ended:
    """Run the command in a fork."""
    reading, writing = os.pipe()
    telling, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(telling)
        _in_child(arguments, root, fault, shim, (writing, told))
    os.close(writing)
    os.close(told)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    with os.fdopen(telling, "rb") as pipe:
        facts = json.loads(pipe.read() or b"{}")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(status=status, said=said, told=Told(**facts))


def _in_child(
    arguments: list[str], root: Path, fault: Fault, shim: Shim, pipes: tuple[int, int]
) -> None:
    """Be the command: `sys.exit`, and any other way to end, goes no further than here."""
    status = 70
    try:
        signal.alarm(_SHORT)
        os.dup2(pipes[0], 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
        _limit(fault)
        shim.arm(root, fault)
        try:
            command.main(arguments)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - what a user would see as a traceback
            import traceback

            traceback.print_exception(error)
        # A signal that arrives now arrives after the command.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.write(pipes[1], json.dumps(asdict(shim.told())).encode())
    finally:
        os._exit(status)


def _limit(fault: Fault) -> None:
    if fault.limit is None:
        return
    name, value = fault.limit
    number = getattr(resource, name)
    if name == "RLIMIT_NOFILE":
        value += max(map(int, os.listdir("/proc/self/fd")))
    if name == "RLIMIT_AS":
        value += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
