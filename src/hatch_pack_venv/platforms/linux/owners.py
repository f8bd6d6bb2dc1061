"""Which system package a library came from, and the licence to ship with it.

Debian's and conda's records are read as files; RPM's database is queried with `rpm`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...metadata.files import read_json, read_text
from ...model.components import package_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A system package.

    Parameters:
        licence: the name of its licence, if the records state it.
        texts: files with its licence.
        purl: its package URL, by which scanners identify it.
    """

    name: str
    version: str
    licence: str | None = None
    texts: tuple[Path, ...] = ()
    purl: str | None = None


def find_owners(
    paths: Collection[Path], *, prefix: Path, root: Path = Path("/")
) -> dict[Path, Owner]:
    """Return the packages that files came from, for those listed in the system's records.

    Parameters:
        prefix: the base interpreter's, which may be a conda environment.
        root: the root folder of the system's records.
    """
    found = _conda_owners(paths, prefix)
    found |= _debian_owners([path for path in paths if path not in found], root)
    return found | _rpm_owners([path for path in paths if path not in found], root)


def _conda_owners(paths: Collection[Path], prefix: Path) -> dict[Path, Owner]:
    wanted = {
        path.relative_to(prefix).as_posix(): path for path in paths if path.is_relative_to(prefix)
    }
    found: dict[Path, Owner] = {}
    for record in sorted(prefix.glob("conda-meta/*.json")) if wanted else ():
        try:
            package = read_json(record)
        except (OSError, ValueError):
            continue  # its files then have no licence, which is reported
        texts = Path(package.get("extracted_package_dir") or prefix, "info", "licenses")
        owner = Owner(
            name=package["name"],
            version=package["version"],
            licence=package.get("license"),
            texts=tuple(_files(texts)),
            purl=_conda_url(package),
        )
        found |= {wanted[name]: owner for name in package.get("files", ()) if name in wanted}
    return found


def _conda_url(package: Mapping[str, Any]) -> str:
    return package_url(
        "conda",
        str(package["name"]),
        version=str(package["version"]),
        build=str(package.get("build") or ""),
        subdir=str(package.get("subdir") or ""),
    )


def _debian_owners(paths: Collection[Path], root: Path) -> dict[Path, Owner]:
    wanted = {spelling: path for path in paths for spelling in _spellings(path)}
    found: dict[Path, str] = {}
    for listing in sorted((root / "var/lib/dpkg/info").glob("*.list")) if wanted else ():
        names = wanted.keys() & set(listing.read_text("utf-8", "replace").splitlines())
        found |= {wanted[name]: listing.stem.partition(":")[0] for name in names}
    stanzas = _debian_stanzas(set(found.values()), root)
    release = _release(root)
    return {
        path: _debian_owner(name, stanzas.get(name, {}), release, root)
        for path, name in found.items()
    }


def _debian_owner(
    name: str, stanza: Mapping[str, str], release: Mapping[str, str], root: Path
) -> Owner:
    return Owner(
        name=name,
        version=stanza.get("Version", "unknown"),
        texts=tuple(_debian_texts(name, root)),
        purl=package_url(
            "deb",
            release.get("ID", "debian"),
            name,
            version=stanza.get("Version"),
            arch=stanza.get("Architecture"),
            distro=_distro(release),
            upstream=_upstream(stanza.get("Source", "")),
        ),
    )


def _upstream(source: str) -> str:
    """Return a source package as scanners expect it: `Source: gcc-12 (12.2.0-14)`."""
    name, _, version = source.partition(" ")
    return f"{name}@{version.strip('()')}" if version else name


def _distro(release: Mapping[str, str]) -> str:
    return "-".join(filter(None, (release.get("ID"), release.get("VERSION_ID"))))


def _release(root: Path) -> dict[str, str]:
    """Return what os-release(5) says about a system."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        text = read_text(root / name)
        if text is not None:
            pairs = (line.partition("=") for line in text.splitlines())
            return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return {}


def _debian_texts(name: str, root: Path) -> Iterator[Path]:
    """Yield a package's copyright file and the common licences it refers to."""
    for path in _files(root / "usr/share/doc" / name / "copyright"):
        yield path
        text = path.read_text("utf-8", "replace")
        for common in sorted(set(re.findall(r"/(usr/share/common-licenses/[\w.+-]*\w)", text))):
            yield from _files(root / common)


def _spellings(path: Path) -> set[str]:
    """Return the paths under which dpkg may list a file: `/lib` is a link to `/usr/lib` today."""
    return {str(path), str(path).removeprefix("/usr"), f"/usr{path}"}


def _debian_stanzas(names: Collection[str], root: Path) -> dict[str, dict[str, str]]:
    """Return dpkg's records of some packages."""
    if not names:
        return {}
    found = {}
    text = (root / "var/lib/dpkg/status").read_text("utf-8", "replace")
    for stanza in text.split("\n\n"):
        name = stanza.partition("\n")[0].removeprefix("Package: ")
        if name in names:
            lines = (line.partition(": ") for line in stanza.splitlines() if line[:1] != " ")
            found[name] = {key: value for key, _, value in lines}
    return found


def _rpm_owners(paths: Collection[Path], root: Path) -> dict[Path, Owner]:
    tool = shutil.which("rpm")
    if tool is None:
        return {}
    found = {}
    release = _release(root)
    for path in paths:
        command = [tool, "-qf", "--qf", "\\t".join(_RPM_TAGS) + "\\n", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        facts = done.stdout.splitlines()[0].split("\t") if done.stdout else []
        if done.returncode == 0 and len(facts) == len(_RPM_TAGS):
            found[path] = _rpm_owner(dict(zip(_RPM_TAGS, facts, strict=True)), release, root)
    return found


_RPM_TAGS: Final = (
    *("%{NAME}", "%{VERSION}-%{RELEASE}", "%{LICENSE}"),
    *("%{EPOCH}", "%{ARCH}", "%{SOURCERPM}"),
)


def _rpm_owner(facts: Mapping[str, str], release: Mapping[str, str], root: Path) -> Owner:
    name, version = facts["%{NAME}"], facts["%{VERSION}-%{RELEASE}"]
    epoch, source = facts["%{EPOCH}"], facts["%{SOURCERPM}"]
    return Owner(
        name=name,
        version=version,
        licence=facts["%{LICENSE}"],
        texts=tuple(_files(root / "usr/share/licenses" / name)),
        purl=package_url(
            "rpm",
            release.get("ID", ""),
            name,
            version=version,
            arch=facts["%{ARCH}"],
            distro=_distro(release),
            epoch=epoch if epoch.isdigit() else None,
            upstream=source if source.endswith(".rpm") else None,
        ),
    )


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files directly in a folder."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(child for child in path.iterdir() if child.is_file())
