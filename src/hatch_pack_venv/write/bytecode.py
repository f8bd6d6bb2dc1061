"""Bytecode compiled by the environment's own Python: a step between planning and writing.

The files are hash-based pycs (PEP 552): an archive changes modification times, which makes any
other kind stale. Their bytes depend only on the sources, their names and the Python version. The
file name compiled in is the arcname; the import system replaces it with the source's actual path,
so tracebacks and `inspect` are right wherever an archive is unpacked.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Final, Self, cast

from ..metadata.record import with_byte_code_rows
from ..model.entries import DirectoryEntry, FileEntry, PatchedFile
from ..model.errors import EnvironmentProblem, SourceProblem
from ..plan.order import in_order
from .atomic import telling_write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import StrPath

    from ..model.entries import Entry
    from ..model.environment import Environment
    from ..model.plan import PackPlan
    from ..model.results import Reporter
    from ..plan.select import Selection


FLAGS: Final[Mapping[str, int]] = {"unchecked-hash": 1, "checked-hash": 3}
"""The second field of a `.pyc` file's header (PEP 552), by the option's value."""
_NAME_LIMIT: Final = 255  # bytes of a file name, on all common file systems

# What the interpreter may need to start at all. Of Python's own variables it sees only those set
# here, which `-I` would hide as well.
_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A source to compile.

    Parameters:
        arcname: of the bytecode.
        target: where to write it until it is packed.
    """

    source: FileEntry
    arcname: str
    target: Path

    def result(self, size: int) -> FileEntry:
        """Return the bytecode's entry, with the source's time."""
        return FileEntry(
            arcname=self.arcname, content=str(self.target), size=size, mtime=self.source.mtime
        )


@contextmanager
def with_byte_code(
    plan: PackPlan,
    environment: Environment,
    kind: str,
    *,
    patterns: Selection,
    threads: int,
    report: Reporter,
) -> Iterator[PackPlan]:
    """Compile a plan's sources and yield the plan with bytecode, which exists in the context only.

    Parameters:
        kind: the option's value; `none` leaves the plan unchanged.
        patterns: bytecode that they exclude is not compiled.
        threads: number of compiling processes.
        report: receives the size of each source as it is compiled.

    Raises:
        PackVenvError: if the environment's Python does not run, a source cannot be read, or the
            folder for temporary files cannot be written to.
    """
    if kind == "none":
        yield plan
        return
    with _temporary_folder() as folder:
        jobs = _jobs(plan, environment, patterns, folder)
        sizes = _compile(jobs, environment, FLAGS[kind], threads, report)
        byte_code: dict[str, FileEntry] = {}
        not_compiled: list[str] = []
        for job, size in zip(jobs, sizes, strict=True):
            if size is None:
                not_compiled.append(job.source.arcname)
            else:
                byte_code[job.source.arcname] = job.result(size)
        yield completed(plan, environment, byte_code, not_compiled)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with ExitStack() as stack:
        with telling_write_errors(Path(tempfile.gettempdir())):
            folder = tempfile.TemporaryDirectory(prefix="pack-venv-")
        yield Path(stack.enter_context(folder))


# sources to compile


def importable(plan: PackPlan, environment: Environment) -> Iterator[FileEntry]:
    """Yield a plan's sources that are in folders the interpreter imports from."""
    folders = list(environment.site_packages)
    if plan.head["interpreter"] == "bundled":
        folders += map(posixpath.dirname, environment.site_packages)
    below = tuple(f"{folder}/" for folder in folders)
    for entry in plan.entries:
        if not entry.arcname.startswith(below) or not entry.arcname.endswith(".py"):
            continue
        if isinstance(entry, FileEntry) and not isinstance(entry.content, PatchedFile):
            yield entry


def byte_code_name(arcname: str, cache_tag: str) -> str:
    """Return the arcname of a source's bytecode (PEP 3147)."""
    folder, name = posixpath.split(arcname)
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{cache_tag}.pyc"


def _jobs(
    plan: PackPlan, environment: Environment, patterns: Selection, folder: Path
) -> list[_Job]:
    jobs: list[_Job] = []
    for source in importable(plan, environment):
        arcname = byte_code_name(source.arcname, environment.interpreter.cache_tag)
        too_long = len(os.fsencode(posixpath.basename(arcname))) > _NAME_LIMIT
        if not too_long and not patterns.by_pattern(arcname):
            target = folder / f"{len(jobs)}.pyc"
            jobs.append(_Job(source=source, arcname=arcname, target=target))
    return jobs


# compiling


def _compile(
    jobs: Sequence[_Job], environment: Environment, flags: int, threads: int, report: Reporter
) -> list[int | None]:
    """Return the size of each source's bytecode, or `None` for sources that do not compile."""
    sizes: list[int | None] = []
    idle: SimpleQueue[_Compiler] = SimpleQueue()

    def compile_one(job: _Job) -> int | None:
        compiler = idle.get()
        try:
            return compiler.compile(job)
        finally:
            idle.put(compiler)

    with ExitStack() as stack:
        workers = min(threads, len(jobs))
        for _ in range(workers):
            idle.put(stack.enter_context(_Compiler(environment, flags, jobs[0].target.parent)))
        progress = stack.enter_context(report(sum(job.source.size for job in jobs)))
        pool = ThreadPoolExecutor(max(workers, 1))
        stack.callback(pool.shutdown, cancel_futures=True)
        for job, size in zip(jobs, pool.map(compile_one, jobs), strict=True):
            sizes.append(size)
            progress(job.source.size)
    return sizes


class _Compiler:
    """A process of the environment's Python that compiles one source after another.

    Parameters:
        folder: an empty one, used as its working directory.

    Raises:
        EnvironmentProblem: if it does not run.
    """

    def __init__(self, environment: Environment, flags: int, folder: Path) -> None:
        self.python = environment.prefix / environment.scripts / "python"
        self.flags = flags
        self.folder = folder
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        worker = (files(__package__) / "bytecode_worker.py").read_text(encoding="utf-8")
        # Isolated as with `-I`, which would also hide the hash seed: that fixes the order in which
        # CPython before 3.11 writes sets. With `-c`, imports search the working directory first.
        options = ["-s", "-S", "-B", "-X", "utf8", "-W", "ignore", "-c", worker, str(self.flags)]
        variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        try:
            process = subprocess.Popen(
                [self.python, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env={**variables, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"},
            )
        except OSError as error:
            raise self._broken() from error
        if cast("IO[bytes]", process.stdout).readline() != b"ready\n":
            process.communicate()
            raise self._broken()
        return process

    def __enter__(self) -> Self:
        """Return the compiler itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the process: it answers no more requests."""
        with suppress(BrokenPipeError):
            self.process.communicate()

    def compile(self, job: _Job) -> int | None:
        """Compile a source and return the bytecode's size, or `None` if it does not compile.

        Raises:
            SourceProblem: if the source cannot be read or its bytecode cannot be written.
        """
        answer = self._ask(_source_path(job), job.target, job.source.arcname)
        if answer.startswith("!"):
            raise SourceProblem(
                f"{job.source.arcname} cannot be compiled: {answer[1:]}; nothing was written"
            )
        return None if answer == "-" else int(answer)

    def _ask(self, *fields: StrPath) -> str:
        request = b"\0".join(map(os.fsencode, fields)).hex()
        answer = b""
        with suppress(BrokenPipeError):
            requests = cast("IO[bytes]", self.process.stdin)
            requests.write(f"{request}\n".encode())
            requests.flush()
            answer = cast("IO[bytes]", self.process.stdout).readline()
        if not answer.endswith(b"\n"):
            # The compiler itself crashed on this source.
            self.__exit__()
            self.process = self._start()
            return "-"
        return answer.decode("utf-8", "backslashreplace").rstrip("\n")

    def _broken(self) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"{self.python} cannot compile bytecode: repair or recreate the environment, or set"
            ' bytecode = "none"'
        )


def _source_path(job: _Job) -> Path:
    """Return the path to read a source from: next to its bytecode if the plan holds the text."""
    content = job.source.content
    if isinstance(content, bytes):
        path = job.target.with_suffix(".source")
        with telling_write_errors(path):
            path.write_bytes(content)
        return path
    return Path(content if isinstance(content, str) else content.path)


# the result


def completed(
    plan: PackPlan,
    environment: Environment,
    byte_code: Mapping[str, FileEntry],
    not_compiled: Sequence[str],
) -> PackPlan:
    """Return a plan with bytecode added, and listed in the RECORD files.

    Parameters:
        byte_code: by the source's arcname.
        not_compiled: arcnames of the sources without bytecode.
    """
    entries: dict[str, Entry] = {entry.arcname: entry for entry in plan.entries}
    for file in byte_code.values():
        folder = posixpath.dirname(file.arcname)
        if folder not in entries:
            entries[folder] = DirectoryEntry(arcname=folder, mtime=plan.manifest_time)
            plan.log.change(folder, "the parent folder of other entries")
        entries[file.arcname] = file
        plan.log.change(file.arcname, "bytecode, compiled for the archive")
    names = {source: file.arcname for source, file in byte_code.items()}
    for name, entry in entries.items():
        info, base = posixpath.split(name)
        site = posixpath.dirname(info)
        if base != "RECORD" or site not in environment.site_packages:
            continue
        if isinstance(entry, FileEntry) and isinstance(entry.content, bytes):
            content = with_byte_code_rows(entry.content, site, names)
            entries[name] = replace(entry, content=content, size=len(content))
    notes = [*plan.notes, *_told(not_compiled, environment)]
    return replace(plan, entries=tuple(in_order(entries.values())), notes=tuple(notes))


def _told(not_compiled: Sequence[str], environment: Environment) -> Iterator[str]:
    if not_compiled:
        count = len(not_compiled)
        yield (
            f"{count} of the source files, such as {not_compiled[0]}, cannot be compiled by Python"
            f" {environment.interpreter.version} (templates, or code for another Python version):"
            " packed without bytecode"
        )
