"""Running a command where the originals cannot be seen.

A moved interpreter silently falls back on the place it was compiled for, and an editable project
imports as long as its folder exists: what is claimed of a moved tree counts only with these hidden.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# Arguments: an empty folder; folders to hide, "--"; folders to make read-only, "--"; where to be;
# the command. Everything stays in this process's private mount namespace.
_SCRIPT = """
set -eu
empty=$1; shift
while [ "$1" != -- ]; do
    mount --bind "$empty" "$1"
    for seen in "$1"/* "$1"/.[!.]*; do
        if [ -e "$seen" ]; then echo "not hidden: $seen" >&2; exit 125; fi
    done
    shift
done
shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
    shift
done
shift
cd "$1"; shift
exec "$@"
"""


@cache
def namespace() -> tuple[str, ...] | None:
    """Return the command that starts another in a mount namespace, if that is allowed."""
    if shutil.which("unshare") is None:
        return None
    for flags in ("-m", "-rm"):
        command = ("unshare", flags, "--propagation", "private")
        with TemporaryDirectory() as probe:
            done = subprocess.run(
                [*command, "mount", "--bind", probe, probe], capture_output=True, check=False
            )
        if done.returncode == 0:
            return command
    return None


def run_hidden(
    command: Sequence[str | Path],
    *,
    hide: Iterable[Path],
    read_only: Iterable[Path] = (),
    cwd: str | Path = "/",
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a private mount namespace in which some folders are empty.

    Parameters:
        hide: folders; one that is not there needs no hiding.
        read_only: folders that cannot be written to.

    Raises:
        RuntimeError: the machine does not allow it, or a folder would not be hidden.
    """
    prefix = namespace()
    if prefix is None:
        message = "mount namespaces are not allowed here"
        raise RuntimeError(message)
    with TemporaryDirectory() as empty:
        arguments = [empty, *_outermost(hide), "--", *read_only, "--", cwd, *command]
        done = subprocess.run(
            [*prefix, "sh", "-c", _SCRIPT, "sh", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=env,
        )
    if done.returncode == 125:
        raise RuntimeError(done.stderr)
    return done


def _outermost(folders: Iterable[Path]) -> list[Path]:
    real = {folder.resolve() for folder in folders if folder.exists()}
    return sorted(folder for folder in real if not real & set(folder.parents))
