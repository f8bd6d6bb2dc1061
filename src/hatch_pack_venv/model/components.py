"""What an archive is made of, as a bill of materials lists it: plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

SBOM: Final = "share/venv/metadata/sbom.cdx.json"
"""Arcname of the bill of materials."""
SBOM_SUFFIX: Final = ".cdx.json"
BASE_SBOM: Final = "usr/share/doc/image-base/base.cdx.json"
"""Path, in an image, of the bill of materials of the files below the environment."""
NOTICES: Final = "share/licenses/NOTICES.txt"
"""Arcname of the licence notices."""
LICENCES: Final = "share/licenses"
"""Arcname of the folder with the licences of everything that comes with a bundled interpreter."""
STATEMENT_SUFFIX: Final = ".intoto.jsonl"
BESIDE: Final = (".json", SBOM_SUFFIX, STATEMENT_SUFFIX)
"""The suffixes of the files that may be next to an archive."""

FOUNDATION: Final = "Python Software Foundation"
"""The author of CPython."""

_DIGITS: Final = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128}
_ALGORITHMS: Final = {name.replace("-", "").lower(): name for name in _DIGITS}

Kind: TypeAlias = Literal["application", "library", "file", "operating-system"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence.

    Parameters:
        is_expression: whether the text is an SPDX expression.
    """

    text: str
    is_expression: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part of an archive.

    Parameters:
        ref: identifies it within the bill of materials.
        purl: its package URL (ECMA-427), by which scanners identify it.
        cpe: its name in the National Vulnerability Database.
        hashes: of what it was installed from, keyed by CycloneDX's algorithm names (`SHA-256`).
        references: kinds and URLs (CycloneDX: `vcs`, `distribution`).
        files: arcnames of packed files, whose hashes are listed.
        facts: further properties.
        needs: refs of the components that it needs.
    """

    ref: str
    kind: Kind = "library"
    name: str
    version: str | None = None
    purl: str | None = None
    cpe: str | None = None
    description: str | None = None
    licence: Licence | None = None
    authors: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    references: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, for human readers."""
        return self.name if self.version is None else f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bom:
    """A bill of materials.

    Parameters:
        root: the application.
        components: its parts, in the order of their refs.
        time: the archive's time, in seconds since the epoch.
    """

    root: Component
    components: tuple[Component, ...]
    time: int


def is_hash(algorithm: str, digits: str) -> bool:
    """Whether this is a hash in hexadecimal digits; the algorithm is named as in CycloneDX."""
    length = _DIGITS.get(algorithm)
    return len(digits) == length and re.fullmatch("[0-9a-fA-F]+", digits) is not None


def hashes_as_listed(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return hashes by CycloneDX's names for their algorithms, dropping all others.

    Parameters:
        hashes: hashes by `hashlib`'s names for their algorithms.
    """
    named = {_ALGORITHMS.get(name, ""): digits for name, digits in sorted(hashes.items())}
    return {name: digits.lower() for name, digits in named.items() if is_hash(name, digits)}


def package_url(kind: str, *path: str, version: str | None, **qualifiers: str | None) -> str:
    """Return a package URL (ECMA-427).

    Parameters:
        kind: its type, such as `pypi`.
        path: namespace and name.
        qualifiers: those that are `None` or empty are left out.
    """
    named = "/".join(quote(part, safe="") for part in path if part)
    at = "" if version is None else f"@{quote(version, safe=':')}"
    given = {key: value for key, value in sorted(qualifiers.items()) if value}
    text = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in given.items())
    return f"pkg:{kind}/{named}{at}{'?' if text else ''}{text}"


def public_url(url: str) -> str | None:
    """Return a URL without user, password, query and fragment, all of which can contain a token.

    `None` for a URL that only this machine, or none, can open. The user of `ssh://git@…` is kept:
    it is the same for everybody.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None  # nothing could open it
    if parts.scheme == "file" or not host:
        return None
    user = "git@" if parts.scheme.endswith("ssh") and parts.username == "git" else ""
    host = f"[{host}]" if ":" in host else host
    place = f"{user}{host}{'' if port is None else f':{port}'}"
    return urlunsplit((parts.scheme, place, quote(parts.path, safe="/%:@!$&'()*+,;=~"), "", ""))


def shown_url(url: str) -> str:
    """Return a URL as messages show it: `public_url`, or a `file:` URL of this machine."""
    return public_url(url) or (url if url.startswith("file:") else "an invalid URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The commit of a working copy.

    Parameters:
        remote: the URL of the repository that it was cloned from (git's `origin`).
        is_modified: whether tracked files differ from it.
    """

    sha: str
    remote: str | None = None
    is_modified: bool = False
