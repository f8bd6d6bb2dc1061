"""The configuration, parsed once; all problems are reported together."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from ..model.errors import OptionsError
from ..model.formats import CompressionFormat
from ..model.interpreter import Trim, Vendoring, is_fixed_path
from .rules import problems_between
from .table import KEYS
from .values import WrongValueError
from .wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..model.environment import Environment, Project
    from ..model.plan import InterpreterMode
    from ..model.proof import Asked
    from ..model.requirements import Version


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """How to pack; the fields correspond to the configuration's keys.

    Parameters:
        source: the environment, relative to the project root.
        hatch_env: name of a Hatch environment to pack instead.
        interpreter: `bundled`, `target`, or its absolute path on the target.
        project: `wheel`, `installed` or `exclude`.
        editables: `error`, `copy` or `exclude`: what to do with editable installs, except the
            project if `project` replaces it or leaves it out.
        formats: the key `format`; one archive is written for each; if empty, the environment's
            default format is used.
        compression_level: on the formats' own scale, or `None` for each format's default.
        entry_point: the script that a `run` file or an image starts, or `None` for the project's
            only console script.
        zip_links: whether zip files store links instead of copies of their targets.
        image_base: the OCI image that an image is built on, or `None` for files of this machine.
        image_name: template for an image's repository and tag.
        image_compression: the compression of an image's layers, gzip or zstd.
        threads: number of compression threads, or `None` for the number of CPUs available to this
            process.
        cache: whether compressed blocks are kept for the next build.
        output_directory: the folder for the archives, relative to the project root.
        archive_name, install_target: templates with the fields `{name}`, `{version}`,
            `{python_tag}` and `{platform_tag}`.
        exclude_files, include_files: gitignore-style patterns.
        record_files: `update` or `exclude`.
        wheels: wheels, each of which replaces the environment's files of the same distribution.
        wheels_newest: whether a pattern in `wheels` may match several files, of which the newest is
            used.
        distributions: `all`, or `required`: the project and its dependencies, by installed
            metadata.
        extras: the project's extras whose requirements count as needed.
        keep: further distributions to keep with `required`; `[extras]` are allowed.
        check: what to do about requirements that the environment does not meet: `error`, `warn` or
            `off`.
        lock: a lock file (PEP 751) that the installed versions must match.
        max_size: maximum unpacked size, in bytes; packing more is an error.
        sbom: whether a bill of materials is packed and also written next to the archive, or
            `beside` for only the latter.
        notices: whether a file with the licence notices of all components is packed.
        deny_licenses: patterns of SPDX identifiers; packing fails if a licence matches one.
        provenance: whether a provenance statement is written next to the archive.
        max_glibc, max_macos: the newest version that packed files may require.
        bytecode: `none`, `checked-hash` or `unchecked-hash`.
        interpreter_trim: how much of a bundled interpreter is left out.
        vendor_libraries: whether to vendor the system's shared libraries, and which of those under
            the GPL to include.
        containing_dir: the folder that holds the environment and its layers; links between them are
            kept, as relative links.
        base_runtime: the layer that provides the interpreter.
        layers: layers whose packages come after the environment's own, in this order.
        dynlib_dirs: folders of layers with shared libraries that this environment's modules need.
        prove: `none`, `start`, `all` or commands. If `None`, the hook, the target and the command
            prove a start, and the function `pack` runs nothing.
        prove_room: `hidden`, `bare` or `none`.
    """

    source: Path = Path(".venv")
    hatch_env: str | None = None
    interpreter: str = "bundled"
    project: str = "wheel"
    editables: str = "error"
    formats: tuple[CompressionFormat, ...] = ()
    compression_level: int | None = None
    zip_links: bool = False
    entry_point: str | None = None
    image_base: Path | None = None
    image_name: str = "{name}:{version}"
    image_compression: CompressionFormat = CompressionFormat.GZIP
    threads: int | None = None
    cache: bool = True
    output_directory: Path = Path("dist-venv")
    archive_name: str = "{name}-{version}-{python_tag}-{platform_tag}"
    install_target: str = "{name}-{version}"
    exclude_files: tuple[str, ...] = ()
    include_files: tuple[str, ...] = ()
    record_files: str = "update"
    wheels: tuple[Path, ...] = ()
    wheels_newest: bool = False
    sbom: bool | str = True
    notices: bool = True
    deny_licenses: tuple[str, ...] = ()
    provenance: bool = False
    max_glibc: Version | None = None
    max_macos: Version | None = None
    bytecode: str = "none"
    distributions: str = "all"
    extras: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    check: str = "error"
    lock: Path | None = None
    max_size: int | None = None
    interpreter_trim: Trim = Trim.DEFAULT
    vendor_libraries: Vendoring = field(default_factory=Vendoring)
    containing_dir: Path | None = None
    base_runtime: Path | None = None
    layers: tuple[Path, ...] = ()
    dynlib_dirs: tuple[Path, ...] = ()
    prove: Asked | None = None
    prove_room: str = "hidden"

    @classmethod
    def from_mapping(
        cls,
        table: Mapping[str, Any],
        where: str | Wording = "tool.hatch.build.hooks.pack-venv",
        allowed: Iterable[str] = HATCHLING_HOOK_KEYS,
    ) -> Self:
        """Read a configuration table without modifying it.

        Parameters:
            where: the table's TOML path, or how else messages name its keys.
            allowed: other keys that may appear in the table because other tools read them.

        Raises:
            OptionsError: if anything is wrong with the table; lists every problem.
        """
        names = Wording(where=where) if isinstance(where, str) else where
        reader = _Reader(table, names, frozenset(allowed))
        values = reader.read()
        if reader.problems:
            told = all(each.startswith("-") for each in reader.problems)
            what = "the options are wrong" if told else "the configuration is wrong"
            raise OptionsError(what, reader.problems)
        if "containing_dir" in values:
            # Layers refer to the environment by its folder's name.
            values.setdefault("install_target", "{source}")
        return cls(**values)

    def for_release(self) -> PackOptions:
        """Return these options, which prove a start unless they say otherwise."""
        return replace(self, prove=self.prove or "start")

    def for_environment(self, environment: Environment) -> PackOptions:
        """Return these options with the environment's default format if none was requested."""
        own = CompressionFormat.ZIP if environment.is_windows else CompressionFormat.XZ
        return replace(self, formats=self.formats or (own,))

    @property
    def copies_links(self) -> bool:
        """Whether one of the formats holds copies instead of links."""
        return CompressionFormat.ZIP in self.formats and not self.zip_links

    def relative_to(self, base: Path) -> PackOptions:
        """Return these options with all paths except the environment's below a folder."""

        def below(path: Path | None) -> Path | None:
            return None if path is None else base / path

        return replace(
            self,
            output_directory=base / self.output_directory,
            wheels=tuple(base / wheel for wheel in self.wheels),
            lock=below(self.lock),
            image_base=below(self.image_base),
            containing_dir=below(self.containing_dir),
            base_runtime=below(self.base_runtime),
            layers=tuple(base / layer for layer in self.layers),
            dynlib_dirs=tuple(base / folder for folder in self.dynlib_dirs),
        )

    def expand(
        self, template: str, environment: Environment, project: Project, platform_tag: str
    ) -> str:
        """Fill in a template; without a version, `{version}` and the `-` before it are dropped.

        Parameters:
            platform_tag: what the packed files require, such as `manylinux_2_28_x86_64`.
        """
        if project.version is None:
            template = template.replace("-{version}", "").replace("{version}", "")
        return template.format(
            source=environment.requested.name,
            name=project.name,
            version=project.version,
            python_tag=environment.interpreter.abi,
            platform_tag=platform_tag,
        )


def provider_of(options: PackOptions) -> InterpreterMode:
    """Return what provides the interpreter."""
    if options.base_runtime is not None:
        return "neighbour"
    if is_fixed_path(options.interpreter):
        return "promised"
    return "bundled" if options.interpreter == "bundled" else "target"


class _Reader:
    """Reads one table and collects its problems."""

    def __init__(self, table: Mapping[str, Any], names: Wording, allowed: frozenset[str]) -> None:
        self.table = table
        self.names = names
        self.allowed = allowed
        self.problems: list[str] = []

    def read(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in self.table.items():
            if key in KEYS:
                try:
                    values[KEYS[key].field] = KEYS[key].parse(value)
                except WrongValueError as error:
                    wrong = value if error.value is None else error.value
                    self.problems.append(self.names.wrong(key, wrong, str(error), error.meant))
            elif key not in self.allowed:
                self.problems.append(f"{self.names.key(key)} is unknown{self._suggestion(key)}")
        self.problems += problems_between(values, self.table, self.names)
        return values

    def _suggestion(self, key: str) -> str:
        near = difflib.get_close_matches(key, [*KEYS, *sorted(self.allowed)], n=1)
        if near:
            return f"; did you mean {near[0]!r}?"
        return f"; the keys are {', '.join(KEYS)}"
