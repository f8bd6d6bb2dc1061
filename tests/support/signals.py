"""Processes that get real signals."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Return the environment variables for a process that will be interrupted.

    Without those of coverage: its collector takes a lock, and a `KeyboardInterrupt` that comes just
    then leaves the lock taken, so that the process waits for ever.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
