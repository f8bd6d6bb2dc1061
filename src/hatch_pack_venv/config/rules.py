"""Rules across configuration keys: combinations that make no sense. All functions are pure."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any, Final

from ..model.formats import CompressionFormat
from ..model.interpreter import is_fixed_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .wording import Wording


_OWN_FORMAT: Final = CompressionFormat.XZ
"""An environment's default format; Windows environments use zip, with the same levels."""


def problems_between(
    values: Mapping[str, Any], table: Mapping[str, Any], names: Wording
) -> Iterator[str]:
    """Yield a sentence for each combination of keys that makes no sense.

    Parameters:
        values: the parsed values, by field of the options; keys with invalid values are missing.
        table: the table as configured, by key.
        names: how messages name the keys.
    """
    yield from _of_level(values, names)
    yield from _of_bundled_only(values, table, names)
    if values.get("keep") and values.get("distributions", "all") == "all":
        yield (
            f"{names.key('keep')} only applies with distributions = 'required', but everything is"
            " packed: remove it, or set `distributions`"
        )
    yield from _of_promised(values, names)
    yield from _of_starting(values, table, names)
    if {"source", "hatch_env"} <= values.keys():
        both = f"{names.key('source')} and {names.key('hatch-env')}"
        yield f"{both} name two environments: remove one"
    yield from _of_interpreter(values, table, names)
    yield from _of_containing(values, table, names)


def _of_level(values: Mapping[str, Any], names: Wording) -> Iterator[str]:
    level = values.get("compression_level")
    if level is None:
        return
    for format in values.get("formats", (_OWN_FORMAT,)):
        name = format.suffix.removeprefix(".")
        is_image = format is CompressionFormat.OCI
        levels = (values.get("image_compression", format) if is_image else format).levels
        if levels is None:
            yield (
                f"{names.key('compression-level')} cannot be used with {name!r}, which does not"
                " compress: remove it"
            )
        elif not levels.fastest <= level <= levels.smallest:
            yield (
                f"{names.key('compression-level')} must be from {levels.fastest} to"
                f" {levels.smallest} for {name!r}, not {level!r}"
            )


def _of_bundled_only(
    values: Mapping[str, Any], table: Mapping[str, Any], names: Wording
) -> Iterator[str]:
    whose = values.get("interpreter", "bundled")
    shown = repr(whose)
    if values.get("base_runtime") is not None:
        whose, shown = "neighbour", "the base runtime's"
    if whose == "bundled":
        return
    for key in ("interpreter-trim", "vendor-libraries"):
        if key in table:
            yield (
                f"{names.key(key)} only applies to a bundled interpreter, but the interpreter is"
                f" {shown}: remove it"
            )


def _of_promised(values: Mapping[str, Any], names: Wording) -> Iterator[str]:
    formats = values.get("formats", ())
    if is_fixed_path(values.get("interpreter", "")) and CompressionFormat.ZIP in formats:
        yield (
            f"{names.key('format')} cannot be 'zip' if the interpreter is"
            f" {values['interpreter']!r}: a zip file cannot contain a link to it; use a tar format"
            " or interpreter = 'target'"
        )


def _of_starting(
    values: Mapping[str, Any], table: Mapping[str, Any], names: Wording
) -> Iterator[str]:
    """Yield problems with formats that start a script by themselves, and with the script's name."""
    starting = [format for format in values.get("formats", ()) if format.starts]
    if "entry_point" in values and not starting:
        yield (
            f"{names.key('entry-point')} only applies to the formats 'run' and 'oci': remove it,"
            " or choose one of them"
        )
    formats = values.get("formats", ())
    for key in ("image-base", "image-name", "image-compression"):
        if key in table and CompressionFormat.OCI not in formats:
            yield f"{names.key(key)} only applies to format 'oci': remove it, or choose that format"
    if values.get("zip_links") and CompressionFormat.ZIP not in values.get("formats", ()):
        key = names.key("zip-links")
        yield f"{key} only applies to format 'zip': remove it, or choose that format"
    promised = is_fixed_path(values.get("interpreter", "bundled"))
    is_image = CompressionFormat.OCI in values.get("formats", ())
    if promised and is_image and values.get("image_base") is None:
        yield (
            f"{names.key('image-base')} must name an image that contains the interpreter"
            f" {values['interpreter']!r}"
        )
    fixed = [format for format in values.get("formats", ()) if format.runs_where_it_is]
    whose = values.get("interpreter", "bundled")
    if values.get("base_runtime") is not None:
        whose = "the base runtime's"
    if fixed and whose != "bundled" and not is_fixed_path(whose):
        yield (
            f"{names.key('format')} cannot be {fixed[0].value!r} if the interpreter is"
            f" {whose!r}, which postinstall.py must connect first: bundle the interpreter, or"
            " choose another format"
        )


def _of_interpreter(
    values: Mapping[str, Any], table: Mapping[str, Any], names: Wording
) -> Iterator[str]:
    """Yield problems with the source of a layered environment's interpreter."""
    given = values.get("interpreter")
    if values.get("base_runtime") is not None:
        if given not in (None, "target"):
            yield (
                f"{names.key('interpreter')} is {given!r}, but {names.key('base-runtime')} names"
                " the layer that provides the interpreter: remove one"
            )
    elif values.get("layers") and "base-runtime" not in table and given != "target":
        yield (
            f"{names.key('layers')} needs {names.key('base-runtime')}, the layer that provides the"
            " interpreter, or interpreter = 'target'"
        )


def _of_containing(
    values: Mapping[str, Any], table: Mapping[str, Any], names: Wording
) -> Iterator[str]:
    """Yield problems with the locations of layers, as far as paths alone reveal them."""
    if "containing-dir" not in table:
        for key in dict.fromkeys(key for key, _ in _named_paths(values)):
            yield (
                f"{names.key(key)} needs {names.key('containing-dir')}, the folder that contains"
                " the environment and its layers"
            )
        return
    if "containing_dir" not in values:
        return
    folder = values["containing_dir"]
    if "source" in values and not _is_below(values["source"], folder):
        yield (
            f"{names.key('containing-dir')} must be a folder that contains the environment"
            f" ({str(values['source'])!r}), not {str(folder)!r}"
        )
    for key, path in _named_paths(values):
        if not _is_below(path, folder):
            inside = f"must be inside containing-dir ({str(folder)!r})"
            yield f"{names.key(key)} {inside}, not {str(path)!r}"
    if values.get("dynlib_dirs") and not values.get("layers") and not values.get("base_runtime"):
        yield (
            f"{names.key('dynlib-dirs')} names folders in layers, but {names.key('layers')} names"
            " no layer: name the layer that contains them"
        )
    runtime = values.get("base_runtime")
    for layer in values.get("layers", ()):
        if runtime is not None and os.path.normpath(layer) == os.path.normpath(runtime):
            yield (
                f"{names.key('layers')} names the base runtime {str(layer)!r}, whose packages come"
                " last anyway: remove it from there"
            )


def _named_paths(values: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    if values.get("base_runtime") is not None:
        yield "base-runtime", values["base_runtime"]
    for path in values.get("layers", ()):
        yield "layers", path
    for path in values.get("dynlib_dirs", ()):
        yield "dynlib-dirs", path


def _is_below(path: Path, folder: Path) -> bool:
    """Return whether a path is lexically inside a folder; undecidable cases count as inside."""
    if path.is_absolute() != folder.is_absolute():
        return True
    inside = posixpath.normpath(posixpath.relpath(path, folder))
    return inside != "." and inside.split("/")[0] != ".."
