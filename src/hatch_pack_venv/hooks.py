"""The Hatch plugin: a build hook and a build target, thin callers of `pack`."""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.constants import EXCLUDED_DIRECTORIES
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.plugin.interface import BuilderInterface
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from hatchling.plugin import hookimpl
from hatchling.plugin.manager import PluginManager

from .api.progress import result_line
from .config.options import PackOptions
from .config.table import HATCHLING_HOOK_KEYS, HATCHLING_TARGET_KEYS
from .hatch.release import Release, remove_archives, remove_if_empty, source_folder, upload_warnings
from .hatch.sdist_guard import describe_taken, reserve, taken_folders
from .hatch.skip_reason import base_folder, only_hooks_run, skip_reason
from .model.entries import Times
from .model.environment import Project
from .model.errors import OptionsError, PackVenvError
from .write.atomic import terminable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hatchling.bridge.app import Application
    from hatchling.metadata.core import ProjectMetadata

    from .model.results import PackResult


PLUGIN_NAME: Final = "pack-venv"
BUILD_DATA_KEY: Final = "pack_venv_archives"
"""Where hooks that follow find the paths of the archives, a list of strings."""
_BUILDERS: Final = {"sdist": SdistBuilder, "wheel": WheelBuilder}
_HOOK_TABLE: Final = f"tool.hatch.build.hooks.{PLUGIN_NAME}"
_WHEEL_HOOK_TABLE: Final = f"tool.hatch.build.targets.wheel.hooks.{PLUGIN_NAME}"
_TARGET_TABLE: Final = f"tool.hatch.build.targets.{PLUGIN_NAME}"


class PackVenvBuildHook(BuildHookInterface[BuilderConfig]):
    """Packs the prepared environment when a release's wheel has been built."""

    PLUGIN_NAME = PLUGIN_NAME

    _release: Release | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Read the configuration and the environment before the target is built."""
        root = Path(self.root)
        self._release = None
        with _aborting(self.app):
            options = self._options()
            reason = self._reason(version)
            reserve(self.build_config, root / options.output_directory, root / options.source)
            if self.target_name == "wheel":
                self._release = self._prepared(options, reason)
            elif reason is None:
                with suppress(PackVenvError):
                    reserve(self.build_config, source_folder(root, options))

    def _prepared(self, options: PackOptions, reason: str | None) -> Release | None:
        """Find out what is to be packed after the wheel; say why if it is nothing."""
        if reason is None and only_hooks_run(os.environ, sys.argv):
            reason = "only the hooks run, and there is no archive without the wheel"
        if reason is not None:
            self.app.display_info(f"{PLUGIN_NAME}: nothing packed, {reason}")
            return None
        release = Release.of(self._base, options)
        reserve(self.build_config, release.prefix)
        _refuse_taken(self.metadata, self.build_config.builder, release, ("sdist",))
        return release

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Pack the environment with the wheel just built; tell following hooks where to."""
        if self._release is None:
            return
        with _aborting(self.app):
            project = replace(_project(self.metadata, self.build_config), wheel=Path(artifact_path))
            results = self._release.pack(project)
        build_data[BUILD_DATA_KEY] = [str(result.path) for result in results]
        for result in results:
            self.app.display_info(_told(result, Path(self.root)))
        for warning in upload_warnings(results, Path(self.directory)):
            self.app.display_warning(f"{PLUGIN_NAME}: {warning}")

    def clean(self, versions: list[str]) -> None:
        """Remove this project's archives (`hatch clean`, `--clean`, `--clean-hooks-after`)."""
        if self.target_name != "wheel" or "standard" not in versions:
            return
        if self._reason("standard") is not None:
            return
        with _aborting(self.app):
            output = self._base / self._options().output_directory
        remove_archives(output, self.metadata.core.name)
        if output != Path(self.directory):
            remove_if_empty(output)

    @property
    def _base(self) -> Path:
        return base_folder(Path(self.root), Path(self.directory))

    def _options(self) -> PackOptions:
        options = PackOptions.from_mapping(self.config, self._table(), HATCHLING_HOOK_KEYS)
        _refuse_root_as_output(Path(self.root), options, self._table())
        return options

    def _reason(self, version: str) -> str | None:
        return skip_reason(Path(self.root), Path(self.directory), version, os.environ)

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

    def get_default_build_data(self) -> dict[str, Any]:
        """Return what hooks find in their `build_data`: the archives' paths, when there are any."""
        return {BUILD_DATA_KEY: []}

    def clean(self, directory: str, versions: list[str]) -> None:  # noqa: ARG002
        """Remove this project's archives from a folder."""
        remove_archives(Path(directory), self.metadata.core.name)
        remove_if_empty(Path(directory))

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Write the archives into a folder and return the first one's path."""
        with _aborting(self.app):
            try:
                results = self._pack(Path(directory))
            except BaseException:
                remove_if_empty(Path(directory))  # hatchling has made it
                raise
        build_data[BUILD_DATA_KEY] += [str(result.path) for result in results]
        for result in results:
            self.app.display_info(_told(result, Path(self.root)))
        packages = self.config.normalize_build_directory(self.build_config.get("directory", "dist"))
        for warning in upload_warnings(results, Path(packages)):
            self.app.display_warning(f"{PLUGIN_NAME}: {warning}")
        return str(results[0].path)

    def _pack(self, directory: Path) -> list[PackResult]:
        root = Path(self.root)
        options = self._options()
        release = replace(Release.of(root, options), output=directory)
        project = _project(self.metadata, self.config)
        # Where the project stays out, its wheel still tells what it requires.
        needs_wheel = options.project != "installed"
        targets = ("sdist", "wheel") if needs_wheel else ("sdist",)
        _refuse_taken(self.metadata, self, release, targets)
        with tempfile.TemporaryDirectory(prefix="pack-venv-") as work:
            if needs_wheel:
                project = replace(project, wheel=self._build_wheel(work))
            return release.pack(project)

    def _options(self) -> PackOptions:
        """Read the target's own table, or without one the hook's."""
        table, where, allowed = self.target_config, _TARGET_TABLE, HATCHLING_TARGET_KEYS
        hook = self.build_config.get("hooks", {}).get(PLUGIN_NAME)
        if not table and hook:
            table, where, allowed = hook, _HOOK_TABLE, HATCHLING_HOOK_KEYS
        options = PackOptions.from_mapping(table, where, allowed)
        _refuse_root_as_output(Path(self.root), options, where)
        return options

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


def _refuse_root_as_output(root: Path, options: PackOptions, table: str) -> None:
    if Path(os.path.abspath(root / options.output_directory)) == root:
        problem = (
            f"{table}.output-directory must be a folder of its own, not the project's: the next"
            " sdist would take the archives"
        )
        raise OptionsError("the configuration is wrong", [problem])


def _refuse_taken(
    metadata: ProjectMetadata[Any],
    builder: BuilderInterface[Any, Any],
    release: Release,
    targets: Iterable[str],
) -> None:
    """Stop where a target that this hook does not run for would take archives or environment."""
    for target in targets:
        other = _BUILDERS[target](builder.root, builder.plugin_manager, None, metadata, builder.app)
        if PLUGIN_NAME in other.config.hook_config:
            continue
        archives = release.likely_names(metadata.core.name, metadata.version)
        folders = {release.output: archives, release.prefix: ()}
        taken = [*taken_folders(other.config, folders, EXCLUDED_DIRECTORIES)]
        if taken:
            what, lines = describe_taken(metadata.hatch.build_config, target, taken)
            raise OptionsError(f"the {target} would take {what}", lines)


def _project(metadata: ProjectMetadata[Any], config: BuilderConfig) -> Project:
    times = Times.reproducible if config.reproducible else Times.kept
    return Project(
        name=metadata.core.name,
        version=metadata.version,
        root=Path(metadata.root),
        times=times(os.environ),
    )


def _told(result: PackResult, root: Path) -> str:
    """Return the line that tells of an archive."""
    path = result.path
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return result_line({**result.to_dict(), "path": shown})


@hookimpl
def hatch_register_build_hook() -> type[PackVenvBuildHook]:
    """Register the build hook."""
    return PackVenvBuildHook


@hookimpl
def hatch_register_builder() -> type[PackVenvBuilder]:
    """Register the build target."""
    return PackVenvBuilder
