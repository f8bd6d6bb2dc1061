"""Values of configuration keys, read one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from .presets import PRESETS, unknown_presets
from .sizes import parsed_size

if TYPE_CHECKING:
    from collections.abc import Callable


class WrongValueError(Exception):
    """Its text says what a value must be."""


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list of strings that are not empty."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        message = f"a list of {what}"
        raise WrongValueError(message)
    return value


def patterns(value: Any) -> tuple[str, ...]:
    """Return gitignore-style patterns."""
    given = list_of(value, "gitignore-style patterns")
    if any(each.startswith("@") for each in given):
        message = (
            "a list of gitignore-style patterns (names such as '@tests' are for exclude-files, a"
            " pattern that begins with @ is written \\@)"
        )
        raise WrongValueError(message)
    return tuple(given)


def patterns_or_presets(value: Any) -> tuple[str, ...]:
    """Return gitignore-style patterns and names of presets."""
    given = list_of(value, "gitignore-style patterns")
    unknown = unknown_presets(given)
    if unknown:
        message = (
            f"a list of gitignore-style patterns and of {', '.join(map(repr, PRESETS))}, which"
            f" {unknown[0]!r} is none of (a pattern that begins with @ is written \\@)"
        )
        raise WrongValueError(message)
    return tuple(given)


def names(what: str) -> Callable[[Any], tuple[str, ...]]:
    """Return what reads a list of names (PEP 508)."""

    def parse(value: Any) -> tuple[str, ...]:
        given = list_of(value, what)
        if not all(
            re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", each) for each in given
        ):
            message = f"a list of {what}"
            raise WrongValueError(message)
        return tuple(given)

    return parse


def kept(value: Any) -> tuple[str, ...]:
    """Return names of distributions with their extras."""
    what = "names of distributions, with [extras] where they are wanted and no versions"
    for item in list_of(value, what):
        try:
            requirement = Requirement(item)
        except InvalidRequirement:
            requirement = None
        if requirement is None or requirement.specifier or requirement.marker or requirement.url:
            message = f"a list of {what}"
            raise WrongValueError(message)
    return tuple(value)


def size_limit(value: Any) -> int:
    """Return a number of bytes."""
    size = value if isinstance(value, int) and not isinstance(value, bool) else None
    size = parsed_size(value) if isinstance(value, str) else size
    if size is None or size <= 0:
        message = "a number of bytes, or a size such as '250MB' (millions) or '1GiB'"
        raise WrongValueError(message)
    return size
