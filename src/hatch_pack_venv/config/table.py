"""The configuration's keys: those of hatchling, and ours with what reads their values."""

from __future__ import annotations

import posixpath
import string
from typing import TYPE_CHECKING, Any, Final

from ..model.formats import CompressionFormat
from ..model.interpreter import COPYLEFT, Trim, Vendoring, is_fixed_path
from .values import (
    WrongValueError,
    choice,
    different_paths,
    kept,
    level,
    names,
    non_blank,
    path,
    paths,
    patterns,
    patterns_or_presets,
    size_limit,
    threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


HATCHLING_HOOK_KEYS: Final = frozenset(
    {
        "dependencies",
        "enable-by-default",
        "require-runtime-dependencies",
        "require-runtime-features",
    }
)
"""Keys that hatchling itself reads from a build hook's table."""
HATCHLING_TARGET_KEYS: Final = HATCHLING_HOOK_KEYS | {
    "artifacts",
    "directory",
    "exclude",
    "force-include",
    "hooks",
    "ignore-vcs",
    "include",
    "only-include",
    "only-packages",
    "packages",
    "skip-excluded-dirs",
    "sources",
    "versions",
}
"""Keys that hatchling itself reads from a build target's table."""
TEMPLATE_FIELDS: Final = ("name", "version", "python_tag", "platform_tag")


def _interpreter(value: Any) -> str:
    if value in ("bundled", "target"):
        return str(value)
    if not isinstance(value, str) or not is_fixed_path(value):
        message = "'bundled', 'target' or the absolute path of an interpreter on the target"
        raise WrongValueError(message)
    return value


def _formats(value: Any) -> tuple[CompressionFormat, ...]:
    names = {format.suffix.removeprefix("."): format for format in CompressionFormat}
    items = value if isinstance(value, list) else [value]
    known = all(isinstance(item, str) and item in names for item in items)
    if not items or not known or len(set(items)) < len(items):
        choices = ", ".join(repr(name) for name in names)
        message = f"one or a list of {choices}, each once"
        raise WrongValueError(message)
    return tuple(names[item] for item in items)


def _template(value: Any) -> str:
    text = non_blank(value)
    fields = "a name of one part"
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


def _archive_name(value: Any) -> str:
    text = _template(value)
    if text == ".":
        message = "a file name without its suffix"
        raise WrongValueError(message)
    return text


def _trim(value: Any) -> Trim:
    return Trim(choice(*(trim.value for trim in Trim))(value))


def _vendoring(value: Any) -> Vendoring:
    if isinstance(value, bool):
        return Vendoring(wanted=value)
    names = " and ".join(repr(name) for name in COPYLEFT)
    what = f"true, false, or a list of libraries that come along besides: {names}"
    if not isinstance(value, list) or not value or not set(map(str, value)) <= COPYLEFT.keys():
        raise WrongValueError(what)
    return Vendoring(copyleft=tuple(value))


KEYS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "source": ("source", path),
    "hatch-env": ("hatch_env", non_blank),
    "interpreter": ("interpreter", _interpreter),
    "project": ("project", choice("wheel", "installed", "exclude")),
    "editables": ("editables", choice("error", "copy", "exclude")),
    "format": ("formats", _formats),
    "compression-level": ("compression_level", level),
    "threads": ("threads", threads),
    "output-directory": ("output_directory", path),
    "archive-name": ("archive_name", _archive_name),
    "install-target": ("install_target", _template),
    "exclude-files": ("exclude_files", patterns_or_presets),
    "include-files": ("include_files", patterns),
    "record-files": ("record_files", choice("update", "exclude")),
    "wheels": ("wheels", paths("wheel files")),
    "distributions": ("distributions", choice("all", "required")),
    "extras": ("extras", names("names of extras")),
    "keep": ("keep", kept),
    "check": ("check", choice("error", "warn", "off")),
    "lock": ("lock", path),
    "max-size": ("max_size", size_limit),
    "bytecode": ("bytecode", choice("none", "checked-hash", "unchecked-hash")),
    "interpreter-trim": ("interpreter_trim", _trim),
    "vendor-libraries": ("vendor_libraries", _vendoring),
    "containing-dir": ("containing_dir", path),
    "base-runtime": ("base_runtime", path),
    "layers": ("layers", different_paths("environments")),
    "dynlib-dirs": ("dynlib_dirs", different_paths("folders of libraries")),
}
"""Of each key the field that holds its value, and what reads it."""
