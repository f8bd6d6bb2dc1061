"""The Hatch plugin: a build hook and a build target, thin callers of `pack`."""

from __future__ import annotations

import copy
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.plugin.interface import BuilderInterface
from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin import hookimpl
from hatchling.plugin.manager import PluginManager

from .environment import Environment
from .errors import PackVenvError
from .normalise import Times
from .occasions import reason_not_to_pack
from .options import HATCHLING_HOOK_KEYS, HATCHLING_TARGET_KEYS, PackOptions
from .packing import Project, pack_project
from .progress import terminal_progress
from .signals import terminable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatchling.bridge.app import Application
    from hatchling.metadata.core import ProjectMetadata

    from .archives import PackResult

PLUGIN_NAME: Final = "pack-venv"
_HOOK_TABLE: Final = f"tool.hatch.build.hooks.{PLUGIN_NAME}"
_WHEEL_HOOK_TABLE: Final = f"tool.hatch.build.targets.wheel.hooks.{PLUGIN_NAME}"
_TARGET_TABLE: Final = f"tool.hatch.build.targets.{PLUGIN_NAME}"


class PackVenvBuildHook(BuildHookInterface[BuilderConfig]):
    """Packs the prepared environment when a release's wheel has been built."""

    PLUGIN_NAME = PLUGIN_NAME

    _options: PackOptions | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Read the configuration and the environment before the target is built."""
        self._options = None
        root, directory = Path(self.root), Path(self.directory)
        with _aborting(self.app):
            options = PackOptions.from_mapping(self.config, self._table(), HATCHLING_HOOK_KEYS)
            self._reserve(_source(root, options), root / options.output_directory)
            if self.target_name != "wheel":
                return
            reason = reason_not_to_pack(root, directory, version, os.environ)
            if reason is not None:
                self.app.display_info(f"{PLUGIN_NAME}: nothing packed, {reason}")
                return
            Environment.from_prefix(_source(root, options))
        self._options = options

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Pack the environment with the wheel just built."""
        if self._options is None:
            return
        root = Path(self.root)
        with _aborting(self.app):
            project = replace(_project(self.metadata, self.build_config), wheel=Path(artifact_path))
            directory = root / self._options.output_directory
            results = _pack(root, self._options, project, directory)
            for result in results:
                self.app.display_info(_told(result, root))

    def _reserve(self, *paths: Path) -> None:
        """Keep paths below the project out of whatever is being built."""
        for path in paths:
            relative = os.path.relpath(path, self.root)
            if relative != os.curdir and not relative.startswith(os.pardir):
                self.build_config.build_reserved_paths.add(relative)

    def _table(self) -> str:
        targets = self.metadata.hatch.build_targets
        own = targets.get("wheel", {}).get("hooks", {})
        return _WHEEL_HOOK_TABLE if PLUGIN_NAME in own else _HOOK_TABLE


class PackVenvBuilderConfig(BuilderConfig):
    """The target's configuration; what it builds goes to `output-directory`."""

    @property
    def directory(self) -> str:
        """The folder that takes the archives."""
        configured = self.target_config.get("directory") or self.target_config.get(
            "output-directory", str(PackOptions().output_directory)
        )
        return self.normalize_build_directory(str(configured))


class PackVenvBuilder(BuilderInterface[PackVenvBuilderConfig, PluginManager]):
    """`hatch build -t pack-venv`: builds the wheel aside and packs the environment with it."""

    PLUGIN_NAME = PLUGIN_NAME

    @classmethod
    def get_config_class(cls) -> type[PackVenvBuilderConfig]:
        """Return the class of the target's configuration."""
        return PackVenvBuilderConfig

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """Return the one kind of archive."""
        return {"standard": self.build_standard}

    def get_default_versions(self) -> list[str]:
        """Return the versions that are built when none is asked for."""
        return ["standard"]

    def build_standard(self, directory: str, **_build_data: Any) -> str:
        """Write the archives into a folder and return the first one's path."""
        root = Path(self.root)
        with _aborting(self.app):
            options = PackOptions.from_mapping(
                self.target_config, _TARGET_TABLE, HATCHLING_TARGET_KEYS
            )
            project = _project(self.metadata, self.config)
            Environment.from_prefix(_source(root, options))
            with tempfile.TemporaryDirectory(prefix="pack-venv-") as work:
                if options.project == "wheel":
                    project = replace(project, wheel=self._build_wheel(work))
                results = _pack(root, options, project, Path(directory))
        for result in results[1:]:
            self.app.display_info(_told(result, root))
        return str(results[0].path)

    def _build_wheel(self, directory: str) -> Path:
        """Build the project's wheel with its other hooks."""
        config = copy.deepcopy(self.raw_config)
        build = config.get("tool", {}).get("hatch", {}).get("build", {})
        for table in (build, build.get("targets", {}).get("wheel", {})):
            table.get("hooks", {}).pop(PLUGIN_NAME, None)
        builder = WheelBuilder(
            self.root, plugin_manager=self.plugin_manager, config=config, app=self.app
        )
        return Path(next(builder.build(directory=directory, versions=["standard"])))


@contextmanager
def _aborting(app: Application) -> Iterator[None]:
    """End the build with one message when a user's mistake is met."""
    try:
        with terminable():
            yield
    except PackVenvError as error:
        app.abort(f"{PLUGIN_NAME}: {error}")


def _source(root: Path, options: PackOptions) -> Path:
    return root / (os.environ.get("HATCH_PACK_VENV_SOURCE") or options.source)


def _project(metadata: ProjectMetadata[Any], config: BuilderConfig) -> Project:
    times = Times.reproducible if config.reproducible else Times.kept
    return Project(name=metadata.core.name, version=metadata.version, times=times(os.environ))


def _pack(root: Path, options: PackOptions, project: Project, directory: Path) -> list[PackResult]:
    options = replace(options, wheels=tuple(root / wheel for wheel in options.wheels))
    source = _source(root, options)
    return pack_project(source, directory, options, project, report=terminal_progress)


def _told(result: PackResult, root: Path) -> str:
    """Return the line that tells of an archive."""
    path = result.path
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return (
        f"{shown}  {result.size / 1e6:.1f} MB, {result.entry_count} entries, sha256 {result.sha256}"
    )


@hookimpl
def hatch_register_build_hook() -> type[PackVenvBuildHook]:
    """Register the build hook."""
    return PackVenvBuildHook


@hookimpl
def hatch_register_builder() -> type[PackVenvBuilder]:
    """Register the build target."""
    return PackVenvBuilder
