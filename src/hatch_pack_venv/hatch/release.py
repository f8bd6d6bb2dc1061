"""What the hook and the target will pack, determined before the wheel is built."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from packaging.utils import canonicalize_name

from ..api.pack import pack_project
from ..api.planning import Source
from ..api.progress import terminal_progress
from ..metadata.files import IGNORE_ALL, proven_archive
from ..model.errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..config.options import PackOptions
    from ..model.environment import Project
    from ..model.results import PackResult


_SECONDS: Final = 120

# Set by an enclosing `hatch build` for itself; these would change or decorate the answer.
_NOT_PASSED_ON: Final = ("HATCH_ENV", "HATCH_ENV_ACTIVE", "HATCH_QUIET", "HATCH_VERBOSE")


def find_hatch_environment(root: Path, name: str, environ: Mapping[str, str]) -> Path:
    """Return the folder of a project's Hatch environment.

    Parameters:
        root: the project's folder.
        environ: the process's environment variables.

    Raises:
        EnvironmentProblem: if Hatch is missing or does not know the environment, or if it has not
            been created yet; the message says which command to run.
    """
    lines = _ask(root, name, environ)
    if len(lines) > 1:
        raise EnvironmentProblem(
            f"the Hatch environment {name!r} is a matrix of {len(lines)}: set `hatch-env` to the"
            " name of one of them, as `hatch env show` lists them"
        )
    path = Path(lines[0])
    if not path.is_dir():
        raise EnvironmentProblem(
            f"the Hatch environment {name!r} does not exist yet ({path}): create it with"
            f" `hatch env create {name}`"
        )
    return path


def _ask(root: Path, name: str, environ: Mapping[str, str]) -> list[str]:
    command = [*_hatch(name, environ), "env", "find", name]
    variables = {key: value for key, value in environ.items() if key not in _NOT_PASSED_ON}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env={**variables, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentProblem(f"`hatch env find {name}` does not run: {error}") from error
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise EnvironmentProblem(f"`hatch env find {name}` failed: {said}")
    return lines


def _hatch(name: str, environ: Mapping[str, str]) -> list[str]:
    found = shutil.which("hatch", path=environ.get("PATH"))
    if found is not None:
        return [found]
    if importlib.util.find_spec("hatch") is not None:
        return [sys.executable, "-m", "hatch"]
    raise EnvironmentProblem(
        f"`hatch-env` needs the command `hatch`, which is not on PATH: put it there, or set"
        f' HATCH_PACK_VENV_SOURCE="$(hatch env find {name})"'
    )


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
    def of(cls, base: Path, options: PackOptions) -> Self:
        """Find the environment and read it, so that problems with it are reported early.

        Parameters:
            base: the folder that the options' paths are relative to.

        Raises:
            EnvironmentProblem: if there is no usable environment.
            InterpreterProblem: if the options request something impossible for its system.
            PlanError: if its layers are wrong.
        """
        prefix = source_folder(base, options)
        options = replace(
            options,
            wheels=tuple(base / wheel for wheel in options.wheels),
            lock=_below(base, options.lock),
            containing_dir=_below(base, options.containing_dir),
            base_runtime=_below(base, options.base_runtime),
            layers=tuple(base / layer for layer in options.layers),
            dynlib_dirs=tuple(base / folder for folder in options.dynlib_dirs),
        )
        return cls(
            prefix=prefix,
            source=Source.read(prefix, options),
            output=base / options.output_directory,
        )

    def likely_names(self, name: str, version: str) -> list[str]:
        """Return its archives' probable names, as far as they are known before planning.

        Tags are placeholders: they depend on the packed files.
        """
        fields = {"name": canonicalize_name(name), "version": version}
        tags = {"python_tag": "cp311", "platform_tag": "linux_x86_64"}
        base = self.source.options.archive_name.format(**fields, **tags)
        names = [base + format.suffix for format in self.source.options.formats]
        return [*names, *(f"{each}.json" for each in names)]

    def pack(self, project: Project) -> list[PackResult]:
        """Write the archives."""
        return pack_project(self.source, self.output, project, report=terminal_progress)


def _below(base: Path, path: Path | None) -> Path | None:
    return None if path is None else base / path


def source_folder(base: Path, options: PackOptions) -> Path:
    """Return the environment's folder; an active environment is ignored.

    Raises:
        EnvironmentProblem: if Hatch does not report where its environment is.
    """
    given = os.environ.get("HATCH_PACK_VENV_SOURCE")
    if given:
        return base / given
    if options.hatch_env is not None:
        return find_hatch_environment(base, options.hatch_env, os.environ)
    return base / options.source


def upload_warnings(results: Iterable[PackResult], packages: Path) -> list[str]:
    """Return the exact failures caused by archives inside the packages' folder.

    Measured with twine 7 and hatch 1.18: twine rejects every file and folder that it does not know;
    `hatch publish` reads only `*.whl` and `*.tar.gz` directly in the folder.

    Parameters:
        packages: the folder that receives wheel and sdist.
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
            "`hatch publish` will take the archive for an sdist and stop with"
            ' "ArtifactMetadataError: Could not find file: …/PKG-INFO"'
        )
    advice = f"set `output-directory` to a folder outside of {name}, such as the default dist-venv"
    return [f"the archives lie inside {name}: {'; '.join(warnings)}: {advice}"]


def remove_archives(folder: Path, name: str) -> list[Path]:
    """Remove a project's archives and the facts next to them; return what was removed.

    A file is one of our archives if the `.json` next to it says so, with matching size and SHA-256.

    Parameters:
        name: of the project; other projects' archives in the same folder are kept.
    """
    removed: list[Path] = []
    for facts in sorted(folder.glob("*.json")):
        archive = proven_archive(facts, name)
        if archive is not None:
            for path in (archive, facts):
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
    """Keep archives out of a project's Git repository, as uv keeps what it builds.

    A folder inside the project that holds nothing else gets a `.gitignore` of its own.
    """
    paths = [result.path for result in results]
    names = {name for path in paths for name in (path.name, f"{path.name}.json")}
    folder = paths[0].parent
    inside = folder.is_relative_to(root) and any(
        (each / ".git").exists() for each in (root, *root.parents)
    )
    with suppress(OSError):  # a convenience: the archives are there
        if inside and names >= {*os.listdir(folder)}:
            (folder / ".gitignore").write_text(IGNORE_ALL)
