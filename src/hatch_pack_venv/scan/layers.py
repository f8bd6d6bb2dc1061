"""The layers below an environment.

A layer is read like an environment, from its files; nothing in it is run except the base runtime's
interpreter, which is asked for its facts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import canonicalize_name

from ..metadata.files import read_json
from ..metadata.installed import installed_distributions
from ..model import manifest
from ..model.errors import EnvironmentProblem, PlanError
from ..model.layers import Layer, Layers, LibraryFolder
from .probe import ask_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Set

    from ..config.options import PackOptions
    from ..model.environment import Environment
    from ..model.interpreter import Interpreter


def read_layers(
    environment: Environment,
    options: PackOptions,
    ask: Callable[[Path], Interpreter] = ask_interpreter,
) -> Layers | None:
    """Read the layers that the options name; `None` if they name no containing folder.

    Parameters:
        ask: how to get the facts about the base runtime's interpreter.

    Raises:
        PlanError: lists every layer that is missing, is somewhere else or does not fit.
    """
    if options.containing_dir is None:
        return None
    reader = _Reader(environment, options.containing_dir, ask)
    layers = reader.read(options)
    if reader.problems:
        raise PlanError(f"the layers of {environment.requested} cannot be used", reader.problems)
    return layers


class _Reader:
    def __init__(
        self, environment: Environment, containing: Path, ask: Callable[[Path], Interpreter]
    ) -> None:
        self.environment = environment
        self.ask = ask
        self.containing = _real(containing)
        self.problems: list[str] = []

    def read(self, options: PackOptions) -> Layers:
        prefix, given = self.environment.prefix, options.containing_dir
        if not prefix.is_relative_to(self.containing) or prefix == self.containing:
            self.problems.append(
                f"containing-dir ({given}) does not contain the environment: name the folder that"
                " contains it and its layers"
            )
            return Layers(containing=self.containing)
        runtime = None
        if options.base_runtime is not None:
            runtime = self._layer("base-runtime", options.base_runtime)
            runtime = None if runtime is None else self._with_interpreter(runtime)
        read = [self._layer("layers", layer) for layer in options.layers]
        layers = tuple(layer for layer in read if layer is not None)
        for layer in layers:
            if not layer.site_packages:
                name = self.environment.interpreter.executable_name
                self.problems.append(
                    f"layers names {layer.path}, which contains no packages for {name}, the"
                    " environment's Python: create it with the same Python"
                )
        found_layers = Layers(containing=self.containing, runtime=runtime, layers=layers)
        folders = [self._library_folder(folder, found_layers) for folder in options.dynlib_dirs]
        return replace(found_layers, dynlib=tuple(each for each in folders if each is not None))

    def _layer(self, key: str, given: Path) -> Layer | None:
        path = _real(given)
        if not path.is_dir():
            self.problems.append(
                f"{key} names {given}, which is not an existing folder: create it first"
            )
        elif not path.is_relative_to(self.containing) or path == self.containing:
            self.problems.append(
                f"{key} names {given}, which is not in containing-dir ({self.containing})"
            )
        elif path.is_relative_to(self.environment.prefix) or self.environment.prefix.is_relative_to(
            path
        ):
            self.problems.append(
                f"{key} names {given}, which cannot be one of its layers: one contains the other"
            )
        else:
            return self._read(path)
        return None

    def _read(self, path: Path) -> Layer | None:
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
        return Layer(
            path=path,
            relative=relative,
            python_version=self.environment.interpreter.minor,
            site_packages=sites,
            distributions=distributions,
        )

    def _with_interpreter(self, runtime: Layer) -> Layer:
        """Ask the base runtime's interpreter for its facts; return the runtime with its version."""
        wanted = self.environment.interpreter
        python = runtime.path / self.environment.scripts / wanted.executable_name
        if not python.is_file():
            self.problems.append(
                f"base-runtime names {runtime.path}, which has no"
                f" {self.environment.scripts}/{wanted.executable_name}: the base runtime"
                f" must have CPython {wanted.minor}, as the environment does"
            )
            return runtime
        try:
            found = self.ask(python)
        except EnvironmentProblem as error:
            self.problems.append(f"base-runtime: {error}")
            return runtime
        for what, has, wants in (
            ("the ABI", found.abi, wanted.abi),
            ("the platform", found.platform, wanted.platform),
        ):
            if has != wants:
                self.problems.append(
                    f"base-runtime names {runtime.path}, which has {what} {has}, but the"
                    f" environment has {wants}"
                )
        return replace(runtime, python_version=found.version)

    def _library_folder(self, given: Path, layers: Layers) -> LibraryFolder | None:
        path = _real(given)
        for layer in layers.below:
            if path.is_relative_to(layer.path) and path != layer.path:
                inside = path.relative_to(layer.path).as_posix()
                return LibraryFolder(owner=layer, inside=inside)
        self.problems.append(
            f"dynlib-dirs names {given}, which is neither in a layer nor in the base runtime:"
            " add its layer to layers"
        )
        return None


def _real(path: Path) -> Path:
    """Return a path without links; before 3.13, `Path.resolve` raises RuntimeError for a loop."""
    return Path(os.path.realpath(path))


def with_digests(
    layers: Layers | None, archives: Path | None, relied_on: Set[str]
) -> tuple[Layers | None, list[str]]:
    """Return layers with the content digests of their archives, and notes.

    Parameters:
        archives: where archives are written, with their `.json` files; `None` if there is none.
        relied_on: normalised names of the layers' distributions that packed ones depend on.
    """
    if layers is None:
        return None, []
    notes: list[str] = []
    finder = LayerArchives(folder=archives)

    def with_digest(layer: Layer) -> Layer:
        found, said = finder.of(layer, relied_on)
        notes.extend(said)
        return found

    return layers.changed(with_digest), notes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is recorded about one archive.

    Parameters:
        versions: the versions of the distributions in it, by normalised name.
    """

    digest: str
    versions: Mapping[str, str]

    @classmethod
    def from_head(cls, digest: Any, head: Any) -> Self | None:
        """Read a manifest's head; `None` if this is not one."""
        try:
            versions: dict[str, str] = {
                canonicalize_name(each["name"]): str(each["version"])
                for each in head["distributions"]
            }
        except (KeyError, TypeError):
            return None
        return cls(digest=digest, versions=versions) if isinstance(digest, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerArchives:
    """Finds the content digests of layers.

    Parameters:
        folder: where archives are written, with their `.json` files; `None` if there is none.
    """

    folder: Path | None

    def of(self, layer: Layer, relied_on: Set[str]) -> tuple[Layer, list[str]]:
        """Return a layer with its digest, and what a user may want to know.

        A folder that was unpacked or exported contains its own manifest. Otherwise, an archive
        counts whose top folder has the layer's name, if it contains everything that is relied on,
        and nothing in a version other than the layer's now.
        """
        own = _read_json(layer.path / manifest.ARCNAME)
        record = _Record.from_head(own.get("content_digest"), own)
        if record is not None:
            return replace(layer, content_digest=record.digest), []
        packed = [*self._packed(layer.name)]
        installed = {each.key: each.version for each in layer.distributions}
        fitting = {
            each.digest
            for each in packed
            if all(each.versions.get(key, version) == version for key, version in installed.items())
            and relied_on & installed.keys() <= each.versions.keys()
        }
        if len(fitting) == 1:
            return replace(layer, content_digest=fitting.pop()), []
        if not packed:
            return layer, []
        which = "several archives" if fitting else "an archive"
        why = "with different contents" if fitting else "that does not match its current contents"
        return layer, [
            f"{self.folder} contains {which} of the layer {layer.name} {why}, so no content digest"
            " was recorded: remove old archives, or pack the layer again first"
        ]

    def _packed(self, name: str) -> Iterator[_Record]:
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json")):
            facts = _read_json(path)
            if facts.get("install_target") == name:
                record = _Record.from_head(facts.get("content_digest"), facts.get("manifest"))
                if record is not None:
                    yield record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path, manifest.SIZE_LIMIT)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
