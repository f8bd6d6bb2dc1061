"""The build hook: packs the prepared environment after a release's wheel is built."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from ..config.project_table import HOOK_TABLE, PLUGIN_NAME, WHEEL_HOOK_TABLE, build_table
from ..model.errors import PackVenvError
from .shared import (
    BUILD_DATA_KEY,
    aborting,
    before_hooks,
    check_output,
    display_results,
    project_of,
    refuse_taken,
)
from .skip_reason import base_folder, only_hooks_run, skip_reason

if TYPE_CHECKING:
    from ..config.options import PackOptions
    from .release import Release


class PackVenvBuildHook(BuildHookInterface[BuilderConfig]):
    """Packs the prepared environment after a release's wheel is built."""

    PLUGIN_NAME = PLUGIN_NAME

    _release: Release | None = None
    _judged = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.target_name == "wheel":
            before_hooks(self.build_config.builder, self._judge)

    def _judge(self) -> None:
        """Refuse what can be refused before any hook compiles, wherever this one is in their order.

        Here, only the front end's arguments hint at the version; `initialize` is given it.
        """
        reason = self._skip_reason("standard")
        if reason is None and not any(":editable" in word for word in sys.argv):
            with aborting(self.app):
                self._release = self._prepared(self._options(), reason)
                self._judged = True

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Read the configuration and the environment before the target is built."""
        from .sdist_guard import reserve

        root = Path(self.root)
        judged, self._judged = self._judged, False
        with aborting(self.app):
            options = self._options()
            reason = self._skip_reason(version)
            reserve(self.build_config, root / options.output_directory, root / options.source)
            if judged and reason is None:
                return
            self._release = None
            if self.target_name == "wheel":
                self._release = self._prepared(options, reason)
            elif reason is None:
                from ..api.project import located

                with suppress(PackVenvError):
                    reserve(self.build_config, located(root, options)[0])

    def _prepared(self, options: PackOptions, reason: str | None) -> Release | None:
        """Determine what to pack after the wheel is built; if nothing, report why."""
        if reason is None and only_hooks_run(os.environ, sys.argv):
            reason = "only the hooks run, and there is no archive without the wheel"
        if reason is not None:
            self.app.display_info(f"{PLUGIN_NAME}: nothing packed, because {reason}")
            return None
        from .release import Release
        from .sdist_guard import reserve

        release = Release.of(self._base, options, self.metadata)
        reserve(self.build_config, release.prefix)
        refuse_taken(self.metadata, self.build_config.builder, release, ("sdist",))
        return release

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Pack the environment with the wheel just built; pass the paths on to later hooks."""
        if self._release is None:
            return
        with aborting(self.app):
            project = project_of(self.metadata, self.build_config)
            results = self._release.pack(replace(project, wheel=Path(artifact_path)))
        build_data[BUILD_DATA_KEY] = [str(result.path) for result in results]
        display_results(self.app, results, (Path(self.root), Path(self.directory)))

    def clean(self, versions: list[str]) -> None:
        """Remove this project's archives (`hatch clean`, `--clean`, `--clean-hooks-after`)."""
        if self.target_name != "wheel" or "standard" not in versions:
            return
        if self._skip_reason("standard") is not None:
            return
        from .release import remove_archives, remove_if_empty

        with aborting(self.app):
            output = self._base / self._options().output_directory
        remove_archives(output, self.metadata.core.name)
        if output != Path(self.directory):
            remove_if_empty(output)

    @property
    def _base(self) -> Path:
        return base_folder(Path(self.root), Path(self.directory))

    def _options(self) -> PackOptions:
        from ..config.options import PackOptions

        options = PackOptions.from_mapping(self.config, self._table())
        check_output(Path(self.root), options, self._table())
        return options

    def _skip_reason(self, version: str) -> str | None:
        return skip_reason(Path(self.root), Path(self.directory), version, os.environ)

    def _table(self) -> str:
        targets = self.metadata.hatch.build_targets
        own = targets.get("wheel", {}).get("hooks", {})
        _, build_path = build_table(Path(self.root))
        return f"{build_path}.{WHEEL_HOOK_TABLE if PLUGIN_NAME in own else HOOK_TABLE}"
