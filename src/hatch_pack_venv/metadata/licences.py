"""Licences stated in metadata, as SPDX expressions where possible, and which are denied."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from ..model.components import Licence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..model.distribution import About


_NAME_LIMIT: Final = 100
"""In characters; `License` may hold a name or a whole text, whose first line is not a name."""

# Classifiers that mean one licence (PEP 639, "Mapping License Classifiers to SPDX Identifiers").
_CLASSIFIERS: Final[Mapping[str, str]] = {
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
# Those from which the same PEP forbids inferring an expression, because each may mean several.
_SEVERAL: Final[Mapping[str, Sequence[str]]] = {
    "Academic Free License (AFL)": ("AFL-1.1", "AFL-1.2", "AFL-2.0", "AFL-2.1", "AFL-3.0"),
    "Apache Software License": ("Apache-1.0", "Apache-1.1", "Apache-2.0"),
    "BSD License": ("0BSD", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause"),
    "GNU Affero General Public License v3": ("AGPL-3.0-only", "AGPL-3.0-or-later"),
    "GNU Free Documentation License (FDL)": ("GFDL-1.1-only", "GFDL-1.2-only", "GFDL-1.3-only"),
    "GNU General Public License (GPL)": (
        *("GPL-1.0-only", "GPL-2.0-only", "GPL-3.0-only"),
        *("GPL-1.0-or-later", "GPL-2.0-or-later", "GPL-3.0-or-later"),
    ),
    "GNU General Public License v2 (GPLv2)": ("GPL-2.0-only", "GPL-2.0-or-later"),
    "GNU General Public License v3 (GPLv3)": ("GPL-3.0-only", "GPL-3.0-or-later"),
    "GNU Lesser General Public License v2 (LGPLv2)": ("LGPL-2.0-only", "LGPL-2.1-only"),
    "GNU Lesser General Public License v2 or later (LGPLv2+)": (
        *("LGPL-2.0-or-later", "LGPL-2.1-or-later"),
    ),
    "GNU Lesser General Public License v3 (LGPLv3)": ("LGPL-3.0-only", "LGPL-3.0-or-later"),
    "GNU Library or Lesser General Public License (LGPL)": (
        *("LGPL-2.0-only", "LGPL-2.1-only", "LGPL-3.0-only"),
        *("LGPL-2.0-or-later", "LGPL-2.1-or-later", "LGPL-3.0-or-later"),
    ),
}
_NO_LICENCE: Final = {"", "unknown", "none", "n/a"}


def licence_of(about: About) -> Licence | None:
    """Return the licence of a distribution: an expression if its metadata state or imply one.

    Several classifiers may mean a choice or a combination, and nothing says which, so they become
    plain text.
    """
    stated = (about.licence or "").strip()
    for text in (about.licence_expression, stated):
        expression = normalised(text)
        if expression is not None:
            return Licence(text=expression, is_expression=True)
    names = [each.rpartition("::")[2].strip() for each in about.classifiers]
    names = [name for name in names if name != "OSI Approved"]
    meant = {_CLASSIFIERS.get(name) or normalised(name) for name in names}
    if len(meant) == 1 and (expression := meant.pop()) is not None:
        return Licence(text=expression, is_expression=True)
    if names:
        return Licence(text=", ".join(names))
    if stated.lower() in _NO_LICENCE or len(stated) > _NAME_LIMIT or "\n" in stated:
        return None
    return Licence(text=stated)


def licence_named(text: object) -> Licence | None:
    """Return the licence that another package manager's records name."""
    if not isinstance(text, str) or text.strip().lower() in _NO_LICENCE:
        return None
    expression = normalised(text)
    return Licence(text=expression or text.strip(), is_expression=expression is not None)


def normalised(text: str | None) -> str | None:
    """Return an SPDX expression as the specification spells it; `None` if the text is not one."""
    if not text:
        return None
    try:
        return str(canonicalize_license_expression(text))
    except (InvalidLicenseExpression, RecursionError):
        return None


def denied_licences(
    licences: Iterable[tuple[str, Licence | None]], patterns: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return a sentence for each component with a denied licence, and one on those not judged.

    Parameters:
        licences: name and version of each component, and its licence.
        patterns: patterns for SPDX identifiers, as in `deny-licenses`.
    """
    denied: list[str] = []
    unjudged: list[str] = []
    for name, licence in licences:
        if licence is not None and _is_denied(licence, patterns):
            denied.append(
                f"{name} is under {licence.text}, which deny-licenses ({', '.join(patterns)})"
                " denies: replace it, leave it out, or ask whoever decides about licences"
            )
        elif licence is None or not licence.is_expression:
            unjudged.append(f"{name} ({'no licence' if licence is None else licence.text})")
    if not unjudged:
        return denied, []
    listed = ", ".join(sorted(unjudged))
    return denied, [
        f"deny-licenses cannot judge components without an SPDX expression: {listed}; read their"
        " licence texts (share/licenses/NOTICES.txt)"
    ]


def _is_denied(licence: Licence, patterns: Sequence[str]) -> bool:
    """Whether a licence is denied; for an ambiguous classifier, whether all its meanings are."""
    if licence.is_expression:
        return not Alternatives(licence.text).are_allowed(patterns)
    meant = _SEVERAL.get(licence.text, ())
    return bool(meant) and all(any(_matches(one, each) for each in patterns) for one in meant)


class Alternatives:
    """The choices that an SPDX expression offers: sets of licences that apply together."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[str] = re.findall(r"[()]|[^\s()]+", expression)
        self._position = 0
        self.sets = frozenset(self._any_of())

    def are_allowed(self, patterns: Sequence[str]) -> bool:
        """Whether there is a choice in which no licence is denied.

        Only a pattern with an exception (`GPL-3.0-* WITH *`) denies a licence with one, because
        exceptions exist to allow what the licence alone does not.
        """
        return any(
            not any(_matches(licence, pattern) for licence in chosen for pattern in patterns)
            for chosen in self.sets
        )

    def _any_of(self) -> Iterator[frozenset[str]]:
        yield from self._all_of()
        while self._accept("OR"):
            yield from self._all_of()

    def _all_of(self) -> list[frozenset[str]]:
        found = self._single()
        while self._accept("AND"):
            other = self._single()
            found = [one | two for one in found for two in other][:_ALTERNATIVES]
        return found

    def _single(self) -> list[frozenset[str]]:
        if self._accept("("):
            found = [*self._any_of()]
            self._accept(")")
            return found
        licence = self._next()
        if self._accept("WITH"):
            licence = f"{licence} WITH {self._next()}"
        return [frozenset({licence})]

    def _accept(self, token: str) -> bool:
        accepted = self._tokens[self._position : self._position + 1] == [token]
        self._position += accepted
        return accepted

    def _next(self) -> str:
        self._position += 1
        return self._tokens[self._position - 1]


_ALTERNATIVES: Final = 1000  # no licence offers as many; they multiply
_GNU: Final = re.compile(r"((?:A|L)?GPL-\d\.\d|GFDL-\d\.\d)(\+?)")


def _matches(licence: str, pattern: str) -> bool:
    name, _, exception = licence.partition(" WITH ")
    wanted, has_exception, wanted_exception = _split(pattern)
    if bool(exception) != has_exception:
        return False
    return fnmatch.fnmatchcase(_current(name).lower(), _current(wanted).lower()) and (
        fnmatch.fnmatchcase(exception.lower(), wanted_exception.lower())
    )


def _split(pattern: str) -> tuple[str, bool, str]:
    name, *exception = re.split(r"\s+WITH\s+", pattern.strip(), maxsplit=1, flags=re.IGNORECASE)
    return name, bool(exception), exception[0] if exception else ""


def _current(name: str) -> str:
    """Return today's identifier for a deprecated one: `GPL-3.0+` is `GPL-3.0-or-later`."""
    match = _GNU.fullmatch(name)
    if match is None:
        return name.removesuffix("+")  # that version or a later one
    return f"{match[1]}-{'or-later' if match[2] else 'only'}"


_FOLDERS: Final = ("licenses/", "license_files/")
_TEXT: Final = re.compile(
    r"(?:(?:un)?licen[cs]e|copying|copyright|notice|authors|patents)[^/]*", re.IGNORECASE
)


def text_names(folder: str, names: Iterable[str], declared: Iterable[str] = ()) -> list[str]:
    """Return the files of a metadata folder that are licence texts, in order.

    Parameters:
        folder: arcname of the `.dist-info` or `.egg-info`.
        names: arcnames of the files in it.
        declared: the metadata's `License-File` fields; PEP 639 puts these files below `licenses`.
    """
    stated = {f"{folder}/{place}{name}" for name in declared for place in ("", *_FOLDERS)}
    return sorted(
        name
        for name in names
        if name in stated
        or name.removeprefix(f"{folder}/").startswith(_FOLDERS)
        or _TEXT.fullmatch(name.removeprefix(f"{folder}/"))
    )


def metadata_folder(arcname: str) -> str | None:
    """Return the `.dist-info` or `.egg-info` that contains a file; `None` if none does."""
    for mark in (".dist-info/", ".egg-info/"):
        folder, found, _ = arcname.partition(mark)
        if found:
            return folder + mark.rstrip("/")
    return None
