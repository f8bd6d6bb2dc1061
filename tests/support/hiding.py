"""Run commands where the originals are hidden, or where there is nothing but glibc.

A moved interpreter silently falls back to the prefix it was compiled for, and an editable project
imports as long as its folder exists: a test of a moved tree counts only with these hidden.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


# Arguments: an empty folder; folders to hide, "--"; folders to make read-only, "--"; the working
# directory; the command. Everything stays in this process's private mount namespace.
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
        hide: folders; those that do not exist are ignored.
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


# The libraries of glibc that any program may need; all are of the same build as the loader.
_PARTS = ("libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libutil", "libanl")


_NAME_SERVICE = ("libnss_files", "libnss_dns", "libnss_compat")


# Arguments: the system's folder; pairs of a folder and its path there, "--"; the command.
_BARE_SCRIPT = """
set -eu
root=$1; shift
mount --rbind /proc "$root/proc"
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$root" "$@"
"""


@cache
def static_busybox() -> Path | None:
    """Return a busybox that needs no library, if there is one."""
    found = shutil.which("busybox")
    if found is None:
        return None
    done = subprocess.run(["ldd", found], capture_output=True, text=True, check=False)
    return Path(found) if done.returncode != 0 else None


def make_system(root: Path) -> Path:
    """Make the folder of a bare system."""
    busybox = static_busybox()
    assert busybox is not None, "busybox-static is not installed"
    listed = subprocess.run(["ldd", "/bin/ls"], capture_output=True, text=True, check=True).stdout
    libc = next(Path(line.split()[2]) for line in listed.splitlines() if "libc.so" in line)
    loader = next(Path(path) for path in re.findall(r"(/\S*/ld-\S+)", listed))
    for name in ("proc", "dev/shm", "tmp", "bin", "etc", "root"):
        (root / name).mkdir(parents=True)
    copied = [loader, libc]
    for part in (*_PARTS, *_NAME_SERVICE):
        copied += libc.parent.glob(f"{part}.so.[0-9]*")
    for path in copied:
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.resolve(), target)
        target.chmod(0o755)
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for applet in ("sh", "ls", "readlink", "env", "cat"):
        (root / "bin" / applet).symlink_to("busybox")
    return root


def run_in_system(
    root: Path,
    command: Sequence[str],
    *,
    seen: Mapping[Path, str],
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command on a bare system, in a mount namespace of its own.

    Parameters:
        seen: folders of this machine and their paths there.
    """
    prefix = namespace()
    assert prefix is not None, "mount namespaces are not allowed here"
    pairs = [str(part) for pair in seen.items() for part in pair]
    inside = ["/bin/env", "-i", *(f"{k}={v}" for k, v in (env or {"PATH": "/bin"}).items())]
    return subprocess.run(
        [*prefix, "sh", "-c", _BARE_SCRIPT, "sh", str(root), *pairs, "--", *inside, *command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"},
    )
