"""The commit that a project's folder is at, as git reports it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final

from ..model.components import Commit

if TYPE_CHECKING:
    from pathlib import Path


_SECONDS: Final = 60
_SHORT: Final = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]{2,}):(?P<path>[^/\\][^\\]*)")
"""The scp-like form of an address, `git@host:path`, which git reads as SSH; not `C:\\path`."""


def read_commit(folder: Path) -> Commit | None:
    """Return the commit of a folder's repository; `None` without a repository or without git.

    Nothing is written, not even git's index. Of the programs in the repository's configuration, git
    runs the filters of changed files (`filter.<name>.clean`), as it does for anybody who builds.
    """
    commit = _ask(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    remote = _ask(folder, "remote", "get-url", "origin")
    changes = _ask(folder, "status", "--porcelain", "--untracked-files=no")
    return Commit(
        sha=commit,
        remote=None if remote is None else as_url(remote),
        is_modified=changes != "",
    )


def _ask(folder: Path, *words: str) -> str | None:
    command = ("git", "-c", "core.fsmonitor=false", "-C", str(folder), *words)
    # A build started by a git hook is given that hook's repository in GIT_DIR.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            env={**environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
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


def as_url(remote: str) -> str:
    """Return a git address as a URL, without a person's user name."""
    match = None if "://" in remote else _SHORT.fullmatch(remote)
    if match is None:
        return remote
    user = "git@" if match["user"] == "git" else ""
    return f"ssh://{user}{match['host']}/{match['path']}"
