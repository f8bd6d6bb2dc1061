"""The commit that a project's folder is at, asked of git."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final

from ..model.components import Commit

if TYPE_CHECKING:
    from pathlib import Path


_SECONDS: Final = 60
_SHORT: Final = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>(?!/).+)")
"""scp's form of an address, `git@host:path`, which git takes for SSH."""


def read_commit(folder: Path) -> Commit | None:
    """Return the commit of a folder's repository; `None` without one, or without git.

    Nothing is written, not even git's index, and nothing that the repository configures is run.
    """
    commit = _ask(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    remote = _ask(folder, "remote", "get-url", "origin")
    changes = _ask(folder, "status", "--porcelain", "--untracked-files=no")
    return Commit(
        sha=commit,
        remote=None if remote is None else _as_url(remote),
        is_modified=changes != "",
    )


def _ask(folder: Path, *words: str) -> str | None:
    command = ("git", "-c", "core.fsmonitor=false", "-C", str(folder), *words)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _as_url(remote: str) -> str:
    match = None if "://" in remote else _SHORT.fullmatch(remote)
    return remote if match is None else f"ssh://git@{match['host']}/{match['path']}"
