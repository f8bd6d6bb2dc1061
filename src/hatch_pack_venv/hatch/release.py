"""What the hook and the target will pack, determined before the wheel is built."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..api.early import refuse_early
from ..api.pack import pack_project
from ..api.progress import TERMINAL_PROOF, from_the_start, terminal_progress
from ..api.project import located
from ..api.source import Source
from ..metadata.files import IGNORE_ALL, proven_archive
from ..model.components import BESIDE
from ..model.distribution import InstalledDistribution
from ..model.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hatchling.metadata.core import ProjectMetadata

    from ..config.options import PackOptions
    from ..model.environment import Project
    from ..model.results import PackResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A prepared environment that has been read, and the destination of its archives.

    Parameters:
        prefix: the environment's folder.
        source: the environment.
        output: the folder for the archives.
    """

    prefix: Path
    source: Source
    output: Path

    @classmethod
    def of(cls, base: Path, options: PackOptions, metadata: ProjectMetadata[Any]) -> Self:
        """Find the environment and read it, so that problems with it are reported early.

        Parameters:
            base: the folder that the options' paths are relative to.

        Raises:
            EnvironmentProblem: if there is no usable environment.
            InterpreterProblem: if the options request something impossible for its system.
            PlanError: if its layers are wrong, or it could not be packed with any wheel.
        """
        prefix, options = located(base, options)
        source = Source.read(prefix, options)
        refuse_early(source, described_by(metadata))
        return cls(prefix=prefix, source=source, output=options.output_directory)

    def providing(self, interpreter: str | None) -> Release:
        """Return the release with an interpreter other than the configured one.

        Its archives have the interpreter in their names, so that both can be in one folder.

        Parameters:
            interpreter: `bundled` or `target`; `None` for the configured one.

        Raises:
            OptionsError: if a layer provides the interpreter, or a format needs it bundled.
        """
        options = self.source.options
        if interpreter is None:
            return self
        if options.base_runtime is not None:
            problem = f"one by version {interpreter!r} of the target, one by base-runtime"
            raise OptionsError("two interpreters are named", [f"{problem}; build `standard`"])
        starting = [each.value for each in options.formats if each.runs_where_it_is]
        if starting and interpreter == "target":
            problem = (
                f"version 'target' of the target needs postinstall.py, but format {starting[0]!r}"
                " runs without it: build `bundled`, or choose another format"
            )
            raise OptionsError("the format needs its interpreter", [problem])
        name = f"{options.archive_name}-{interpreter}"
        options = replace(options, interpreter=interpreter, archive_name=name)
        return replace(self, source=Source.of(self.source.environment, options))

    def likely_names(self, name: str, version: str) -> list[str]:
        """Return the probable names of its archives and of the files next to them, before planning.

        Tags are placeholders: they depend on the packed files.
        """
        fields = {"name": canonicalize_name(name), "version": version}
        tags = {"python_tag": "cp311", "platform_tag": "linux_x86_64"}
        base = self.source.options.archive_name.format(**fields, **tags)
        names = [base + format.suffix for format in self.source.options.formats]
        return [f"{name}{suffix}" for name in names for suffix in ("", *BESIDE)]

    def pack(self, project: Project) -> list[PackResult]:
        """Write the archives."""
        with from_the_start(terminal_progress) as report:
            return pack_project(
                self.source,
                self.output,
                project,
                report=report,
                proof_reports=TERMINAL_PROOF,
            )


def described_by(metadata: ProjectMetadata[Any]) -> InstalledDistribution:
    """Return a project as its wheel's metadata will describe it; build hooks may add to that."""
    core = metadata.core
    requires = list(core.dependencies)
    for extra, optional in core.optional_dependencies.items():
        for requirement in map(Requirement, optional):
            own = f"({requirement.marker}) and " if requirement.marker else ""
            requirement.marker = Marker(f'{own}extra == "{extra}"')
            requires.append(str(requirement))
    return InstalledDistribution(
        name=core.name,
        version=metadata.version,
        metadata_dir="",
        requires=tuple(requires),
        requires_python=core.requires_python or None,
        extras=tuple(core.optional_dependencies),
    )


def upload_warnings(results: Iterable[PackResult], packages: Path) -> list[str]:
    """Return the exact failures that archives inside the packages' folder will cause.

    Measured with twine 7 and hatch 1.18: twine rejects every file and folder that it does not know;
    `hatch publish` reads only `*.whl` and `*.tar.gz` directly in the folder.

    Parameters:
        packages: the folder that receives the wheel and the sdist.
    """
    paths = [result.path for result in results]
    within = [path.relative_to(packages) for path in paths if path.is_relative_to(packages)]
    if not within:
        return []
    first = min(within)
    reason = f"Unknown distribution format: '{first.parts[0]}'"
    if len(first.parts) == 1 and first.name.endswith((".tar.gz", ".zip")):
        reason = "No PKG-INFO in archive or PKG-INFO missing 'Metadata-Version'"
    name = packages.name
    warnings = [f'`twine upload {name}/*` will stop with "InvalidDistribution: {reason}"']
    if any(len(path.parts) == 1 and path.name.endswith(".tar.gz") for path in within):
        warnings.append(
            "`hatch publish` will mistake the archive for an sdist and stop with"
            ' "ArtifactMetadataError: Could not find file: …/PKG-INFO"'
        )
    advice = f"set `output-directory` to a folder outside {name}, such as the default dist-venv"
    return [f"the archives are in {name}: {'; '.join(warnings)}: {advice}"]


def remove_archives(folder: Path, name: str) -> list[Path]:
    """Remove a project's archives and the files next to them; return what was removed.

    A file is one of our archives if the `.json` next to it says so, with matching size and SHA-256.

    Parameters:
        name: the project's name; other projects' archives in the same folder are kept.
    """
    removed: list[Path] = []
    for facts in sorted(folder.glob("*.json")):
        archive = proven_archive(facts, name)
        if archive is not None:
            beside = [archive.with_name(f"{archive.name}{suffix}") for suffix in BESIDE]
            for path in (archive, *(each for each in beside if each == facts or each.exists())):
                path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if it is empty or holds only our `.gitignore`."""
    ignore = folder / ".gitignore"
    with suppress(OSError):
        if os.listdir(folder) == [ignore.name] and ignore.read_text() == IGNORE_ALL:
            ignore.unlink()
        folder.rmdir()


def ignore_archives(results: Iterable[PackResult], root: Path) -> None:
    """Keep archives out of a project's Git repository, as uv does with what it builds.

    A folder inside the project that holds nothing else gets its own `.gitignore`.
    """
    paths = [result.path for result in results]
    names = {f"{path.name}{suffix}" for path in paths for suffix in ("", *BESIDE)}
    folder = paths[0].parent
    inside = folder.is_relative_to(root) and any(
        (each / ".git").exists() for each in (root, *root.parents)
    )
    with suppress(OSError):  # only a convenience: the archives are written
        if inside and names >= {*os.listdir(folder)}:
            (folder / ".gitignore").write_text(IGNORE_ALL)
