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
"""The path of the bill of materials of what lies below the environment of an image."""
NOTICES: Final = "share/licenses/NOTICES.txt"
"""Arcname of the licence notices."""
LICENCES: Final = "share/licenses"
"""Arcname of the folder with the licences of what comes with a bundled interpreter."""
STATEMENT_SUFFIX: Final = ".intoto.jsonl"
BESIDE: Final = (".json", SBOM_SUFFIX, STATEMENT_SUFFIX)
"""The suffixes of the files that may lie beside an archive."""

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
        purl: its package URL (ECMA-427), by which scanners know it.
        cpe: its name in the National Vulnerability Database.
        hashes: of what it was installed from, by algorithm as CycloneDX spells it (`SHA-256`).
        references: URLs by their kind (CycloneDX: `vcs`, `distribution`).
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
        """Name and version, for people."""
        return self.name if self.version is None else f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bom:
    """A bill of materials.

    Parameters:
        root: the application.
        components: its parts, in the order of their refs.
        time: seconds since the epoch; the archive's.
    """

    root: Component
    components: tuple[Component, ...]
    time: int


def is_hash(algorithm: str, digits: str) -> bool:
    """Whether this is a hash in hexadecimal digits, of an algorithm as CycloneDX spells it."""
    length = _DIGITS.get(algorithm)
    return len(digits) == length and re.fullmatch("[0-9a-fA-F]+", digits) is not None


def hashes_as_listed(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return hashes by the names that CycloneDX has for their algorithms, without any others.

    Parameters:
        hashes: by the names that `hashlib` has for them.
    """
    named = {_ALGORITHMS.get(name, ""): digits for name, digits in sorted(hashes.items())}
    return {name: digits.lower() for name, digits in named.items() if is_hash(name, digits)}


def package_url(kind: str, *path: str, version: str | None, **qualifiers: str | None) -> str:
    """Return a package URL (ECMA-427).

    Parameters:
        kind: its type, `pypi`.
        path: namespace and name.
        qualifiers: those that are `None` or empty are left out.
    """
    named = "/".join(quote(part, safe="") for part in path if part)
    at = "" if version is None else f"@{quote(version, safe=':')}"
    given = {key: value for key, value in sorted(qualifiers.items()) if value}
    text = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in given.items())
    return f"pkg:{kind}/{named}{at}{'?' if text else ''}{text}"


def public_url(url: str) -> str | None:
    """Return a URL without user, password, query and fragment, all of which can hold a token.

    `None` for what only this machine can open. The user of `ssh://git@…` is everybody's.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None  # none that anything could open
    if parts.scheme == "file" or not host:
        return None
    user = "git@" if parts.scheme.endswith("ssh") and parts.username == "git" else ""
    host = f"[{host}]" if ":" in host else host
    place = f"{user}{host}{'' if port is None else f':{port}'}"
    return urlunsplit((parts.scheme, place, quote(parts.path, safe="/%:@!$&'()*+,;=~"), "", ""))


def shown_url(url: str) -> str:
    """Return a URL as messages show it: `public_url`, or where on this machine something lies."""
    return public_url(url) or (url if url.startswith("file:") else "a URL that nothing can open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The commit of a working copy.

    Parameters:
        remote: the URL of the repository that it was cloned from, as git knows it.
        is_modified: whether tracked files differ from it.
    """

    sha: str
    remote: str | None = None
    is_modified: bool = False
