"""Programs whose standard error is a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def shown_on_a_terminal(command: Sequence[str | Path], columns: int = 80) -> tuple[str, str]:
    """Run with standard error on a pseudo terminal; return what it showed, and standard output.

    Parameters:
        columns: of the terminal; 0 for one that does not know its size.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:
        pass  # the other end is closed (EIO)
    os.close(ours)
    output, _ = process.communicate()
    assert process.returncode == 0
    return seen.decode(), output
