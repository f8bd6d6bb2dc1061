"""A system that holds nothing but glibc, its loader and a static busybox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from support import hiding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What every program may ask glibc for; all of it is of the same build as the loader.
_PARTS = ("libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libutil", "libanl")
_NAME_SERVICE = ("libnss_files", "libnss_dns", "libnss_compat")

# Arguments: the system's folder; pairs of a folder and where it is seen there, "--"; the command.
_SCRIPT = """
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
    """Run a command in a bare system, whose processes and changes of mounts are its own.

    Parameters:
        seen: folders of this machine and the paths at which they are seen there.
    """
    prefix = hiding.namespace()
    assert prefix is not None, "mount namespaces are not allowed here"
    pairs = [str(part) for pair in seen.items() for part in pair]
    inside = ["/bin/env", "-i", *(f"{k}={v}" for k, v in (env or {"PATH": "/bin"}).items())]
    return subprocess.run(
        [*prefix, "sh", "-c", _SCRIPT, "sh", str(root), *pairs, "--", *inside, *command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"},
    )
