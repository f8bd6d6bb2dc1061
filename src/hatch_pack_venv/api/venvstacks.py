"""Packing for callers with their own configuration: functions like those of `pack_venv`.

They keep `bin/python` as the link it is and rely on the injected post-install script.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..binary.headers import HeaderReader
from ..model.entries import Times
from ..model.errors import OptionsError, OutputProblem
from ..model.formats import CompressionFormat
from ..model.plan import POSTINSTALL
from ..model.results import silent
from ..plan.build import PlanInputs, build_plan
from ..plan.links import without_links
from ..plan.select import Selection
from ..plan.validate import for_windows
from ..platforms.linux.search_paths import SearchPaths
from ..platforms.platform import platform_of
from ..scan.build_paths import build_paths_of
from ..scan.probe import read_environment
from ..scan.walk import scan
from ..write.archive import write_archives, write_folder
from .prepared import Preparation
from .progress import terminal_progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from _typeshed import StrPath

    from ..model.plan import PackPlan


def get_archive_path(
    archive_base_name: StrPath, format: CompressionFormat | str | None = None
) -> Path:
    """Return the path of the file that `create_archive` writes for a base name.

    Parameters:
        archive_base_name: path of the archive without its suffix; may begin with `~`.
        format: by default zip on Windows and tar.xz elsewhere.

    Raises:
        OptionsError: if there is no such format (also a `ValueError`).
    """
    base_name = os.path.expanduser(archive_base_name)
    return CompressionFormat.get_format(format).archive_path(base_name)


def create_archive(
    source_dir: StrPath,
    archive_base_name: StrPath,
    *,
    install_target: str | None = None,
    clamp_mtime: datetime | None = None,
    work_dir: StrPath | None = None,
    show_progress: bool = True,
    format: CompressionFormat | str | None = None,
    prepare_deployed_env: Callable[[Path], None] | None = None,
    record_files: str = "exclude",
) -> Path:
    """Pack an environment, or an interpreter's own prefix, into an archive without modifying it.

    Bytecode, RECORD files, `pyvenv.cfg` and a `sitecustomize.py` in site-packages are left out;
    `postinstall.py` is injected and recreates `pyvenv.cfg` on the target. Launchers and activation
    scripts locate themselves. Links out of the environment are kept, as are relative links to a
    neighbour that does not exist yet, except in zip files and on Windows, where all links are
    replaced by copies. Owners are dropped. Modes lose the setuid, setgid and sticky bits and write
    permission for group and others, and gain nothing. An existing file at the archive's path is
    replaced.

    Paths may begin with `~`. The environment's interpreter need not be on this machine.

    Parameters:
        source_dir: the environment.
        archive_base_name: path of the archive without its suffix.
        install_target: the archive's top-level folder; by default the environment's name.
        clamp_mtime: the latest modification time that an entry gets; a naive datetime is local
            time.
        work_dir: where temporary files go, except the partial archive, which is next to its final
            path. Since packing streams, only `prepare_deployed_env` needs temporary files.
        show_progress: whether to show a progress bar if standard error is a terminal.
        format: by default zip on Windows and tar.xz elsewhere.
        prepare_deployed_env: called once with the absolute path of a temporary copy of what is
            packed, which is named like the install target and has nothing next to it; whatever it
            changes there is packed (venvstacks 0.7 and later creates links to neighbours there, by
            their names on the target).
        record_files: `"update"` packs RECORD files, updated to match what is packed (venvstacks 0.7
            and later keeps them); `"exclude"` leaves them out.

    Returns:
        The archive's path, as returned by `get_archive_path`.

    Raises:
        PackVenvError: if packing fails; nothing was changed or left behind.
    """
    chosen = CompressionFormat.get_format(format)
    if chosen.runs_where_it_is:
        problem = (
            f"format must be a tar format or 'zip', not {chosen.value!r}: {chosen.suffix} files"
            " run in place, but create_archive leaves the interpreter to the target; use pack"
        )
        raise OptionsError("the arguments are wrong", [problem])
    work = None if work_dir is None else Path(os.path.expanduser(work_dir))
    _check_arguments(install_target, work, record_files)
    plan = _plan(source_dir, install_target, clamp_mtime, records=record_files == "update")
    report = terminal_progress if show_progress else silent
    base_name = os.path.expanduser(archive_base_name)
    with ExitStack() as stack:
        if prepare_deployed_env is not None:
            times = Times.clamped(clamp_mtime)
            preparation = Preparation(prepare=prepare_deployed_env, times=times, work_dir=work)
            plan = stack.enter_context(preparation.archived(plan))
        results = write_archives(plan, base_name, [chosen], report=report)
    return results[0].path


def export_venv(
    source_dir: StrPath,
    target_dir: StrPath,
    run_postinstall: Callable[[Path, Path], None] | None = None,
    *,
    prepare_deployed_env: Callable[[Path], None] | None = None,
    record_files: str = "exclude",
    hard_links: bool = False,
) -> Path:
    """Do the same as `create_archive`, but write a folder.

    An empty folder or an earlier export is replaced; anything else at that path is refused.

    Parameters:
        target_dir: the folder that becomes the environment.
        run_postinstall: called last, with the paths of the exported environment's Python and of its
            post-install script; if omitted, the script is not run. If it raises, the export stays
            as it is. (The documentation of venvstacks says the same of its own parameter; its code
            passes the environment's folder first, and its callers use only the script.)
        prepare_deployed_env: called with the absolute path of the exported environment, before
            `run_postinstall`; what it changes is recorded in the manifest. If it raises, the folder
            is left as it was before.
        record_files: as for `create_archive`.
        hard_links: share inodes with the environment where mode and content are the same. Writing
            to such a file changes both, so `prepare_deployed_env` must replace files instead.

    Returns:
        The exported environment's absolute path.

    Raises:
        PackVenvError: if exporting fails; nothing was changed or left behind.
    """
    target = Path(os.path.abspath(os.path.expanduser(target_dir)))
    _check_arguments(None, None, record_files)
    plan = _plan(source_dir, None, None, records=record_files == "update")
    then = None
    if prepare_deployed_env is not None:
        preparation = Preparation(prepare=prepare_deployed_env, times=Times.clamped(None))
        then = partial(preparation.in_place, plan)
    write_folder(plan, target, hard_links=hard_links, then=then)
    if run_postinstall is not None:
        layout = plan.head["layout"]["scripts"]
        python = "python.exe" if plan.head["platform"]["system"] == "win32" else "python"
        run_postinstall(target / layout / python, target / POSTINSTALL)
    return target


def _check_arguments(install_target: str | None, work_dir: Path | None, record_files: str) -> None:
    problems = []
    if install_target is not None and (
        not install_target or install_target == ".." or set(install_target) & set("/\\")
    ):
        problems.append(f"install_target must be a folder name or '.', not {install_target!r}")
    if record_files not in ("exclude", "update"):
        problems.append(f"record_files must be 'exclude' or 'update', not {record_files!r}")
    if problems:
        raise OptionsError("the arguments are wrong", problems)
    if work_dir is not None and not work_dir.is_dir():
        raise OutputProblem(f"the folder for temporary files, {work_dir}, does not exist")


def _plan(
    source_dir: StrPath,
    install_target: str | None,
    clamp_mtime: datetime | None,
    *,
    records: bool,
) -> PackPlan:
    environment = read_environment(os.path.expanduser(source_dir), may_be_elsewhere=True)
    name = environment.requested.name
    inputs = PlanInputs(
        name=name,
        install_target=install_target or name,
        interpreter="linked",
        build_paths=build_paths_of(environment, home=os.path.expanduser("~")),
        external_links=True,
        keeps_modes=True,
        selection=Selection(records=records, sitecustomize=False),
        times=Times.clamped(clamp_mtime),
        notes=environment.interpreter.assumed,
    )
    headers = HeaderReader()
    paths = SearchPaths(environment=environment, bundled=False, headers=headers)
    scanned = [*paths.made_portable(scan(environment))]
    interpreter = environment.interpreter
    floors = platform_of(interpreter).requirements(scanned, interpreter, headers)
    plan = build_plan(scanned, environment=environment, inputs=replace(inputs, floors=floors))
    # A zip file or a folder on FAT gets its copies when it is written.
    on_windows = os.name == "nt" and not environment.is_windows
    plan = replace(plan, entries=tuple(without_links(plan.entries))) if on_windows else plan
    return for_windows(plan, environment)
