"""What a command costs: wall and CPU time, and peak memory with all its children."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PERIOD = 0.05  # seconds between two samples of the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run cost.

    Parameters:
        wall, cpu: seconds; `cpu` is user and system time of the process and its children.
        memory: the largest observed sum of their resident sets, in bytes.
        size: of the file written, in bytes.
    """

    wall: float
    cpu: float
    memory: int
    size: int = 0


def measured(command: Sequence[str | Path], output: Path | None = None) -> Cost:
    """Run a command that must succeed, and return what it cost.

    Parameters:
        output: the file it writes.
    """
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        peak = _Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        memory = max(peak.stop(), usage.ru_maxrss * 1024)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            text = log.read().decode(errors="replace")
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{text[-2000:]}")
    size = output.stat().st_size if output is not None else 0
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=memory, size=size)


class _Peak:
    """Samples the memory of a process and its children until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        self._end.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._end.wait(_PERIOD):
            self._most = max(self._most, _resident(self._pid))


def _resident(pid: int) -> int:
    """Return the resident bytes of a process and all its descendants."""
    try:
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return total + sum(_resident(int(child)) for child in children)
