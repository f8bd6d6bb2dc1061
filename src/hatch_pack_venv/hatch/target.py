"""The build target: `hatch build -t pack-venv` builds the wheel separately and packs with it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.plugin.interface import BuilderInterface
from hatchling.plugin.manager import PluginManager

from ..config.project_table import PLUGIN_NAME, TARGET_TABLE, build_table, chosen
from .shared import (
    BUILD_DATA_KEY,
    aborting,
    check_output,
    display_results,
    project_of,
    refuse_taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..config.options import PackOptions
    from ..model.results import PackResult
    from .release import Release


def _configured(build: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], frozenset[str]]:
    """Return the name of the table that applies, the table, and hatchling's own keys in it."""
    return chosen(build) or (TARGET_TABLE, {}, frozenset())


class PackVenvBuilderConfig(BuilderConfig):
    """The target's configuration; it builds into `output-directory`."""

    @property
    def directory(self) -> str:
        """The folder that receives the archives."""
        from ..config.options import PackOptions

        _, table, _ = _configured(self.build_config)
        configured = self.target_config.get("directory") or table.get(
            "output-directory", str(PackOptions().output_directory)
        )
        return self.normalize_build_directory(str(configured))


class PackVenvBuilder(BuilderInterface[PackVenvBuilderConfig, PluginManager]):
    """`hatch build -t pack-venv`: builds the wheel separately and packs the environment with it."""

    PLUGIN_NAME = PLUGIN_NAME

    _release: Release

    @classmethod
    def get_config_class(cls) -> type[PackVenvBuilderConfig]:
        """Return the class of the target's configuration."""
        return PackVenvBuilderConfig

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """Return the kinds of archive: as configured, or with another interpreter."""
        return {
            "standard": self.build_standard,
            "bundled": partial(self._build, "bundled"),
            "target": partial(self._build, "target"),
        }

    def get_default_versions(self) -> list[str]:
        """Return the versions built by default."""
        return ["standard"]

    def get_default_build_data(self) -> dict[str, Any]:
        """Return the initial `build_data` for hooks: the archives' paths, once there are any.

        hatchling asks for it right before the hooks run: whatever can be refused is refused here,
        before one of them compiles.
        """
        from .release import Release

        with aborting(self.app), self._clearing(Path(self.config.directory)):
            self._release = Release.of(Path(self.root), self._options(), self.metadata)
        return {BUILD_DATA_KEY: []}

    def clean(self, directory: str, versions: list[str]) -> None:  # noqa: ARG002
        """Remove this project's archives from a folder."""
        from .release import remove_archives, remove_if_empty

        remove_archives(Path(directory), self.metadata.core.name)
        remove_if_empty(Path(directory))

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Write the archives into a folder and return the first one's path."""
        return self._build(None, directory, **build_data)

    def _build(self, interpreter: str | None, directory: str, **build_data: Any) -> str:
        with aborting(self.app), self._clearing(Path(directory)):
            release = self._release.providing(interpreter)
            results = self._pack(replace(release, output=Path(directory)))
        build_data[BUILD_DATA_KEY] += [str(result.path) for result in results]
        packages = self.config.normalize_build_directory(self.build_config.get("directory", "dist"))
        display_results(self.app, results, (Path(self.root), Path(packages)), named=False)
        return str(results[0].path)

    @contextmanager
    def _clearing(self, directory: Path) -> Iterator[None]:
        """Remove the folder that hatchling created if packing fails and the folder is empty."""
        try:
            yield
        except BaseException:
            from .release import remove_if_empty

            remove_if_empty(directory)
            raise

    def _pack(self, release: Release) -> list[PackResult]:
        project = project_of(self.metadata, self.config)
        # If the project is left out, its wheel still states its requirements.
        needs_wheel = release.source.options.project != "installed"
        targets = ("sdist", "wheel") if needs_wheel else ("sdist",)
        refuse_taken(self.metadata, self, release, targets)
        with tempfile.TemporaryDirectory(prefix="pack-venv-") as work:
            if needs_wheel:
                project = replace(project, wheel=self._build_wheel(work))
            return release.pack(project)

    def _options(self) -> PackOptions:
        """Read the target's own table, or the hook's if there is none."""
        from ..config.options import PackOptions

        name, table, allowed = _configured(self.build_config)
        where = f"{build_table(Path(self.root))[1]}.{name}"
        options = PackOptions.from_mapping(table, where, allowed)
        check_output(Path(self.root), options, where)
        return options

    def _build_wheel(self, directory: str) -> Path:
        """Build the project's wheel with its other hooks."""
        from hatchling.builders.wheel import WheelBuilder

        # The configuration is read anew: metadata hooks remove what they need from it
        # (hatch-fancy-pypi-readme) and would not find it a second time.
        builder = WheelBuilder(self.root, plugin_manager=self.plugin_manager, app=self.app)
        hatch = builder.metadata.hatch  # from pyproject.toml or hatch.toml
        for table in (hatch.build_config, hatch.build_targets.get("wheel", {})):
            table.get("hooks", {}).pop(PLUGIN_NAME, None)
        return Path(next(builder.build(directory=directory, versions=["standard"])))
