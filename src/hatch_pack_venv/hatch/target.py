"""The build target: `hatch build -t pack-venv` builds the wheel separately and packs with it."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.plugin.interface import BuilderInterface
from hatchling.plugin.manager import PluginManager

from ..config.project_table import HOOK_TABLE, PLUGIN_NAME, TARGET_TABLE, build_table
from .shared import (
    BUILD_DATA_KEY,
    aborting,
    check_output,
    display_results,
    project_of,
    refuse_taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.options import PackOptions
    from ..model.results import PackResult


class PackVenvBuilderConfig(BuilderConfig):
    """The target's configuration; it builds into `output-directory`."""

    @property
    def directory(self) -> str:
        """The folder that receives the archives."""
        from ..config.options import PackOptions

        configured = self.target_config.get("directory") or self.target_config.get(
            "output-directory", str(PackOptions().output_directory)
        )
        return self.normalize_build_directory(str(configured))


class PackVenvBuilder(BuilderInterface[PackVenvBuilderConfig, PluginManager]):
    """`hatch build -t pack-venv`: builds the wheel separately and packs the environment with it."""

    PLUGIN_NAME = PLUGIN_NAME

    @classmethod
    def get_config_class(cls) -> type[PackVenvBuilderConfig]:
        """Return the class of the target's configuration."""
        return PackVenvBuilderConfig

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """Return the only kind of archive."""
        return {"standard": self.build_standard}

    def get_default_versions(self) -> list[str]:
        """Return the versions built by default."""
        return ["standard"]

    def get_default_build_data(self) -> dict[str, Any]:
        """Return the initial `build_data` for hooks: the archives' paths, once there are any."""
        return {BUILD_DATA_KEY: []}

    def clean(self, directory: str, versions: list[str]) -> None:  # noqa: ARG002
        """Remove this project's archives from a folder."""
        from .release import remove_archives, remove_if_empty

        remove_archives(Path(directory), self.metadata.core.name)
        remove_if_empty(Path(directory))

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Write the archives into a folder and return the first one's path."""
        from .release import remove_if_empty

        with aborting(self.app):
            try:
                results = self._pack(Path(directory))
            except BaseException:
                remove_if_empty(Path(directory))  # created by hatchling
                raise
        build_data[BUILD_DATA_KEY] += [str(result.path) for result in results]
        packages = self.config.normalize_build_directory(self.build_config.get("directory", "dist"))
        display_results(self.app, results, (Path(self.root), Path(packages)), named=False)
        return str(results[0].path)

    def _pack(self, directory: Path) -> list[PackResult]:
        from .release import Release

        options = self._options()
        release = replace(Release.of(Path(self.root), options), output=directory)
        project = project_of(self.metadata, self.config)
        # If the project is left out, its wheel still states its requirements.
        needs_wheel = options.project != "installed"
        targets = ("sdist", "wheel") if needs_wheel else ("sdist",)
        refuse_taken(self.metadata, self, release, targets)
        with tempfile.TemporaryDirectory(prefix="pack-venv-") as work:
            if needs_wheel:
                project = replace(project, wheel=self._build_wheel(work))
            return release.pack(project)

    def _options(self) -> PackOptions:
        """Read the target's own table, or the hook's if there is none."""
        from ..config.options import HATCHLING_HOOK_KEYS, HATCHLING_TARGET_KEYS, PackOptions

        table, where, allowed = self.target_config, TARGET_TABLE, HATCHLING_TARGET_KEYS
        hook = self.build_config.get("hooks", {}).get(PLUGIN_NAME)
        if not table and hook:
            table, where, allowed = hook, HOOK_TABLE, HATCHLING_HOOK_KEYS
        where = f"{build_table(Path(self.root))[1]}.{where}"
        options = PackOptions.from_mapping(table, where, allowed)
        check_output(Path(self.root), options, where)
        return options

    def _build_wheel(self, directory: str) -> Path:
        """Build the project's wheel with its other hooks."""
        from hatchling.builders.wheel import WheelBuilder

        builder = WheelBuilder(
            self.root,
            plugin_manager=self.plugin_manager,
            config=copy.deepcopy(self.raw_config),
            app=self.app,
        )
        hatch = builder.metadata.hatch  # of pyproject.toml or hatch.toml
        for table in (hatch.build_config, hatch.build_targets.get("wheel", {})):
            table.get("hooks", {}).pop(PLUGIN_NAME, None)
        return Path(next(builder.build(directory=directory, versions=["standard"])))
