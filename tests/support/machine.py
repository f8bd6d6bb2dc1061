"""What the tests can use on this machine: one registry for skips, markers and pytest's header.

A test declares what it needs with `pytestmark = needs("namespaces", "busybox")`, with a decorator
of the same form, or while it runs with `require("fish")`. What the machine lacks is named once, in
the header, and the tests that need it are skipped with that name. If `CI` is "true", a missing
program that `.ci/run` installs is a failure.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from support.hiding import namespace, static_busybox
from support.interpreters import (
    SUPPORTED,
    bundlable,
    find_pythons,
    newest_of_each,
    separate_python,
    system_python,
)
from support.roots import can_be_made
from support.trees import HAS_FILTERS

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something that a machine may lack.

    Parameters:
        title: its name in the header and in skip reasons.
        found: whether this machine has it.
        by_ci: whether `.ci/run` installs it.
    """

    title: str
    found: Callable[[], bool]
    by_ci: bool = False


def _program(name: str, title: str = "", *, by_ci: bool = True) -> Resource:
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    return Resource(
        title=title or name, found=lambda: shutil.which(name, path=path) is not None, by_ci=by_ci
    )


def _has_minor(minor: str) -> Callable[[], bool]:
    return lambda: minor in {python.minor for python in newest_of_each()}


def _can_mount() -> bool:
    """Return whether a disk image can be mounted in a namespace, which only root may do."""
    return os.geteuid() == 0 and namespace() is not None and os.path.exists("/dev/loop-control")


def _has_squashfuse() -> bool:
    return shutil.which("squashfuse") is not None and os.path.exists("/dev/fuse")


def _has_two_minors() -> bool:
    """Return whether CPythons of two versions can run the post-install script."""
    return len({python.minor for python in find_pythons() if python.number >= (3, 8)}) > 1


def _has_getpath_tests() -> bool:
    return any(
        python.number >= (3, 11)
        and (python.prefix / f"lib/python{python.minor}/test/test_getpath.py").is_file()
        for python in find_pythons()
    )


def _has_whole_library() -> bool:
    """Return whether the standard library is complete here; distributions split it."""
    folder = Path(sysconfig.get_path("stdlib"))
    return all(
        (folder / name).exists() for name in ("ensurepip", "idlelib", "test/test_grammar.py")
    )


def _may_others_start_python() -> bool:
    """Return whether an unprivileged user may run this Python; homes are often closed."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.geteuid() != 0 or shutil.which(user[0]) is None:
        return False
    done = subprocess.run([*user, sys.executable, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


REGISTRY: Final[dict[str, Resource]] = {
    "namespaces": Resource(title="mount namespaces", found=lambda: namespace() is not None),
    "roots": Resource(
        title="roots of Debian's releases (apt, its keys, its mirror and root's rights)",
        found=can_be_made,
    ),
    "arm64 emulation": Resource(
        title="qemu for arm64 (qemu-user-static)",
        found=lambda: Path("/usr/lib/binfmt.d/qemu-aarch64.conf").is_file() and os.geteuid() == 0,
    ),
    "x86-64": Resource(
        title="a processor of x86-64", found=lambda: platform.machine() in ("x86_64", "AMD64")
    ),
    "root": Resource(title="root's rights", found=lambda: os.geteuid() == 0),
    "Python for others": Resource(
        title="a Python that other users may start", found=_may_others_start_python
    ),
    "mounts": Resource(title="mounts of disk images", found=_can_mount),
    "shared CPython": Resource(
        title="a CPython built with --enable-shared", found=lambda: bool(bundlable())
    ),
    "separate CPython": Resource(
        title="a CPython outside of /usr", found=lambda: separate_python() is not None
    ),
    "system CPython": Resource(
        title="a system CPython of a supported version", found=lambda: system_python() is not None
    ),
    **{
        f"CPython {minor}": Resource(title=f"CPython {minor}", found=_has_minor(minor))
        for minor in SUPPORTED
    },
    "old CPython": Resource(
        title="a CPython that cannot run this project",
        found=lambda: newest_of_each()[0].number < (3, 11),
    ),
    "two CPythons": Resource(title="CPythons of two versions", found=_has_two_minors),
    "getpath tests": Resource(title="CPython's own tests", found=_has_getpath_tests),
    "whole standard library": Resource(
        title="the whole standard library", found=_has_whole_library
    ),
    "tarfile filters": Resource(title="filters of tarfile (PEP 706)", found=lambda: HAS_FILTERS),
    "libstdc++": Resource(
        title="libstdc++", found=lambda: ctypes.util.find_library("stdc++") is not None
    ),
    "time zones": Resource(
        title="time zones (tzdata)",
        found=lambda: Path("/usr/share/zoneinfo/Asia/Tokyo").exists(),
    ),
    "bwrap": _program("bwrap", "bubblewrap (bwrap)"),
    "gcc": _program("gcc", "a C compiler (gcc)"),
    "readelf": _program("readelf", "binutils"),
    "git": _program("git"),
    "busybox": Resource(
        title="a static busybox", found=lambda: static_busybox() is not None, by_ci=True
    ),
    **{
        name: _program(name)
        for name in ("bash", "dash", "fish", "ksh93", "mksh", "tcsh", "yash", "zsh")
    },
    "nu": _program("nu", "Nushell (nu)", by_ci=False),
    **{
        name: _program(name)
        for name in (
            "tar",
            "gzip",
            "bzip2",
            "xz",
            "zstd",
            "unzip",
            "bsdtar",
            "setpriv",
            "debootstrap",
            "skopeo",
            "umoci",
            "mksquashfs",
            "unsquashfs",
        )
    },
    "squashfuse": Resource(title="squashfuse", found=_has_squashfuse, by_ci=True),
    "mkfs.btrfs": _program("mkfs.btrfs"),
    "java": _program("java", "Java"),
    "javac": _program("javac", "a Java compiler (javac)"),
    "wine": Resource(
        title="Wine",
        found=lambda: all(map(shutil.which, ("wine", "wineserver"))),
        by_ci="wine" not in os.environ.get("CI_LACKS", "").split(),
    ),
}
# The markers that follow from needs; conftest.py adds those that follow from fixtures.
MARKERS: Final = {"namespaces": "namespaces", "gcc": "compiler", "wine": "wine"}
IN_CI: Final = os.environ.get("CI") == "true"


@cache
def has(name: str) -> bool:
    """Return whether this machine has something of the registry."""
    return REGISTRY[name].found()


def needs(*names: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need something, by its names in the registry."""
    unknown = set(names) - REGISTRY.keys()
    assert not unknown, f"not in support/machine.py: {', '.join(unknown)}"
    return pytest.mark.needs(*names)


def require(*names: str) -> None:
    """Skip the test that is running, or fail in CI, if something it needs is missing."""
    lacking = [name for name in names if not has(name)]
    installed_in_ci = [name for name in lacking if REGISTRY[name].by_ci]
    if IN_CI and installed_in_ci:
        pytest.fail(f".ci/run should have installed {_titles(installed_in_ci)}", pytrace=False)
    if lacking:
        pytest.skip(f"this machine lacks {_titles(lacking)}")


def lacking() -> str:
    """Return what this machine lacks, for the header."""
    return _titles([name for name in REGISTRY if not has(name)]) or "nothing"


def _titles(names: list[str]) -> str:
    return ", ".join(REGISTRY[name].title for name in names)
