"""The files that an image without a base needs below a bundle, taken from the build machine.

These are the C library and its loader, certificates, time zones, and the few files that define
users, groups and name services, with the licences of the packages that they came from.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.version import Version

from ...metadata.licences import licence_named
from ...model.components import Component
from ...model.errors import EnvironmentProblem
from ...model.image import USER, BaseFile, ImageBase
from .owners import find_owners

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .owners import Owner


_PARTS: Final = ("c", "m", "dl", "pthread", "rt", "resolv", "util", "anl", "nss_files", "nss_dns")
_LOADERS: Final = {
    "x86_64": "lib64/ld-linux-x86-64.so.2",
    "aarch64": "lib/ld-linux-aarch64.so.1",
    "armv7l": "lib/ld-linux-armhf.so.3",
    "i686": "lib/ld-linux.so.2",
    "ppc64le": "lib64/ld64.so.2",
    "riscv64": "lib/ld-linux-riscv64-lp64d.so.1",
    "s390x": "lib/ld64.so.1",
}
_CERTIFICATES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
_ZONES: Final = Path("/usr/share/zoneinfo")
# The same zones again, with and without leap seconds; the build machine's own zone.
_NO_ZONES: Final = ("posix", "right", "localtime", "posixrules")
_INSTEAD: Final = "set image-base to the path of an image (an OCI layout or archive) instead"


def scratch_base(head: Mapping[str, Any]) -> ImageBase:
    """Return the layer below a bundle, made from files of this machine.

    Parameters:
        head: the manifest's head, which says what the environment needs.

    Raises:
        EnvironmentProblem: if this machine has no suitable C library.
    """
    machine = head["platform"]["machine"]
    _check_libc(head["platform"])
    libc = _libc()
    libraries = [path for part in _PARTS for path in libc.parent.glob(f"lib{part}.so.[0-9]*")]
    loader = Path("/", _LOADERS.get(machine, ""))
    if not loader.is_file():
        raise EnvironmentProblem(
            f"this machine does not have {loader}, which the image needs: {_INSTEAD}"
        )
    copied = {str(path).removeprefix("/"): path for path in libraries}
    copied[str(loader).removeprefix("/")] = loader
    certificates = next((path for path in map(Path, _CERTIFICATES) if path.is_file()), None)
    if certificates is not None:
        copied[_CERTIFICATES[0].removeprefix("/")] = certificates
    sources = [path.resolve() for path in copied.values()]
    # Debian generates the certificate file; the certificates' package owns the folder they are in.
    owned = [path for path in (_ZONES / "UTC", Path("/usr/share/ca-certificates")) if path.exists()]
    owners = find_owners([*sources, *owned], prefix=Path("/nonexistent"))
    texts = {text for owner in owners.values() for text in owner.texts}
    packages = {owner.name: _package(owner) for owner in owners.values()}
    files = {
        name: BaseFile(name=name, mode=0o755 if path != certificates else 0o644, content=str(path))
        for name, path in copied.items()
    }
    files |= {each.name: each for each in _zones()}
    for text in texts:
        name = str(text).removeprefix("/")
        files[name] = BaseFile(name=name, content=str(text.resolve()))
    files |= {each.name: each for each in _who_is_who()}
    folders = {each.name: each for each in _folders(files)}
    return ImageBase(
        files=tuple(each for _, each in sorted({**folders, **files}.items())),
        packages=tuple(package for _, package in sorted(packages.items())),
    )


def _package(owner: Owner) -> Component:
    return Component(
        ref=owner.purl or owner.name,
        name=owner.name,
        version=owner.version,
        purl=owner.purl,
        licence=licence_named(owner.licence),
    )


def _check_libc(platform: Mapping[str, Any]) -> None:
    machine = os.uname().machine
    if machine != platform["machine"]:
        raise EnvironmentProblem(
            f"the environment is for {platform['machine']}, but this machine's C library is for"
            f" {machine}: {_INSTEAD}"
        )
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):
        name = version = ""
    needed = platform.get("glibc", {}).get("version", "0")
    if name != "glibc" or Version(version) < Version(needed):
        raise EnvironmentProblem(
            f"the environment needs glibc {needed} or later, but this machine has"
            f" {f'{name} {version}'.strip() or 'another C library'}: {_INSTEAD}"
        )


def _libc() -> Path:
    """Return the C library that this process uses."""
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        match = re.search(r"(/\S*/libc(?:-[\d.]+)?\.so(?:\.6)?)$", line)
        if match is not None:
            return Path(match[1])
    raise EnvironmentProblem(f"the C library of this machine cannot be found: {_INSTEAD}")


def _zones() -> Iterator[BaseFile]:
    if not _ZONES.is_dir():
        return
    for folder, folders, names in os.walk(_ZONES):
        folders[:] = [each for each in folders if each not in _NO_ZONES]
        for path in (Path(folder, name) for name in names if name not in _NO_ZONES):
            target = path.resolve()
            if path.is_symlink() and target.is_relative_to(_ZONES):
                text = os.path.relpath(target, path.parent)
                yield BaseFile(name=str(path)[1:], kind="link", mode=0o777, linkname=text)
            elif target.is_file():
                yield BaseFile(name=str(path)[1:], content=str(target))


def _who_is_who() -> Iterator[BaseFile]:
    passwd = (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        f"nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    )
    group = f"root:x:0:\nnonroot:x:{USER}:\nnogroup:x:65534:\n"
    services = "passwd: files\ngroup: files\nhosts: files dns\n"
    yield BaseFile(name="etc/passwd", content=passwd.encode())
    yield BaseFile(name="etc/group", content=group.encode())
    yield BaseFile(name="etc/nsswitch.conf", content=services.encode())
    yield BaseFile(name="tmp", kind="directory", mode=0o1777)
    yield BaseFile(name="home/nonroot", kind="directory", mode=0o700, owner=USER)
    for name in ("dev", "proc", "root", "run", "sys"):
        yield BaseFile(name=name, kind="directory", mode=0o755)


def _folders(files: Mapping[str, BaseFile]) -> Iterator[BaseFile]:
    parents = {str(parent) for name in files for parent in Path(name).parents}
    for name in parents - {"."}:
        yield BaseFile(name=name, kind="directory", mode=0o755)
