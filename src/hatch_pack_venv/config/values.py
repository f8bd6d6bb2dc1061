"""Parsers for the values of single configuration keys."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import shlex
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import InvalidRequirement, Requirement

from ..model.formats import SHORT_NAMES, CompressionFormat
from ..model.interpreter import (
    COPYLEFT,
    LEVELS,
    OPTIONAL_MODULES,
    Trim,
    Vendoring,
    is_fixed_path,
)
from ..model.results import parsed_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class WrongValueError(Exception):
    """An invalid value; the text says what it must be.

    Parameters:
        value: the wrong one among several values.
        meant: the valid value that it resembles most.
    """

    def __init__(self, expected: str, *, value: Any = None, meant: str | None = None) -> None:
        super().__init__(expected)
        self.value = value
        self.meant = meant


def meant(value: Any, choices: Iterable[str]) -> str | None:
    """Return the choice that a value resembles most."""
    if not isinstance(value, str):
        return None
    choices = list(choices)
    near = difflib.get_close_matches(value.lower(), choices, n=1)
    near += [each for each in choices if each.endswith(f".{value.lower().strip('.')}")]
    return near[0] if near else None


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list of non-empty strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        message = f"a list of {what}"
        raise WrongValueError(message)
    return value


def patterns(value: Any) -> tuple[str, ...]:
    """Return gitignore-style patterns."""
    given = list_of(value, "gitignore-style patterns")
    if any(each.startswith("@") for each in given):
        message = (
            "a list of gitignore-style patterns (presets such as '@tests' only apply to"
            " exclude-files; write a pattern that begins with @ as \\@)"
        )
        raise WrongValueError(message)
    _check_patterns(given)
    return tuple(given)


def patterns_or_presets(value: Any) -> tuple[str, ...]:
    """Return gitignore-style patterns and preset names."""
    given = list_of(value, "gitignore-style patterns")
    unknown = unknown_presets(given)
    if unknown:
        message = (
            f"a list of gitignore-style patterns and of {', '.join(map(repr, PRESETS))}"
            f" ({unknown[0]!r} is neither; write a pattern that begins with @ as \\@)"
        )
        raise WrongValueError(message, meant=meant(unknown[0], PRESETS))
    _check_patterns(each for each in given if each not in PRESETS)
    return tuple(given)


def _check_patterns(given: Iterable[str]) -> None:
    from pathspec import GitIgnoreSpec  # 10 ms that most runs can do without

    for each in given:
        try:
            GitIgnoreSpec.from_lines([each])
        except (ValueError, re.error):
            message = f"a list of gitignore-style patterns ({each!r} is not one)"
            raise WrongValueError(message) from None


def names(what: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a parser for a list of names (PEP 508)."""

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
    """Return names of distributions, optionally with extras."""
    what = "names of distributions, optionally with [extras], without versions"
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
    """Return a size in bytes."""
    size = value if isinstance(value, int) and not isinstance(value, bool) else None
    size = parsed_size(value) if isinstance(value, str) else size
    if size is None or size <= 0:
        message = "a number of bytes, or a size such as '250MB' (millions) or '1GiB'"
        raise WrongValueError(message)
    return size


def non_blank(value: Any) -> str:
    """Return a string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        message = "a non-empty string"
        raise WrongValueError(message)
    return value


def script_name(value: Any) -> str:
    """Return the name of a script."""
    if not isinstance(value, str) or not value.strip() or set(value) & set("/\\\0"):
        message = "the name of a script in the environment's bin"
        raise WrongValueError(message)
    return value


def image_base(value: Any) -> Path | None:
    """Return the path of an image, or `None` for `scratch`."""
    if value == "scratch":
        return None
    try:
        return path(value)
    except WrongValueError:
        message = "'scratch' or the path of an OCI image"
        raise WrongValueError(message) from None


def image_compression(value: Any) -> CompressionFormat:
    """Return the compression of an image's layers."""
    if value not in ("gzip", "zstd"):
        message = "'gzip' or 'zstd'"
        raise WrongValueError(message)
    return CompressionFormat(value)


def image_name(value: Any) -> str:
    """Return a template for an image's repository and tag."""
    what = "a name such as 'registry/{name}:{version}', with no fields but {name} and {version}"
    try:
        parts = list(string.Formatter().parse(non_blank(value)))
        fields = [part for part in parts if part[1] is not None]
        known = all(part[1:] in (("name", "", None), ("version", "", None)) for part in fields)
    except (ValueError, WrongValueError):
        known = False
    if not known:
        raise WrongValueError(what)
    return str(value)


def path(value: Any) -> Path:
    """Return a path."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        message = "a path"
        raise WrongValueError(message)
    return Path(value)


def boolean(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        message = "true or false"
        raise WrongValueError(message)
    return value


def word(text: str) -> bool | str:
    """Return the value that a configuration table would hold for a word on the command line."""
    return {"true": True, "false": False}.get(text, text)


def choice(*choices: str) -> Callable[[Any], str]:
    """Return a parser for one of several words."""
    expected = " or ".join(map(repr, choices))

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise WrongValueError(expected, meant=meant(value, choices))
        return value

    return parse


def proof(value: Any) -> str | tuple[str, ...]:
    """Return what to prove: a word, or commands."""
    words = ("none", "start", "all")
    if isinstance(value, str) and value in words:
        return value
    what = f"{', '.join(map(repr, words))}, or a list of commands such as 'greet --version'"
    commands = value if isinstance(value, list) else []
    if not commands or any(each in words for each in commands):
        raise WrongValueError(what)
    for command in list_of(commands, "commands"):
        try:
            readable = bool(shlex.split(command))
        except ValueError:
            readable = False
        if not readable or "\0" in command:
            message = f"{what} ({command!r} is empty or has an unterminated quote)"
            raise WrongValueError(message)
    return tuple(commands)


def true_false_or_list(given: list[str]) -> bool | list[str]:
    """Convert an option's values to a table's: a single true or false, or the list."""
    return given[0] == "true" if given in (["true"], ["false"]) else given


def words_or_list(*words: str) -> Callable[[list[str]], str | list[str]]:
    """Return a converter from an option's values to a table's: a single word, or the list."""
    return lambda given: given[0] if len(given) == 1 and given[0] in words else given


def level(value: Any) -> int:
    """Return a compression level."""
    if not isinstance(value, int) or isinstance(value, bool):
        message = "an integer on the format's own scale"
        raise WrongValueError(message)
    return value


def threads(value: Any) -> int:
    """Return a number of threads."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = "a whole number of threads, 1 or more"
        raise WrongValueError(message)
    return value


def paths(what: str) -> Callable[[Any], tuple[Path, ...]]:
    """Return a parser for a list of paths."""

    def parse(value: Any) -> tuple[Path, ...]:
        return tuple(Path(item) for item in list_of(value, f"paths of {what}"))

    return parse


def different_paths(what: str) -> Callable[[Any], tuple[Path, ...]]:
    """Return a parser for a list of distinct paths."""

    def parse(value: Any) -> tuple[Path, ...]:
        given = list_of(value, f"paths of {what}, each once")
        found = tuple(dict.fromkeys(os.path.normpath(item) for item in given))
        if len(found) < len(given) or any("\0" in item or not item.strip() for item in given):
            message = f"a list of paths of {what}, each once"
            raise WrongValueError(message)
        return tuple(map(Path, given))

    return parse


TEMPLATE_FIELDS: Final = ("name", "version", "python_tag", "platform_tag")


def interpreter(value: Any) -> str:
    """Return what provides the interpreter: a keyword, or its absolute path on the target."""
    if value in ("bundled", "target"):
        return str(value)
    if not isinstance(value, str) or not is_fixed_path(value):
        message = "'bundled', 'target' or the absolute path of an interpreter on the target"
        raise WrongValueError(message, meant=meant(value, ("bundled", "target")))
    return value


def formats(value: Any) -> tuple[CompressionFormat, ...]:
    """Return distinct archive formats."""
    known_names = {format.suffix.removeprefix("."): format for format in CompressionFormat}
    given = value if isinstance(value, list) else [value]
    items = [SHORT_NAMES.get(item, item) if isinstance(item, str) else item for item in given]
    known = all(isinstance(item, str) and item in known_names for item in items)
    if not items or not known or len(set(items)) < len(items):
        choices = ", ".join(repr(name) for name in known_names)
        message = f"one or a list of {choices}, each once"
        wrong = [item for item in items if not isinstance(item, str) or item not in known_names]
        if len(wrong) != 1:
            raise WrongValueError(message)
        raise WrongValueError(message, value=wrong[0], meant=meant(wrong[0], known_names))
    return tuple(known_names[item] for item in items)


def template(value: Any) -> str:
    """Return a template for a single path component."""
    text = non_blank(value)
    fields = "a name without path separators"
    try:
        parts = list(string.Formatter().parse(text))
        known = all(
            field is None or (field in TEMPLATE_FIELDS and not spec and not conversion)
            for _, field, spec, conversion in parts
        )
    except ValueError:
        known = False
    if not known or text != posixpath.basename(text) or "\\" in text or text == "..":
        choices = ", ".join(f"{{{field}}}" for field in TEMPLATE_FIELDS)
        message = f"{fields}, with no fields but {choices}"
        raise WrongValueError(message)
    return text


def archive_name(value: Any) -> str:
    """Return a template for an archive's name."""
    text = template(value)
    if text == ".":
        message = "a file name without its suffix"
        raise WrongValueError(message)
    return text


def trim(value: Any) -> Trim:
    """Return how much of a bundled interpreter is left out."""
    if isinstance(value, str):
        return Trim(level=choice(*LEVELS)(value))
    what = f"{' or '.join(map(repr, LEVELS))}, or a list of modules ({', '.join(OPTIONAL_MODULES)})"
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise WrongValueError(what)
    levels = [each for each in value if each in LEVELS]
    modules = tuple(each for each in value if each not in LEVELS)
    unknown = next((each for each in modules if each not in OPTIONAL_MODULES), None)
    if unknown is not None or len(levels) > 1 or len(set(modules)) < len(modules):
        message = f"{what}, each once, with at most one of the levels"
        raise WrongValueError(message)
    return Trim(level=levels[0] if levels else "default", modules=modules)


def vendoring(value: Any) -> Vendoring:
    """Return which shared libraries a bundle vendors."""
    if isinstance(value, bool):
        return Vendoring(wanted=value)
    listed = " and ".join(repr(name) for name in COPYLEFT)
    what = f"true, false, or a list of further libraries to vendor: {listed}"
    if not isinstance(value, list) or not value or not set(map(str, value)) <= COPYLEFT.keys():
        raise WrongValueError(what)
    return Vendoring(copyleft=tuple(value))


_SITE: Final = "**/site-packages"

# Licence texts and other metadata always stay, even in folders with names like these.
_METADATA: Final = f"!{_SITE}/*.dist-info/**"
PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    # Not `test` and `testing`, which applications import (django.test, numpy.testing), nor
    # `test_*.py`. astropy imports its tests folder on import, and jupyterlab.browser_check imports
    # jupyterlab's.
    "@tests": (
        f"{_SITE}/**/tests/",
        f"{_SITE}/test/",
        f"{_SITE}/**/conftest.py",
        f"!{_SITE}/astropy/tests/",
        f"!{_SITE}/jupyterlab/tests/",
        _METADATA,
    ),
    # Not `docs` inside packages: botocore's and boto3's contain code that is imported.
    "@docs": (
        f"{_SITE}/doc/",
        f"{_SITE}/docs/",
        "/share/doc/",
        "/share/man/",
        "/share/info/",
        "/man/",
    ),
    "@headers": (
        "/include/",
        *(f"{_SITE}/**/*.{kind}" for kind in ("h", "hh", "hpp", "hxx", "cuh", "pxd", "pxi")),
        _METADATA,
    ),
    "@static-libraries": (
        *(f"{_SITE}/**/*.{kind}" for kind in ("a", "la", "lib")),
        "/lib/**/*.a",
        _METADATA,
    ),
    # lazy_loader's `attach_stub` reads the `__init__.pyi` next to a package on import
    # (scikit-image, librosa, mne).
    "@type-stubs": (
        f"{_SITE}/**/*.pyi",
        f"!{_SITE}/**/__init__.pyi",
        f"{_SITE}/**/py.typed",
        f"{_SITE}/*-stubs/**",
        _METADATA,
    ),
}
"""What each preset expands to, as gitignore-style patterns relative to the environment."""


def unknown_presets(patterns: Iterable[str]) -> list[str]:
    """Return the `@` names among some patterns that are not presets (`\\@` is a literal `@`)."""
    return [each for each in patterns if each.startswith("@") and each not in PRESETS]


def pattern_groups(patterns: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the patterns of each preset as a group, then all other patterns as one.

    A negation (`!`) in a group affects only that group.
    """
    given = list(patterns)
    presets = [PRESETS[each] for each in given if each in PRESETS]
    return [*presets, tuple(each for each in given if each not in PRESETS)]


def boolean_or(word: str) -> Callable[[Any], bool | str]:
    """Return a parser for true, false or one word."""

    def parse(value: Any) -> bool | str:
        if value == word or isinstance(value, bool):
            return value  # type: ignore[no-any-return]
        message = f"true, false or {word!r}"
        raise WrongValueError(message)

    return parse


def licence_patterns(value: Any) -> tuple[str, ...]:
    """Return patterns of SPDX identifiers, `GPL-3.0-*` or `GPL-3.0-* WITH *`."""
    what = "patterns of SPDX identifiers, such as 'GPL-3.0-*'"
    given = list_of(value, what)
    form = re.compile(r"[\w.+*?\[\]!-]+(?: +WITH +[\w.+*?\[\]!-]+)?", re.IGNORECASE | re.ASCII)
    wrong = next((each for each in given if not form.fullmatch(each.strip())), None)
    if wrong is not None:
        message = f"a list of {what} ({wrong!r} is not one)"
        raise WrongValueError(message)
    return tuple(each.strip() for each in given)


def version_limit(value: Any) -> tuple[int, ...]:
    """Return a version of a system or its C library, as numbers."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,4}(\.\d{1,4}){0,2}", value):
        message = "a version such as '2.28'"
        message += "" if isinstance(value, str) else ", in quotation marks"
        raise WrongValueError(message)
    return tuple(map(int, value.split(".")))
