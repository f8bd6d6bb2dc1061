"""The configuration, parsed once; all its problems are reported together."""

from __future__ import annotations

import difflib
import posixpath
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from .bundle import Vendoring
from .errors import OptionsError
from .formats import CompressionFormat
from .libraries import COPYLEFT
from .option_values import (
    WrongValueError,
    kept,
    list_of,
    names,
    patterns,
    patterns_or_presets,
    size_limit,
)
from .promise import is_promise
from .trim import Trim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .environment import Environment
    from .packing import Project

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

NOT_BUILT_YET: Final = frozenset(
    {
        "base-runtime",
        "containing-dir",
        "dynlib-dirs",
        "layers",
    }
)
"""Keys that are promised, and refused until they do something."""

TEMPLATE_FIELDS: Final = ("name", "version", "python_tag", "platform_tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """How to pack; the fields are the configuration's keys.

    Parameters:
        source: the environment, relative to the project root.
        hatch_env: name of a Hatch environment that is packed instead.
        interpreter: `bundled`, `target`, or the absolute path that it has on the target.
        project: `wheel`, `installed` or `exclude`.
        editables: `error`, `copy` or `exclude`: what becomes of editable installs other than the
            project that `project` replaces or leaves out.
        formats: the key `format`; one archive each; none for the environment's own.
        compression_level: of the formats' own scale; `None` for their default.
        threads: how many compress; `None` for the CPUs that this process may use.
        output_directory: relative to the project root.
        archive_name, install_target: templates of `{name}`, `{version}`, `{python_tag}` and
            `{platform_tag}`.
        exclude_files, include_files: gitignore-style patterns.
        record_files: `update` or `exclude`.
        wheels: each replaces what the environment holds of its distribution.
        distributions: `all`, or `required`: the project and what it needs, by installed metadata.
        extras: those of the project that count as needed.
        keep: distributions that are kept besides with `required`, `[extras]` allowed.
        check: what becomes of requirements that the environment does not meet: `error`, `warn` or
            `off`.
        lock: a lock file (PEP 751) that the installed versions must match.
        max_size: bytes, unpacked, above which packing is an error.
        bytecode: `none`, `checked-hash` or `unchecked-hash`.
        interpreter_trim: how much of a bundled interpreter stays out.
        vendor_libraries: whether the system's libraries come along, and which of those under the
            GPL do.
    """

    source: Path = Path(".venv")
    hatch_env: str | None = None
    interpreter: str = "bundled"
    project: str = "wheel"
    editables: str = "error"
    formats: tuple[CompressionFormat, ...] = ()
    compression_level: int | None = None
    threads: int | None = None
    output_directory: Path = Path("dist-venv")
    archive_name: str = "{name}-{version}-{python_tag}-{platform_tag}"
    install_target: str = "{name}-{version}"
    exclude_files: tuple[str, ...] = ()
    include_files: tuple[str, ...] = ()
    record_files: str = "update"
    wheels: tuple[Path, ...] = ()
    bytecode: str = "none"
    distributions: str = "all"
    extras: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    check: str = "error"
    lock: Path | None = None
    max_size: int | None = None
    interpreter_trim: Trim = Trim.DEFAULT
    vendor_libraries: Vendoring = field(default_factory=Vendoring)

    @classmethod
    def from_mapping(
        cls,
        table: Mapping[str, Any],
        where: str = "tool.hatch.build.hooks.pack-venv",
        allowed: Iterable[str] = HATCHLING_HOOK_KEYS,
    ) -> Self:
        """Read a configuration table, which is not modified.

        Parameters:
            where: the table's TOML path, for messages.
            allowed: keys of others that may stand beside ours.

        Raises:
            OptionsError: lists everything that is wrong with the table.
        """
        reader = _Reader(table, where, frozenset(allowed))
        values = reader.read()
        if reader.problems:
            raise OptionsError("the configuration is wrong", reader.problems)
        return cls(**values)

    def expand(
        self, template: str, environment: Environment, project: Project, platform_tag: str
    ) -> str:
        """Fill in a template; without a version, `{version}` goes with the `-` before it.

        Parameters:
            platform_tag: what the packed files need, `manylinux_2_28_x86_64`.
        """
        if project.version is None:
            template = template.replace("-{version}", "").replace("{version}", "")
        return template.format(
            name=project.name,
            version=project.version,
            python_tag=environment.interpreter.abi,
            platform_tag=platform_tag,
        )


class _Reader:
    """Reads one table and collects what is wrong with it."""

    def __init__(self, table: Mapping[str, Any], where: str, allowed: frozenset[str]) -> None:
        self.table = table
        self.where = where
        self.allowed = allowed
        self.problems: list[str] = []

    def read(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in self.table.items():
            if key in _KEYS:
                field, parse = _KEYS[key]
                try:
                    values[field] = parse(value)
                except WrongValueError as error:
                    self.problems.append(f"{self.where}.{key} must be {error}, not {value!r}")
            elif key in NOT_BUILT_YET:
                self.problems.append(f"{self.where}.{key} is not supported yet: remove it")
            elif key not in self.allowed:
                self.problems.append(f"{self.where}.{key} is unknown{self._suggestion(key)}")
        self._check_level(values)
        self._check_bundled_only(values)
        if values.get("keep") and values.get("distributions", "all") == "all":
            self.problems.append(
                f"{self.where}.keep is about distributions = 'required', and everything is packed:"
                " remove it, or set that"
            )
        self._check_promised(values)
        if {"source", "hatch_env"} <= values.keys():
            self.problems.append(
                f"{self.where}.source and {self.where}.hatch-env name two environments: remove one"
            )
        return values

    def _suggestion(self, key: str) -> str:
        near = difflib.get_close_matches(key, [*_KEYS, *sorted(self.allowed)], n=1)
        if near:
            return f"; did you mean {near[0]!r}?"
        return f"; the keys are {', '.join(_KEYS)}"

    def _check_bundled_only(self, values: Mapping[str, Any]) -> None:
        if values.get("interpreter", "bundled") == "bundled":
            return
        self.problems += [
            f"{self.where}.{key} is about a bundled interpreter, and the interpreter is"
            f" {values['interpreter']!r}: remove it"
            for key in ("interpreter-trim", "vendor-libraries")
            if key in self.table
        ]

    def _check_promised(self, values: Mapping[str, Any]) -> None:
        formats = values.get("formats", ())
        if is_promise(values.get("interpreter", "")) and CompressionFormat.ZIP in formats:
            self.problems.append(
                f"{self.where}.format cannot be 'zip' where the interpreter is"
                f" {values['interpreter']!r}: a zip file holds no link to it; use a tar format or"
                " interpreter = 'target'"
            )

    def _check_level(self, values: Mapping[str, Any]) -> None:
        level = values.get("compression_level")
        if level is None:
            return
        # Of the environments' own formats, xz and zip, both have the same levels.
        for format in values.get("formats", (CompressionFormat.XZ,)):
            name, levels = format.suffix.removeprefix("."), format.levels
            if levels is None:
                self.problems.append(
                    f"{self.where}.compression-level cannot be used with {name!r}, which does not"
                    " compress: remove it"
                )
            elif not levels.fastest <= level <= levels.smallest:
                self.problems.append(
                    f"{self.where}.compression-level must be from {levels.fastest} to"
                    f" {levels.smallest} for {name!r}, not {level!r}"
                )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        message = "a string that is not empty"
        raise WrongValueError(message)
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        message = "a path"
        raise WrongValueError(message)
    return Path(value)


def _interpreter(value: Any) -> str:
    if value in ("bundled", "target"):
        return str(value)
    if not isinstance(value, str) or not is_promise(value):
        message = "'bundled', 'target' or the absolute path of an interpreter on the target"
        raise WrongValueError(message)
    return value


def _choice(*choices: str) -> Callable[[Any], str]:
    expected = " or ".join(repr(choice) for choice in choices)

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise WrongValueError(expected)
        return value

    return parse


def _level(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        message = "an integer of the format's own scale"
        raise WrongValueError(message)
    return value


def _threads(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = "a whole number of threads, 1 or more"
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
    text = _text(value)
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


def _wheels(value: Any) -> tuple[Path, ...]:
    return tuple(Path(item) for item in list_of(value, "paths of wheel files"))


def _trim(value: Any) -> Trim:
    return Trim(_choice(*(trim.value for trim in Trim))(value))


def _vendoring(value: Any) -> Vendoring:
    if isinstance(value, bool):
        return Vendoring(wanted=value)
    names = " and ".join(repr(name) for name in COPYLEFT)
    what = f"true, false, or a list of libraries that come along besides: {names}"
    if not isinstance(value, list) or not value or not set(map(str, value)) <= COPYLEFT.keys():
        raise WrongValueError(what)
    return Vendoring(copyleft=tuple(value))


_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "source": ("source", _path),
    "hatch-env": ("hatch_env", _text),
    "interpreter": ("interpreter", _interpreter),
    "project": ("project", _choice("wheel", "installed", "exclude")),
    "editables": ("editables", _choice("error", "copy", "exclude")),
    "format": ("formats", _formats),
    "compression-level": ("compression_level", _level),
    "threads": ("threads", _threads),
    "output-directory": ("output_directory", _path),
    "archive-name": ("archive_name", _archive_name),
    "install-target": ("install_target", _template),
    "exclude-files": ("exclude_files", patterns_or_presets),
    "include-files": ("include_files", patterns),
    "record-files": ("record_files", _choice("update", "exclude")),
    "wheels": ("wheels", _wheels),
    "distributions": ("distributions", _choice("all", "required")),
    "extras": ("extras", names("names of extras")),
    "keep": ("keep", kept),
    "check": ("check", _choice("error", "warn", "off")),
    "lock": ("lock", _path),
    "max-size": ("max_size", size_limit),
    "bytecode": ("bytecode", _choice("none", "checked-hash", "unchecked-hash")),
    "interpreter-trim": ("interpreter_trim", _trim),
    "vendor-libraries": ("vendor_libraries", _vendoring),
}
