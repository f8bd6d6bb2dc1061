"""Run a command in its own namespaces, with the few options of bubblewrap that a room needs.

Run by this Python where `bwrap` is missing: `namespace.py [OPTIONS] -- COMMAND`. The options have
the meanings given in bwrap(1). Everything is done with system calls, so no program is needed. It
ends with the process that started it, and so does everything in the namespaces.

It is self-contained: it uses only the standard library and nothing from this package.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import stat
import struct
import sys
from typing import NoReturn

_NEW = {  # linux/sched.h
    "mount": 0x00020000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_BIND, _REC, _PRIVATE, _SLAVE = 0x1000, 0x4000, 0x40000, 0x80000  # linux/mount.h
_NOSUID, _NODEV, _NOEXEC, _DETACH = 0x2, 0x4, 0x8, 0x2
_SETATTR = 442  # mount_setattr(2), Linux 5.12; the same number on all but Alpha
_AT_RECURSIVE, _HERE = 0x8000, -100
_RDONLY, _NOSUID_ATTR = 0x1, 0x2
_PDEATHSIG, _BOUNDING_DROP, _NO_NEW_PRIVILEGES = 1, 24, 38  # linux/prctl.h
_KEPT = 1  # CAP_DAC_OVERRIDE: root reads what root may read
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_FIRST = "/tmp"  # noqa: S108 a folder that every system has, to mount on
_OLD = "/old"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = os.fsencode(source), os.fsencode(target), kind and kind.encode()
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def _set_read_only(target: str) -> None:
    attributes = struct.pack("=QQQQ", _RDONLY | _NOSUID_ATTR, 0, 0, 0)
    number = ctypes.c_long
    arguments = number(_HERE), os.fsencode(target), number(_AT_RECURSIVE)
    more = attributes, number(len(attributes))
    _check(_libc.syscall(number(_SETATTR), *arguments, *more), f"mount_setattr {target}")


def _pivot(new: str, old: str) -> None:
    _check(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), f"pivot_root {new}")


def _die_with_parent() -> None:
    _check(_libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _unshare() -> None:
    """Leave all namespaces; the user namespace only if the others cannot be left otherwise."""
    flags = sum(_NEW.values()) - _NEW["user"]
    if os.geteuid() == 0 and _libc.unshare(flags) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(flags | _NEW["user"]), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as stream:
            stream.write(text)


class _Root:
    """The future root, at `/new` in a tmpfs, while the old one is at `/old`."""

    def __init__(self) -> None:
        _mount("none", "/", None, _SLAVE | _REC)
        _mount("tmpfs", _FIRST, "tmpfs", _NOSUID | _NODEV, "mode=755")
        os.mkdir(f"{_FIRST}/new")
        os.mkdir(f"{_FIRST}{_OLD}")
        _pivot(_FIRST, f"{_FIRST}{_OLD}")
        os.chdir("/")
        _mount("tmpfs", "/new", "tmpfs", _NOSUID | _NODEV, "mode=755")

    def enter(self) -> None:
        """Switch to the new root and detach the old one."""
        _mount("none", _OLD, None, _PRIVATE | _REC)
        _check(_libc.umount2(_OLD.encode(), _DETACH), "umount2")
        os.chdir("/new")
        _pivot(".", ".")
        _check(_libc.umount2(b".", _DETACH), "umount2")
        os.chdir("/")

    def bind(self, source: str, target: str, *, writable: bool) -> None:
        """Mount a file or folder of the old root."""
        source, place = f"{_OLD}{source}", f"/new{target}"
        if stat.S_ISDIR(os.stat(source).st_mode):
            os.makedirs(place, exist_ok=True)
        elif not os.path.lexists(place):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(source, place, None, _BIND | _REC)
        if not writable:
            _set_read_only(place)

    def tmpfs(self, target: str) -> None:
        """Mount an empty folder that can be written to."""
        os.makedirs(f"/new{target}", exist_ok=True)
        _mount("tmpfs", f"/new{target}", "tmpfs", _NOSUID | _NODEV, "mode=755")

    def directory(self, target: str) -> None:
        """Create a folder."""
        os.makedirs(f"/new{target}", exist_ok=True)

    def link(self, text: str, target: str) -> None:
        """Create a symbolic link."""
        os.makedirs(os.path.dirname(f"/new{target}"), exist_ok=True)
        os.symlink(text, f"/new{target}")

    def proc(self, target: str) -> None:
        """Mount a proc file system for the new process namespace."""
        os.makedirs(f"/new{target}", exist_ok=True)
        _mount("proc", f"/new{target}", "proc", _NOSUID | _NODEV | _NOEXEC)

    def devices(self, target: str) -> None:
        """Provide the devices that every program may expect."""
        self.tmpfs(target)
        for name in _DEVICES:
            self.bind(f"/dev/{name}", f"{target}/{name}", writable=True)
        self.link("/proc/self/fd", f"{target}/fd")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            self.link(f"/proc/self/fd/{number}", f"{target}/{name}")
        os.mkdir(f"/new{target}/shm", 0o1777)


def _furnish(root: _Root, options: list[str]) -> str:
    """Carry out the options in their order; return the folder to start in."""
    start = "/"
    words = iter(options)
    for option in words:
        if option == "--ro-bind":
            root.bind(next(words), next(words), writable=False)
        elif option == "--bind":
            root.bind(next(words), next(words), writable=True)
        elif option == "--tmpfs":
            root.tmpfs(next(words))
        elif option == "--dir":
            root.directory(next(words))
        elif option == "--symlink":
            root.link(next(words), next(words))
        elif option == "--proc":
            root.proc(next(words))
        elif option == "--dev":
            root.devices(next(words))
        elif option == "--chdir":
            start = next(words)
        elif option in ("--cap-drop", "--cap-add"):
            next(words)
    return start


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP


def _drop_capabilities() -> None:
    for number in range(64):
        if number != _KEPT and _libc.prctl(_BOUNDING_DROP, number, 0, 0, 0):
            break
    _check(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="backslashreplace"))


def _exit_status(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _first_process(options: list[str], command: list[str]) -> int:
    """Make the room, run the command in it, and wait for it to end, but not for other processes."""
    root = _Root()
    start = _furnish(root, options)
    root.enter()
    _loopback_up()
    child = os.fork()
    if child == 0:
        _started(start, command)
    while True:
        ended, status = os.wait()
        if ended == child:
            return _exit_status(status)


def _started(start: str, command: list[str]) -> NoReturn:
    try:
        os.chdir(start)
        _drop_capabilities()
        os.execvp(command[0], command)  # noqa: S606 that is what it is for
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
    os._exit(127)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status; 1 if the room cannot be made."""
    end = arguments.index("--")
    try:
        _die_with_parent()
        _unshare()
        child = os.fork()  # the first in the new process namespace
        if child == 0:
            _die_with_parent()
            os._exit(_first_process(arguments[:end], arguments[end + 1 :]))
        return _exit_status(os.waitpid(child, 0)[1])
    except OSError as error:
        _say(f"no namespace: {error}")
        return 1


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
