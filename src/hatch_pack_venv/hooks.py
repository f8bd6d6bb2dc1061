"""What this plugin registers with Hatch: a build hook and a build target, named `pack-venv`.

Hatch imports this module in every build of a project that names the plugin, even if nothing is
packed: the classes are imported when a build asks for them, and the packing code when it packs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchling.plugin import hookimpl

if TYPE_CHECKING:
    from .hatch.build_hook import PackVenvBuildHook
    from .hatch.target import PackVenvBuilder


@hookimpl
def hatch_register_build_hook() -> type[PackVenvBuildHook]:
    """Register the build hook."""
    from .hatch.build_hook import PackVenvBuildHook

    return PackVenvBuildHook


@hookimpl
def hatch_register_builder() -> type[PackVenvBuilder]:
    """Register the build target."""
    from .hatch.target import PackVenvBuilder

    return PackVenvBuilder
