"""The layers of an environment: what is next to it on the target and not packed with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from .distribution import InstalledDistribution
    from .environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An environment next to the packed one.

    Parameters:
        path: its real path on this machine.
        relative: its path relative to the packed environment's folder, `../framework`.
        python_version: its interpreter's version; the full version if it ships an interpreter.
        site_packages: arcnames of its site-packages folders, relative to the layer.
        distributions: the distributions installed in it.
        content_digest: its archive's content digest, if known.
    """

    path: Path
    relative: str
    python_version: str
    site_packages: tuple[str, ...] = ()
    distributions: tuple[InstalledDistribution, ...] = ()
    content_digest: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder, which is the top-level folder of its archive."""
        return self.path.name

    def facts(self, relied_on: Collection[str]) -> dict[str, Any]:
        """Return what a manifest records about it.

        Parameters:
            relied_on: normalised names of the distributions that packed ones depend on.
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
    """A layer's folder of shared libraries.

    Parameters:
        owner: the layer it belongs to.
        inside: its path relative to that layer.
    """

    owner: Layer
    inside: str

    @property
    def relative(self) -> str:
        """Its path relative to the packed environment's folder."""
        return f"{self.owner.relative}/{self.inside}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """All layers of an environment.

    Parameters:
        containing: the folder that holds them all.
        runtime: the base runtime, which provides the interpreter.
        layers: the layers whose packages come after the environment's own, in this order.
        dynlib: folders in which the environment's modules find shared libraries.
    """

    containing: Path
    runtime: Layer | None = None
    layers: tuple[Layer, ...] = ()
    dynlib: tuple[LibraryFolder, ...] = ()

    @property
    def below(self) -> tuple[Layer, ...]:
        """The layers whose packages the environment sees, in the order of `sys.path`."""
        return self.layers if self.runtime is None else (*self.layers, self.runtime)

    @property
    def distributions(self) -> tuple[InstalledDistribution, ...]:
        """The distributions in the layers, in the order of `sys.path`."""
        return tuple(each for layer in self.below for each in layer.distributions)

    def owner_of(self, key: str) -> Layer | None:
        """Return the layer that a distribution is imported from, or `None`."""
        return next((n for n in self.below if any(d.key == key for d in n.distributions)), None)

    def changed(self, change: Callable[[Layer], Layer]) -> Layers:
        """Return a copy with every layer replaced by the result of a function."""
        return replace(
            self,
            runtime=None if self.runtime is None else change(self.runtime),
            layers=tuple(map(change, self.layers)),
        )

    def facts(
        self, environment: Environment, relied_on: Collection[str], linked: Iterable[Path]
    ) -> dict[str, Any]:
        """Return what a manifest records about them, with paths relative to the install target.

        Parameters:
            relied_on: normalised names of the distributions that packed ones depend on.
            linked: the real paths that packed links point to, in any layer.
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

    def _imported_from(self, layer: Layer, keys: Collection[str]) -> set[str]:
        """Return the keys that no layer before this one holds."""
        return {key for key in keys if self.owner_of(key) is layer}

    def _linked(self, environment: Environment, linked: Iterable[Path]) -> list[str]:
        """Return the layers that links point into."""
        known = {layer.path for layer in self.below}
        found = set()
        for path in linked:
            own = next((each for each in known if path.is_relative_to(each)), None)
            folder = own or self.containing / path.relative_to(self.containing).parts[0]
            found.add(os.path.relpath(folder, environment.prefix))
        return sorted(found)
