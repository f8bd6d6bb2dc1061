"""Roots of other distributions: Debian's packages, unpacked but not configured.

apt fetches them with separate lists and a separate status, once for all workers; unpacking takes
two seconds. Of this machine's own package system only the keys are read, and nothing is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from support.environments import run
from support.hiding import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIRROR: Final = "http://deb.debian.org/debian"
KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES: Final = ("bullseye", "bookworm", "trixie", "sid")
BARE: Final = ("libc6", "busybox-static")
WITH_PYTHON: Final = (
    *BARE,
    *("base-files", "ca-certificates", "coreutils", "dash", "libc-bin", "python3-venv"),
)


@cache
def can_be_made() -> bool:
    """Return whether apt, the keys, the mirror and root's rights are available."""
    if os.geteuid() != 0 or namespace() is None or not KEYS.is_file():
        return False
    helper = Path("/usr/lib/apt/apt-helper")
    if not helper.exists() or not all(map(shutil.which, ("apt-get", "dpkg-deb", "tar"))):
        return False
    with TemporaryDirectory() as folder:
        probe = [
            str(helper),
            "download-file",
            f"{MIRROR}/dists/sid/InRelease",
            f"{folder}/InRelease",
        ]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def fetch(
    folder: Path,
    suite: str,
    packages: Sequence[str],
    arch: str = "amd64",
    *,
    wanted: Sequence[str] = (),
) -> list[Path]:
    """Fetch packages of a suite and all their dependencies; return the files.

    Parameters:
        wanted: further packages, if the suite has them.
    """
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    sources = folder / "etc/sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] {MIRROR} {suite} main\n")
    settings = {
        "Dir": folder,
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc": folder / "etc",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Log": folder,
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    run("apt-get", *options, "-q", "update")
    known = set(run("apt-cache", *options, "pkgnames").split()) if wanted else set()
    found = [name for name in wanted if name in known]
    run("apt-get", *options, "-qy", "--download-only", "install", *packages, *found)
    return sorted((folder / "cache/archives").glob("*.deb"))


def unpack(packages: Sequence[Path], root: Path) -> Path:
    """Make a root from packages, set up for tests as their maintainer scripts would."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "host", "opt/app", "proc", "root", "tmp"):
        (root / name).mkdir(parents=True)
    for package in packages:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
        ) as reader:
            unpacker = ["tar", "-x", "--keep-directory-symlink", "-C", str(root)]
            subprocess.run(unpacker, stdin=reader.stdout, check=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    trusted = sorted(root.glob("usr/share/ca-certificates/mozilla/*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)  # empty in a bare root
    text = "".join(each.read_text() for each in trusted)
    (root / "etc/ssl/certs/ca-certificates.crt").write_text(text)
    if not (root / "bin/sh").exists():
        (root / "bin/sh").unlink(missing_ok=True)
        shell = "dash" if (root / "bin/dash").exists() else "busybox"
        (root / "bin/sh").symlink_to(shell)
    if (root / "sbin/ldconfig").exists():
        subprocess.run(["chroot", str(root), "/sbin/ldconfig"], check=True)
    return root


# Arguments: the root; pairs of a folder and its path there, "--"; the command. The root becomes
# that of the namespace: the kernel allows no further namespaces inside a mere chroot.
_SCRIPT: Final = """
set -eu
root=$1; shift
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --rbind "$1" "$root$2"
    shift 2
done
shift
cd "$root"
mkdir -p outside
pivot_root . outside
exec /bin/busybox sh -c 'busybox umount -l /outside && exec "$@"' sh "$@"
"""
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")


@contextmanager
def emulated(machine: str) -> Iterator[None]:
    """Let the kernel run programs of another machine with qemu, as its package would set it up."""
    rule = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf").read_text().strip()
    name = f"pack-venv-{machine}-{os.getpid()}"
    mounted = (BINFMT / "register").exists()
    if not mounted:
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    try:
        (BINFMT / "register").write_text(rule.replace(f":qemu-{machine}:", f":{name}:", 1))
        try:
            yield
        finally:
            (BINFMT / name).write_text("-1")
    finally:
        if not mounted:
            run("umount", "--lazy", BINFMT)


VARIABLES: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


def run_in_root(
    root: Path,
    command: Sequence[str],
    *,
    seen: Mapping[Path, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a root.

    Parameters:
        command: starts with the path of its program.
        seen: folders of this machine and their paths there.
    """
    return subprocess.run(
        entering(root, command, seen or {}),
        capture_output=True,
        text=True,
        check=False,
        env={**VARIABLES, **(env or {})},
        timeout=300,
    )


def entering(root: Path, command: Sequence[str], seen: Mapping[Path, str]) -> list[str]:
    """Return the command that runs another one in a root; it needs `VARIABLES`."""
    pairs = [str(part) for pair in seen.items() for part in pair]
    return [*(namespace() or ()), "sh", "-c", _SCRIPT, "sh", str(root), *pairs, "--", *command]


def pack_in_root(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the packer in a root, with this machine's Python, loader and libraries.

    This machine is visible at `/host`; files written there stay.
    """
    loader = next(Path("/").glob("lib*/ld-linux*.so.2")).resolve()
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    base = Path(sys.base_prefix).resolve()
    libraries = ["/usr/lib", f"/usr/lib/{multiarch}", f"/lib/{multiarch}", f"{base}/lib"]
    source = Path(__file__).parents[2] / "src"
    packages = sysconfig.get_path("purelib")
    python = Path(sys.executable).resolve()
    command = [
        *(f"/host{loader}", "--library-path", ":".join(f"/host{each}" for each in libraries)),
        *(f"/host{python}", "-m", "hatch_pack_venv", *arguments),
    ]
    env = {"PYTHONHOME": f"/host{base}", "PYTHONPATH": f"/host{source}:/host{packages}"}
    return run_in_root(root, command, seen={Path("/"): "/host"}, env=env)


def glibc_of(root: Path) -> tuple[int, ...]:
    """Return the version of a root's glibc, according to its library."""
    done = run_in_root(root, ["/bin/busybox", "strings", str(_libc(root))])
    line = next(each for each in done.stdout.splitlines() if "GNU C Library" in each)
    version = line.rpartition("version ")[2].strip(" .\n")
    return tuple(map(int, version.split(".")[:2]))


def _libc(root: Path) -> str:
    found = next(root.glob("usr/lib/*/libc.so.6"), None) or next(root.glob("lib/*/libc.so.6"))
    return f"/{found.relative_to(root)}"
