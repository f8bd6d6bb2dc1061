"""The neighbours of an environment: what lies beside it on the target and is not packed with it.

A neighbour is read like an environment, from its files; nothing of it is run but the base runtime's
interpreter, which is asked for its facts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..distributions import installed_distributions
from ..errors import EnvironmentProblem, PlanError
from ..interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from ..distributions import InstalledDistribution
    from ..environment import Environment
    from ..options import PackOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One environment beside the one that is packed.

    Parameters:
        path: its real path on this machine.
        relative: its path from the packed environment's folder, `../framework`.
        python_version: of its interpreter, the whole one where it brings one.
        site_packages: arcnames of its site-packages folders, below itself.
        distributions: what is installed in it.
        content_digest: of its archive, if that is known.
    """

    path: Path
    relative: str
    python_version: str
    site_packages: tuple[str, ...] = ()
    distributions: tuple[InstalledDistribution, ...] = ()
    content_digest: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder, which is the top folder of its archive."""
        return self.path.name

    def facts(self, relied_on: Collection[str]) -> dict[str, Any]:
        """Return what a manifest records of it.

        Parameters:
            relied_on: normalised names of distributions that what is packed needs.
        """
        needed = sorted((d for d in self.distributions if d.key in relied_on), key=_key)
        facts: dict[str, Any] = {
            "path": self.relative,
            "python_version": self.python_version,
            "site_packages": list(self.site_packages),
            "distributions": [{"name": each.name, "version": each.version} for each in needed],
        }
        if self.content_digest is not None:
            facts["content_digest"] = self.content_digest
        return facts


def _key(distribution: InstalledDistribution) -> str:
    return distribution.key


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFolder:
    """A neighbour's folder of shared libraries.

    Parameters:
        owner: the neighbour it lies in.
        inside: its path below that neighbour.
    """

    owner: Neighbour
    inside: str

    @property
    def relative(self) -> str:
        """Its path from the packed environment's folder."""
        return f"{self.owner.relative}/{self.inside}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """All neighbours of an environment.

    Parameters:
        containing: the folder that holds them all.
        runtime: the one that brings the interpreter.
        layers: those whose packages come after the environment's own, in this order.
        dynlib: folders that the environment's modules find libraries in.
    """

    containing: Path
    runtime: Neighbour | None = None
    layers: tuple[Neighbour, ...] = ()
    dynlib: tuple[LibraryFolder, ...] = ()

    @property
    def below(self) -> tuple[Neighbour, ...]:
        """Those whose packages the environment sees, in the order of `sys.path`."""
        return self.layers if self.runtime is None else (*self.layers, self.runtime)

    @property
    def distributions(self) -> tuple[InstalledDistribution, ...]:
        """What they hold, in the order of `sys.path`."""
        return tuple(each for neighbour in self.below for each in neighbour.distributions)

    def owner_of(self, key: str) -> Neighbour | None:
        """Return the neighbour that a distribution is imported from."""
        return next((n for n in self.below if any(d.key == key for d in n.distributions)), None)

    def changed(self, change: Callable[[Neighbour], Neighbour]) -> Neighbours:
        """Return them with each replaced by what a function makes of it."""
        return replace(
            self,
            runtime=None if self.runtime is None else change(self.runtime),
            layers=tuple(map(change, self.layers)),
        )

    def facts(
        self, environment: Environment, relied_on: Collection[str], linked: Iterable[Path]
    ) -> dict[str, Any]:
        """Return what a manifest records of them, paths relative to the install target.

        Parameters:
            relied_on: normalised names of distributions that what is packed needs.
            linked: the real paths that packed links lead to, in any neighbour.
        """
        facts: dict[str, Any] = {
            "layers": [layer.facts(self._imported_from(layer, relied_on)) for layer in self.layers],
            "dynlib_dirs": [folder.relative for folder in self.dynlib],
            "linked": self._linked(environment, linked),
        }
        if self.runtime is not None:
            name = environment.interpreter.executable_name
            facts["base_runtime"] = {
                **self.runtime.facts(self._imported_from(self.runtime, relied_on)),
                "python": f"{environment.scripts}/{name}",
            }
        return facts

    def _imported_from(self, neighbour: Neighbour, keys: Collection[str]) -> set[str]:
        """Return those of some distributions that no neighbour before this one holds."""
        return {key for key in keys if self.owner_of(key) is neighbour}

    def _linked(self, environment: Environment, linked: Iterable[Path]) -> list[str]:
        """Return the neighbours that links lead into."""
        known = {neighbour.path for neighbour in self.below}
        found = set()
        for path in linked:
            own = next((each for each in known if path.is_relative_to(each)), None)
            folder = own or self.containing / path.relative_to(self.containing).parts[0]
            found.add(os.path.relpath(folder, environment.prefix))
        return sorted(found)


def find_neighbours(environment: Environment, options: PackOptions) -> Neighbours | None:
    """Read the neighbours that the options name; `None` if they name no containing folder.

    Raises:
        PlanError: lists every neighbour that is missing, lies elsewhere or does not fit.
    """
    if options.containing_dir is None:
        return None
    reader = _Reader(environment, options.containing_dir)
    neighbours = reader.read(options)
    if reader.problems:
        raise PlanError(f"the neighbours of {environment.given} are not right", reader.problems)
    return neighbours


class _Reader:
    def __init__(self, environment: Environment, containing: Path) -> None:
        self.environment = environment
        self.containing = containing.resolve()
        self.problems: list[str] = []

    def read(self, options: PackOptions) -> Neighbours:
        prefix, given = self.environment.prefix, options.containing_dir
        if not prefix.is_relative_to(self.containing) or prefix == self.containing:
            self.problems.append(
                f"containing-dir ({given}) does not hold the environment: name the folder that"
                " holds it and its neighbours"
            )
            return Neighbours(containing=self.containing)
        runtime = None
        if options.base_runtime is not None:
            runtime = self._neighbour("base-runtime", options.base_runtime)
            runtime = None if runtime is None else self._with_interpreter(runtime)
        read = [self._neighbour("layers", layer) for layer in options.layers]
        layers = tuple(layer for layer in read if layer is not None)
        for layer in layers:
            if not layer.site_packages:
                name = self.environment.interpreter.executable_name
                self.problems.append(
                    f"layers names {layer.path}, which holds no packages of {name} as the"
                    " environment does: make it with the same Python"
                )
        neighbours = Neighbours(containing=self.containing, runtime=runtime, layers=layers)
        found = [self._library_folder(folder, neighbours) for folder in options.dynlib_dirs]
        return replace(neighbours, dynlib=tuple(each for each in found if each is not None))

    def _neighbour(self, key: str, given: Path) -> Neighbour | None:
        path = given.resolve()
        if not path.is_dir():
            self.problems.append(f"{key} names {given}, where no folder is: make it first")
        elif not path.is_relative_to(self.containing) or path == self.containing:
            self.problems.append(
                f"{key} names {given}, which does not lie in containing-dir ({self.containing})"
            )
        elif path.is_relative_to(self.environment.prefix) or self.environment.prefix.is_relative_to(
            path
        ):
            self.problems.append(
                f"{key} names {given}, which is no neighbour of the environment: one holds the"
                " other"
            )
        else:
            return self._read(path)
        return None

    def _read(self, path: Path) -> Neighbour | None:
        relative = os.path.relpath(path, self.environment.prefix)
        name = self.environment.interpreter.executable_name
        sites = tuple(
            f"{lib}/{name}/site-packages"
            for lib in ("lib", "lib64")
            if not (path / lib).is_symlink() and (path / lib / name / "site-packages").is_dir()
        )
        try:
            distributions = tuple(installed_distributions(path, sites))
        except EnvironmentProblem as error:
            self.problems.append(str(error))
            return None
        return Neighbour(
            path=path,
            relative=relative,
            python_version=self.environment.interpreter.minor,
            site_packages=sites,
            distributions=distributions,
        )

    def _with_interpreter(self, runtime: Neighbour) -> Neighbour:
        """Ask the base runtime's interpreter for its facts, and return it with its version."""
        wanted = self.environment.interpreter
        python = runtime.path / self.environment.scripts / wanted.executable_name
        if not python.is_file():
            self.problems.append(
                f"base-runtime names {runtime.path}, which has no"
                f" {self.environment.scripts}/{wanted.executable_name}: the environment is of"
                f" CPython {wanted.minor}, and so must its base runtime be"
            )
            return runtime
        try:
            found = Interpreter.from_executable(python)
        except EnvironmentProblem as error:
            self.problems.append(f"base-runtime: {error}")
            return runtime
        for what, has, wants in (
            ("the ABI", found.abi, wanted.abi),
            ("the platform", found.platform, wanted.platform),
        ):
            if has != wants:
                self.problems.append(
                    f"base-runtime names {runtime.path}, which is of {what} {has}; the environment"
                    f" is of {wants}"
                )
        return replace(runtime, python_version=found.version)

    def _library_folder(self, given: Path, neighbours: Neighbours) -> LibraryFolder | None:
        path = given.resolve()
        for neighbour in neighbours.below:
            if path.is_relative_to(neighbour.path) and path != neighbour.path:
                inside = path.relative_to(neighbour.path).as_posix()
                return LibraryFolder(owner=neighbour, inside=inside)
        self.problems.append(
            f"dynlib-dirs names {given}, which lies in none of the layers nor in the base runtime:"
            " name its layer in layers"
        )
        return None
