"""A project that configures its archives, and what it packs; used by the command and by builds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ..config.options import PackOptions
from ..config.project_table import PLUGIN_NAME, ProjectTable
from ..config.wording import Wording
from ..model.entries import Times
from ..model.environment import Project
from ..model.errors import WheelProblem
from ..scan.probe import environment_folder
from .hatch_environments import find_hatch_environment, lock_of_hatch
from .progress import logged_phase
from .source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def located(base: Path, options: PackOptions) -> tuple[Path, PackOptions]:
    """Return the environment's folder, and the options with all paths below `base`.

    An active environment is ignored. An environment that Hatch locks must match its lock file.

    Parameters:
        base: the folder that the options' paths are relative to.

    Raises:
        EnvironmentProblem: if Hatch does not report where its environment is, or if a file that
            should name the environment does not.
    """
    options = options.for_release().relative_to(base)
    given = os.environ.get("HATCH_PACK_VENV_SOURCE")
    if given:
        return environment_folder(base / given), options
    if options.hatch_env is None:
        return environment_folder(base / options.source), options
    folder = find_hatch_environment(base, options.hatch_env, os.environ)
    if options.lock is None:
        options = replace(options, lock=lock_of_hatch(base, options.hatch_env))
    return folder, options


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredProject:
    """A project as `hatch build` packs it, except that the command's options override its own.

    Parameters:
        prefix: the environment.
        options: the options; all paths in them are absolute.
    """

    table: ProjectTable
    prefix: Path
    options: PackOptions

    @classmethod
    def of(cls, table: ProjectTable, prefix: Path | None, given: Mapping[str, Any]) -> Self | None:
        """Return a project, or `None` if it does not configure archives of this environment.

        Parameters:
            prefix: the requested environment: the project's own, or another one in its folder; by
                default, the one that the project names.
            given: the command's options as a configuration table.

        Raises:
            OptionsError: if the table or the options are wrong.
            EnvironmentProblem: if the environment cannot be found.
        """
        root = table.root
        names = Wording(where=table.where, options=frozenset(given))
        options = PackOptions.from_mapping({**table.table, **given}, names, ()).for_release()
        if prefix is None:
            folder, options = located(root, options)
            return cls(table=table, prefix=folder, options=options)
        options = options.relative_to(root)
        own, asked = os.path.realpath(root / options.source), os.path.realpath(prefix)
        if asked != own and not Path(asked).is_relative_to(os.path.realpath(root)):
            return None
        return cls(table=table, prefix=prefix, options=options)

    @contextmanager
    def source(self) -> Iterator[tuple[Source, Project]]:
        """Yield the environment, and the project with its wheel, which is built if needed.

        Raises:
            WheelProblem: if the wheel cannot be built.
            PackVenvError: if the environment cannot be read.
        """
        with logged_phase("read the environment"):
            source = Source.read(self.prefix, self.options)
        table = self.table
        project = Project(
            name=canonicalize_name(table.name or table.root.name),
            root=table.root,
            times=(Times.reproducible if table.reproducible else Times.kept)(os.environ),
        )
        if source.options.project == "installed":
            installed = [e for e in source.environment.distributions if e.key == project.name]
            version = table.version or (installed[0].version if installed else None)
            yield source, replace(project, version=version)
            return
        given = [path for path in source.options.wheels if _name_of(path)[0] == project.name]
        if given:
            others = tuple(path for path in source.options.wheels if path not in given)
            source = replace(source, options=replace(source.options, wheels=others))
            yield source, _with_wheel(project, given[0])
            return
        with tempfile.TemporaryDirectory(prefix="pack-venv-") as work:
            with logged_phase("built the wheel"):
                wheel = build_wheel(table.root, Path(work))
            yield source, _with_wheel(project, wheel)


def _name_of(wheel: Path) -> tuple[str, str | None]:
    """Return the name and the version in a wheel's file name."""
    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename:
        return "", None
    return name, str(version)


def _with_wheel(project: Project, wheel: Path) -> Project:
    name, version = _name_of(wheel)
    return replace(project, name=name or project.name, version=version, wheel=wheel)


def build_wheel(root: Path, folder: Path) -> Path:
    """Build a project's wheel with hatchling, in a separate process.

    Raises:
        WheelProblem: if it cannot be built, for example because the project's other plugins are not
            installed.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "HATCH_PACK_VENV_SKIP": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    raise WheelProblem(
        f"the wheel of the project in {root} cannot be built by the Python that runs {PLUGIN_NAME}:"
        f" {said[-1] if said else f'exit status {done.returncode}'}; build it (hatch build -t"
        " wheel) and pass it with --wheel FILE"
    )
