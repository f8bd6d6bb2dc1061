"""Which system package a library came from, and the licence to ship with it.

Debian's and conda's records are read as files; RPM's database is queried with `rpm`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...metadata.files import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A system package.

    Parameters:
        licence: the name of its licence, if the records state it.
        texts: files with its licence.
    """

    name: str
    version: str
    licence: str | None = None
    texts: tuple[Path, ...] = ()


def find_owners(
    paths: Collection[Path], *, prefix: Path, root: Path = Path("/")
) -> dict[Path, Owner]:
    """Return the packages that files came from, as far as the system's records show.

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
            continue  # what it owns has no licence then, which is told
        texts = Path(package.get("extracted_package_dir") or prefix, "info", "licenses")
        owner = Owner(
            name=package["name"],
            version=package["version"],
            licence=package.get("license"),
            texts=tuple(_files(texts)),
        )
        found |= {wanted[name]: owner for name in package.get("files", ()) if name in wanted}
    return found


def _debian_owners(paths: Collection[Path], root: Path) -> dict[Path, Owner]:
    wanted = {spelling: path for path in paths for spelling in _spellings(path)}
    found: dict[Path, str] = {}
    for listing in sorted((root / "var/lib/dpkg/info").glob("*.list")) if wanted else ():
        names = wanted.keys() & set(listing.read_text("utf-8", "replace").splitlines())
        found |= {wanted[name]: listing.stem.partition(":")[0] for name in names}
    versions = _debian_versions(set(found.values()), root)
    return {
        path: Owner(
            name=name,
            version=versions.get(name, "unknown"),
            texts=tuple(_debian_texts(name, root)),
        )
        for path, name in found.items()
    }


def _debian_texts(name: str, root: Path) -> Iterator[Path]:
    """Yield a package's copyright file and the common licences it refers to."""
    for path in _files(root / "usr/share/doc" / name / "copyright"):
        yield path
        text = path.read_text("utf-8", "replace")
        for common in sorted(set(re.findall(r"/(usr/share/common-licenses/[\w.+-]*\w)", text))):
            yield from _files(root / common)


def _spellings(path: Path) -> set[str]:
    """Return the paths by which dpkg may know a file: `/lib` is a link to `/usr/lib` today."""
    return {str(path), str(path).removeprefix("/usr"), f"/usr{path}"}


def _debian_versions(names: Collection[str], root: Path) -> dict[str, str]:
    if not names:
        return {}
    found = {}
    text = (root / "var/lib/dpkg/status").read_text("utf-8", "replace")
    for stanza in text.split("\n\n"):
        name = stanza.partition("\n")[0].removeprefix("Package: ")
        if name in names:
            lines = [line for line in stanza.splitlines() if line.startswith("Version: ")]
            found[name] = lines[0].removeprefix("Version: ") if lines else "unknown"
    return found


def _rpm_owners(paths: Collection[Path], root: Path) -> dict[Path, Owner]:
    tool = shutil.which("rpm")
    if tool is None:
        return {}
    found = {}
    for path in paths:
        command = [tool, "-qf", "--qf", r"%{NAME}\t%{VERSION}-%{RELEASE}\t%{LICENSE}\n", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        facts = done.stdout.splitlines()[0].split("\t") if done.stdout else []
        if done.returncode == 0 and len(facts) == 3:
            name, version, licence = facts
            texts = tuple(_files(root / "usr/share/licenses" / name))
            found[path] = Owner(name=name, version=version, licence=licence, texts=texts)
    return found


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files directly in a folder."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(child for child in path.iterdir() if child.is_file())
