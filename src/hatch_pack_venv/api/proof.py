"""The proof of an archive before its release: what must run, and what is hidden meanwhile."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..binary.elf import ElfFile
from ..config import values
from ..config.values import WrongValueError
from ..model.environment import project_folder
from ..model.errors import PackVenvError, telling_system_errors
from ..model.formats import CompressionFormat
from ..platforms.linux.libraries import Loader
from ..prove.proving import (
    Original,
    Request,
    check_as_packed,
    check_told,
    prove,
    prove_unpacked,
    unpacked,
    why_foreign,
)
from ..prove.room import Sight
from ..read.inspect import proof_beside
from ..scan.probe import ask_interpreter
from ..write.atomic import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..model.environment import Environment, Project
    from ..model.interpreter import Interpreter
    from ..model.plan import PackPlan
    from ..model.proof import Asked, Proof
    from ..model.results import PackResult, ProofReports
    from ..read.verify import Verification
    from .source import Source


logger = logging.getLogger("hatch_pack_venv")
# In order of reading speed.
_FASTEST_FIRST: Final = (
    CompressionFormat.UNCOMPRESSED,
    CompressionFormat.ZSTD,
    CompressionFormat.RUN,
    CompressionFormat.GZIP,
    CompressionFormat.SQUASHFS,
    CompressionFormat.OCI,
    CompressionFormat.ZIP,
    CompressionFormat.XZ,
    CompressionFormat.BZIP2,
)
_OF_SYSTEM: Final = ("/", "/usr", "/usr/local")
_CACHES: Final = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "PIP_CACHE_DIR", "UV_CACHE_DIR")


def prover(
    source: Source, project: Project | None, reports: ProofReports
) -> Callable[[PackPlan, Mapping[Path, PackResult]], Proof | None]:
    """Return a function that proves the archives of an environment, as the options request.

    Raises:
        ProofError: if that is not possible here and the options request more than a start.
    """
    options, environment = source.options, source.environment
    request = Request(
        asked=options.prove or "none",
        room=options.prove_room,
        required=options.prove != "start",
        sight=_sight(source, project),
        beside=_layers(source),
        original=Original(
            prefix=environment.prefix,
            python=environment.prefix / environment.scripts / "python",
        ),
        unpacking=reports.unpacking,
        running=reports.running,
    )
    request.check_possible()
    return partial(_prove, request, environment.interpreter)


def _prove(
    request: Request,
    interpreter: Interpreter,
    plan: PackPlan,
    archives: Mapping[Path, PackResult],
) -> Proof | None:
    """Prove the archive that is fastest to read, and compare the others with their manifests."""
    foreign = why_foreign(plan.head)
    if foreign is None and request.beside and not request.required:
        foreign = "it only runs next to its layers, and those here are not the ones on the target"
    if foreign is not None:
        return request.unproved(foreign)
    request = _connected(replace(request, left_out=plan.log.left_out), plan.head, interpreter)
    order = {format: number for number, format in enumerate(_FASTEST_FIRST)}
    first, *others = sorted(archives, key=lambda path: order[archives[path].format])
    with _work_folder(archives[first].path) as work:
        proof = prove(first, request, work)
    if proof.room is not None:
        for path in others:
            check_as_packed(path, request.unpacking)
    _tell(proof)
    return proof


def _tell(proof: Proof) -> None:
    if proof.room is None:
        logger.warning("nothing was run to prove the archive: %s", proof.reason)
    elif proof.asked != "all":
        for answer in proof.passed_over:
            logger.warning(
                "%s was not proved, because it fails in the environment as well: %s",
                answer.question.shown,
                answer.said,
            )


@contextmanager
def _work_folder(archive: Path) -> Iterator[Path]:
    """Yield a folder to unpack into: next to the archive, where there is space, or temporary."""
    with ExitStack() as stack:
        folder = None
        with suppress(OSError):  # another user's archive may be where we may not write
            folder = stack.enter_context(scratch_folder(archive))
        if folder is None or not _can_run(folder):
            temporary = tempfile.TemporaryDirectory(prefix="pack-venv-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
        yield folder.resolve()


def _can_run(folder: Path) -> bool:
    """Whether programs can be run from a folder, and links created in it."""
    try:
        (folder / "link").symlink_to("target")
        (folder / "link").unlink()
        # Windows has no statvfs, and only Linux has the flag.
        flags = os.statvfs(folder).f_flag if hasattr(os, "statvfs") else 0
    except OSError:
        return False
    return not flags & getattr(os, "ST_NOEXEC", 0)


def _layers(source: Source) -> dict[str, Path]:
    below = () if source.layers is None else source.layers.below
    return {layer.relative: layer.path for layer in below}


def _sight(source: Source, project: Project | None) -> Sight:
    """Return what is hidden: the original, what it came from, and the user's folders."""
    environment, interpreter = source.environment, source.environment.interpreter
    hidden = [*_folders_of(environment, project), *_own_folders(), *_layers(source).values()]
    if source.options.interpreter == "bundled" and source.options.base_runtime is None:
        hidden += interpreter_places(interpreter)
    return Sight.of(hide=hidden)


def _connected(
    request: Request, head: Mapping[str, Any], interpreter: Interpreter | None
) -> Request:
    """Return a request in which an archive without an interpreter sees the one that it needs.

    Parameters:
        interpreter: the environment's; if `None`, one is searched for on this machine.
    """
    if head.get("interpreter", "bundled") == "bundled":
        return request
    interpreter = _interpreter_for(head, interpreter)
    if interpreter is None:
        return request
    sight = request.sight
    if not head.get("layout", {}).get("include_system_site_packages"):
        sight = sight.hiding(interpreter.site_packages)
    shown = [*interpreter_places(interpreter), *_promised(head)]
    if request.room == "bare":
        shown += libraries_of(interpreter, head)
    return replace(request, sight=sight.showing(shown), base=interpreter.executable)


def _promised(head: Mapping[str, Any]) -> list[Path]:
    path = head.get("interpreter_path")
    return [] if path is None else [Path(path)]


def _interpreter_for(
    head: Mapping[str, Any], interpreter: Interpreter | None
) -> Interpreter | None:
    """Return the interpreter on this machine that an archive runs with, if there is one."""
    minor = ".".join(head["python"]["version"].split(".")[:2])
    promised = _promised(head)
    if interpreter is not None and interpreter.is_here:
        there = filter(os.path.exists, promised)
        if all(interpreter.executable.samefile(each) for each in there):
            return interpreter
    # pyenv's shims are named after all installed versions, but run only the selected ones.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    on_path = (shutil.which(f"python{minor}", path=folder) for folder in folders)
    for path in promised or filter(None, on_path):
        with suppress(PackVenvError):
            found = ask_interpreter(Path(path))
            if found.minor == minor:
                return found
    return None


def _own_folders() -> Iterator[Path]:
    """Yield the user's home and cache folders."""
    yield Path(os.path.expanduser("~"))
    yield from (Path(os.environ[name]) for name in _CACHES if os.environ.get(name))


def _folders_of(environment: Environment, project: Project | None) -> Iterator[Path]:
    """Yield the environment, its project, and the sources of editable installs."""
    yield environment.prefix
    root = project.root if project is not None else None
    folder = root or project_folder(environment.requested)
    if folder is not None:
        yield folder
    for distribution in environment.distributions:
        if distribution.editable is not None:
            yield from (each.path for each in distribution.editable.exposed)
            yield from filter(Path.is_absolute, [Path(distribution.editable.source)])


def interpreter_places(interpreter: Interpreter) -> list[Path]:
    """Return the folders and files that make up a base interpreter.

    That is the whole prefix, unless the system's interpreter shares it with everything else.
    """
    if str(interpreter.base_prefix) not in _OF_SYSTEM:
        return [interpreter.base_prefix, interpreter.executable]
    places = [interpreter.executable, interpreter.stdlib, *interpreter.site_packages]
    return [*places, *filter(None, (interpreter.library, interpreter.wheel_folder))]


def libraries_of(interpreter: Interpreter, head: Mapping[str, Any]) -> list[Path]:
    """Return the shared libraries that a target must have.

    These are the libraries that the interpreter and its extension modules load, those that the
    archive's manifest lists, and what all of these load.
    """
    loader = Loader()
    modules = interpreter.stdlib.glob("lib-dynload/*.so")
    program = ElfFile.from_path(interpreter.executable)
    files = [program, *map(ElfFile.from_path, modules), *_needed(loader, program, head)]
    found = {each.path: each for each in files if each is not None}
    waiting = [[each] for each in found.values()]
    while waiting:
        chain = waiting.pop()
        for name in chain[0].needed:
            library = loader.find(name, chain)
            if library is not None and library.path not in found:
                found[library.path] = library
                waiting.append([library, *chain])
    return [*found, loader.cache]


def _needed(
    loader: Loader, program: ElfFile | None, head: Mapping[str, Any]
) -> Iterator[ElfFile | None]:
    """Yield the libraries of the target's system that an archive's manifest lists."""
    for each in head.get("target_libraries", ()):
        folder = each.get("folder")
        if folder is not None:
            yield ElfFile.from_path(Path(folder, each["name"]))
        elif program is not None:
            yield loader.find(each["name"], [program])


@telling_system_errors()
def run_again(
    path: Path, room: str | None, reports: ProofReports, *, external_links: bool = False
) -> tuple[Verification, Proof | None]:
    """Compare an archive or a folder with its manifest, and repeat the proof made for its release.

    Parameters:
        room: `hidden`, `bare` or `none`; by default, as recorded in the `.json` next to it. Since
            anybody may have written that file, it never selects `none`.

    Returns:
        The comparison, and the proof, which is `None` if the contents are not as packed.

    Raises:
        ProofError: if something does not run, or if no room can be made.
        ArchiveProblem: if it cannot be read, is damaged or refused, or was not written by
            pack-venv.
    """
    told = proof_beside(path) or {}
    request = Request(
        asked=_asked(told.get("prove")),
        room=room or ("bare" if told.get("room") == "bare" else "hidden"),
        required=True,
        sight=Sight.of(hide=_own_folders()),
        excused=frozenset((each["kind"], each["name"]) for each in told.get("passed_over", ())),
        running=reports.running,
    )
    request.check_possible()
    start = time.monotonic()
    with _work_folder(path) as work:
        found = unpacked(path, work, external_links=external_links, report=reports.unpacking)
        if not found.is_whole:
            return found, None
        check_told(found, work)
        request = replace(request, beside=_layers_beside(path, found, request))
        proof = prove_unpacked(found, _connected(request, found.head, None), work)
        return found, replace(proof, seconds=time.monotonic() - start)


def _layers_beside(path: Path, found: Verification, request: Request) -> dict[str, Path]:
    """Return the layers, by relative path, that are where an archive or a folder expects them.

    Raises:
        ProofError: if one is missing.
    """
    told = found.head.get("neighbours", {})
    layers = [*told.get("layers", ()), *filter(None, [told.get("base_runtime")])]
    own = (path if path.is_dir() else path.parent / found.install_target).resolve()
    beside = {}
    for name in {each["path"]: None for each in layers} | dict.fromkeys(told.get("linked", ())):
        place = Path(os.path.normpath(own / name))
        near = place.is_relative_to(own.parent) or not request.sight.hides(place)
        if not (near and place.is_dir()):
            request.unproved(
                f"it needs {name}, but {place} is not a folder, or is hidden",
                "unpack it next to its layers",
            )
        beside[name] = place
    return beside


def _asked(told: object) -> Asked:
    """Return what the proof of a released archive covered, or a start if that is unknown."""
    with suppress(WrongValueError):
        asked = values.proof(told)
        return "start" if asked == "none" else asked
    return "start"
