"""Shared by the build hook and the build target: names, messages, the guard for other targets."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..config.project_table import PLUGIN_NAME, build_table
from ..model.errors import OptionsError, PackVenvError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hatchling.bridge.app import Application
    from hatchling.builders.config import BuilderConfig
    from hatchling.builders.plugin.interface import BuilderInterface
    from hatchling.metadata.core import ProjectMetadata

    from ..config.options import PackOptions
    from ..model.environment import Project
    from ..model.results import PackResult
    from .release import Release

BUILD_DATA_KEY: Final = "pack_venv_archives"
"""The key of `build_data` under which later hooks find the archives' paths, a list of strings."""


def before_hooks(builder: BuilderInterface[Any, Any], judge: Callable[[], None]) -> None:
    """Have a function called at the start of a build, before its first hook.

    hatchling runs hooks in the order of their tables, and one that compiles may come first. It asks
    the builder for `build_data` once for each version, right before the hooks.
    """
    asked = builder.get_default_build_data
    original = getattr(asked, "original", asked)

    def judging() -> dict[str, Any]:
        judge()
        return original()

    judging.original = original  # type: ignore[attr-defined]
    vars(builder)["get_default_build_data"] = judging


@contextmanager
def aborting(app: Application) -> Iterator[None]:
    """Abort the build with a single message if there is a problem that the user can fix."""
    from ..write.atomic import Interrupted, terminable

    try:
        with terminable(), _logging():
            yield
    except PackVenvError as error:
        app.abort(f"{PLUGIN_NAME}: {error.for_terminal}")
    except Interrupted as error:
        app.abort(f"{PLUGIN_NAME}: {error}", code=128 + error.number)


@contextmanager
def _logging() -> Iterator[None]:
    """Show log messages unchanged except for escaped names.

    Logging set up by another hook would show notes as warnings, and Python's default would show
    them raw. If the logger `hatch_pack_venv` itself has handlers, they are left to do their work.
    """
    from ..api.progress import TerminalFormatter

    logger = logging.getLogger("hatch_pack_venv")
    if logger.handlers:
        yield
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(TerminalFormatter())
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


def check_output(root: Path, options: PackOptions, table: str) -> None:
    """Reject the project's own folder as the output folder.

    Raises:
        OptionsError: if it is; names the key by its TOML path.
    """
    if Path(os.path.abspath(root / options.output_directory)) == root:
        problem = (
            f"{table}.output-directory must be a separate folder, not the project's: the next"
            " sdist would include the archives"
        )
        raise OptionsError("the configuration is wrong", [problem])


def refuse_taken(
    metadata: ProjectMetadata[Any],
    builder: BuilderInterface[Any, Any],
    release: Release,
    targets: Iterable[str],
) -> None:
    """Stop if a target that this plugin does not run for would include archives or the environment.

    Raises:
        OptionsError: if one would; gives the line that keeps them out.
    """
    from hatchling.builders.constants import EXCLUDED_DIRECTORIES
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    from .sdist_guard import describe_taken, taken_folders

    builders = {"sdist": SdistBuilder, "wheel": WheelBuilder}
    for target in targets:
        other = builders[target](builder.root, builder.plugin_manager, None, metadata, builder.app)
        if PLUGIN_NAME in other.config.hook_config:
            continue
        archives = release.likely_names(metadata.core.name, metadata.version)
        folders = {release.output: archives, release.prefix: ()}
        taken = [*taken_folders(other.config, folders, EXCLUDED_DIRECTORIES)]
        if taken:
            where = build_table(Path(builder.root))
            what, lines = describe_taken(metadata.hatch.build_config, where, target, taken)
            raise OptionsError(f"the {target} would include {what}", lines)


def project_of(metadata: ProjectMetadata[Any], config: BuilderConfig) -> Project:
    """Return the project being built."""
    from ..model.entries import Times
    from ..model.environment import Project

    times = Times.reproducible if config.reproducible else Times.kept
    return Project(
        name=metadata.core.name,
        version=metadata.version,
        root=Path(metadata.root),
        times=times(os.environ),
    )


def display_results(
    app: Application,
    results: Sequence[PackResult],
    folders: tuple[Path, Path],
    *,
    named: bool = True,
) -> None:
    """Show a few lines for each archive, and warn how upload tools will react to them.

    Parameters:
        folders: the project's, and the one that receives the wheel and the sdist.
        named: whether to show the first archive's path; for a target, hatchling shows it itself.
    """
    from ..api.report import result_lines
    from .release import ignore_archives, upload_warnings

    root, packages = folders
    ignore_archives(results, root)
    for line in result_lines(results, base=root, named=named):
        app.display_info(line)
    for warning in upload_warnings(results, packages):
        app.display_warning(f"{PLUGIN_NAME}: {printable(warning)}")
