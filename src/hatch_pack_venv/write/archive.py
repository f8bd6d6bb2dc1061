"""From a plan to files: archives with their facts next to them, or a folder."""

from __future__ import annotations

import json
import logging
import os
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from ..metadata.files import proven_archive
from ..model import manifest
from ..model.components import BESIDE
from ..model.entries import DirectoryEntry
from ..model.errors import OutputProblem, telling_system_errors
from ..model.formats import (
    CompressionFormat,
    CompressionOptions,
    not_remembered,
    usable_cpus,
)
from ..model.results import ExportResult, PackResult, silent
from ..plan.explain import first_step, left_out_by_reason
from ..plan.start import LAYERS, image_layers, in_image, run_head
from ..plan.validate import check_zip_names
from .atomic import (
    PendingFile,
    commit_all,
    left_by_runs,
    pending_folder,
    telling_write_errors,
    uninterrupted,
)
from .block_cache import BlockCache
from .sinks import NullSink
from .sinks.deflate import REPLACED
from .sinks.directory import DirectorySink, can_hold_links
from .sinks.hashed_file import HashedOutput
from .sinks.tar import TarSink
from .sinks.zip import ZipSink
from .stream import write

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from _typeshed import StrPath

    from ..model.build_paths import Finding
    from ..model.entries import FileEntry
    from ..model.formats import Compression, Remembered
    from ..model.plan import PackPlan
    from ..model.proof import Proof
    from ..model.results import Progress, Reporter
    from .sinks import Content, Sink
    from .stream import Written


logger = logging.getLogger("hatch_pack_venv")
_FINDINGS_SHOWN: Final = 10
Check: TypeAlias = "Callable[[PackPlan, Mapping[Path, PackResult]], Proof | None]"
"""Called with a plan and its archives by path, before they are released; an error stops that."""
_BLOCK: Final = 1 << 20


@telling_system_errors()
def write_archives(
    plan: PackPlan,
    output_base: StrPath,
    formats: Iterable[CompressionFormat],
    *,
    compression: CompressionOptions | None = None,
    force: bool = True,
    report: Reporter = silent,
    check: Check | None = None,
) -> list[PackResult]:
    """Write a plan in several formats; either all archives appear, or none.

    Parameters:
        output_base: the archives' path without the formats' suffixes.
        compression: level and threads; by default each format's level and all CPUs.
        force: replace whatever files are in the archives' places, as callers expect of a function
            that takes a path; for people who type a name or run a build, replace only archives of
            ours.
        check: examines the archives before they replace earlier ones.

    Raises:
        PackVenvError: if something cannot be read or written, or another file is in an archive's
            place; nothing is left behind, and earlier archives of the same names are kept.
    """
    formats = tuple(formats)
    if not force:
        named = (each.suffix for each in plan.documents)
        told = [*filter(None, named), *(each.suffix for each in plan.statements)]
        _refuse_others((each.archive_path(output_base) for each in formats), (".json", *told))
    if CompressionFormat.ZIP in formats:
        check_zip_names(plan)
    _log(plan)
    if REPLACED and {CompressionFormat.GZIP, CompressionFormat.ZIP} & {*formats}:
        logger.warning(REPLACED)
    levels = compression or CompressionOptions()
    with ExitStack() as stack:
        # The cache leaves room for the archives, and for one that is unpacked to be proved.
        blocks = stack.enter_context(_blocks(plan.size * (len(formats) + 1), levels))
        archives: list[PendingFile] = []
        documents: list[Mapping[str, bytes]] = []
        written: dict[Path, PackResult] = {}
        for format in formats:
            file = _pending(stack, format.archive_path(output_base), executable=format.is_program)
            how = replace(_compression(plan, format, levels), remembered=blocks)
            result, beside = _write_archive(plan, file, how, report)
            archives.append(file)
            documents.append(beside)
            written[file.partial] = result
        proof = None if check is None else check(plan, written)
        results = [replace(result, proof=proof) for result in written.values()]
        pending: list[PendingFile] = []
        for file, result, beside in zip(archives, results, documents, strict=True):
            pending.append(file)
            for suffix, content in {**beside, **_beside(result, plan)}.items():
                pending.append(_pending(stack, file.path.with_name(file.path.name + suffix)))
                with telling_write_errors(pending[-1].path):
                    pending[-1].stream.write(content)
        for file in pending:
            file.finish()
        obsolete = _obsolete(archives, {file.path for file in pending})
        commit_all(pending)
        for path in obsolete:
            with suppress(OSError):  # the archives are in place
                path.unlink()
    _log_findings(results[0].findings if results else ())
    return results


def _refuse_others(archives: Iterable[Path], suffixes: Iterable[str]) -> None:
    """Refuse to replace files that nothing proves to be archives of ours.

    Raises:
        OutputProblem: there are some; it names one for each such archive.
    """
    foreign: list[str] = []
    for archive in archives:
        facts = archive.with_name(f"{archive.name}.json")
        beside = [archive.with_name(f"{archive.name}{suffix}") for suffix in suffixes]
        there = [str(each) for each in (archive, *beside) if each.is_symlink() or each.is_file()]
        told = (facts, *left_by_runs(facts))  # a killed run may have renamed the archive alone
        if there and not any(proven_archive(each, archive=archive) for each in told):
            foreign.append(there[0])
    if foreign:
        it = "it" if len(foreign) == 1 else "them"
        raise OutputProblem(
            f"{' and '.join(foreign)} would be replaced, but no .json next to {it} shows that"
            f" pack-venv wrote {it}: remove {it}, choose another name or use pack-venv pack --force"
        )


def _obsolete(archives: Iterable[PendingFile], written: Collection[Path]) -> list[Path]:
    """Return the files that describe earlier archives of ours and are not written again."""
    found: list[Path] = []
    for file in archives:
        beside = (file.path.with_name(f"{file.path.name}{suffix}") for suffix in BESIDE)
        left = [each for each in beside if each not in written and os.path.lexists(each)]
        if left and proven_archive(file.path.with_name(f"{file.path.name}.json")) is not None:
            found += left
    return found


def _pending(stack: ExitStack, path: Path, *, executable: bool = False) -> PendingFile:
    """Create a file that the stack removes unless it is committed."""
    with uninterrupted():
        return stack.enter_context(PendingFile(path, executable=executable))


def _compression(
    plan: PackPlan, format: CompressionFormat, compression: CompressionOptions
) -> Compression:
    machine = plan.head["platform"]["machine"]
    x86 = machine in ("x86_64", "AMD64", "i386", "i686")
    compressor = plan.image.compression if format is CompressionFormat.OCI else format
    found = compression.for_format(compressor, x86=x86)
    return replace(found, format=format, own=plan.own)


@contextmanager
def _blocks(room: int, compression: CompressionOptions) -> Iterator[Remembered]:
    """Yield the look-up of compressed blocks, and log afterwards how much it found."""
    cache = BlockCache.opened(room) if compression.cache else None
    if cache is None:
        yield not_remembered
        return
    try:
        yield cache.remembered
    finally:  # builds that fail, one after another, fill the folder as well
        cache.close()
    if cache.found or cache.made:
        logger.info(cache.summary)


def _write_archive(
    plan: PackPlan, file: PendingFile, compression: Compression, report: Reporter
) -> tuple[PackResult, Mapping[str, bytes]]:
    """Write an archive; return its facts, and by suffix the documents to write next to it."""
    format = compression.format
    with (
        telling_write_errors(file.path),
        HashedOutput(file.stream, synced=file.replaces) as output,
        report(plan.size) as progress,
    ):
        if format is CompressionFormat.OCI:
            plan = in_image(plan)
        # With xz, data waits long between reading and compression: progress reports the latter.
        lagging = _Lagging(progress, plan.size) if format is CompressionFormat.XZ else None
        sink = _sink(plan, output, compression, lagging)
        written = write(plan, sink, progress if lagging is None else _unheard)
        if lagging is not None:
            lagging.finish()
        sha256 = output.finish()
        file.stream.flush()  # the proof opens the archive by its name
    result = PackResult(
        path=file.path,
        format=format,
        sha256=sha256,
        size=output.size,
        content_digest=written.digest,
        entry_count=written.entry_count,
        unpacked_size=written.size,
        findings=written.findings,
        needs=plan.needs,
        install_target=plan.install_target,
        floor=plan.floor,
        start=first_step(plan),
    )
    return result, written.beside


def _sink(
    plan: PackPlan, output: HashedOutput, compression: Compression, lagging: Progress | None
) -> Sink:
    match compression.format:
        case CompressionFormat.ZIP:
            return ZipSink(output, compression, plan.install_target)
        case CompressionFormat.RUN:
            from .sinks.run import RunSink

            return RunSink(output, compression, run_head(plan), plan.install_target)
        case CompressionFormat.OCI:
            from .sinks.oci import OciSink

            layers = (image_layers(plan), LAYERS)
            platform = (plan.head["platform"]["machine"], plan.manifest_time)
            return OciSink(output, compression, plan.image, layers, platform)
        case CompressionFormat.SQUASHFS:
            from .sinks.squashfs import SquashfsSink

            newest = max((each.mtime or 0 for each in plan.entries), default=0)
            newest = max(newest, plan.manifest_time)
            return SquashfsSink(output, compression, plan.install_target, newest)
        case _:
            return TarSink(output, compression, plan.install_target, lagging)


def _unheard(_count: int) -> None:
    """Ignore the size of what was read, where progress is reported otherwise."""


class _Lagging:
    """Reports progress from threads, in bytes of the plan: headers and padding do not count."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._left = total
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            told = min(count, self._left)
            self._left -= told
            if told:
                self._progress(told)

    def finish(self) -> None:
        """Report what is left."""
        self(self._left)


def _beside(result: PackResult, plan: PackPlan) -> dict[str, bytes]:
    """Return the files that describe an archive, by suffix: facts and statements."""
    facts = {
        **result.to_dict(),
        "install_target": plan.install_target,
        **plan.beside,
        "left_out": left_out_by_reason(plan),
        "manifest": dict(plan.head),
    }
    statements = {each.suffix: each.render(result) for each in plan.statements}
    return {".json": (json.dumps(facts, indent=1) + "\n").encode(), **statements}


@telling_system_errors()
def write_folder(
    plan: PackPlan,
    target: Path,
    *,
    threads: int | None = None,
    hard_links: bool = False,
    report: Reporter = silent,
    then: Callable[[Path], None] | None = None,
) -> ExportResult:
    """Write a plan into a folder, which replaces an empty one or an earlier export.

    Parameters:
        threads: number of writing threads, or `None` for the number of CPUs available to this
            process.
        hard_links: share inodes with the source where possible.
        then: called with the target when everything is in place.

    Raises:
        PackVenvError: if something cannot be read or written; the target is unchanged, even
            if `then` fails.
    """
    _log(plan)
    with pending_folder(target, then) as folder, telling_write_errors(target):
        written = fill_folder(plan, folder, threads, hard_links=hard_links, report=report)
    _log_findings(written.findings)
    return ExportResult(
        path=target,
        content_digest=written.digest,
        entry_count=written.entry_count,
        size=written.size,
        findings=written.findings,
        needs=plan.needs,
        floor=plan.floor,
        start=first_step(plan),
    )


def fill_folder(
    plan: PackPlan,
    folder: Path,
    threads: int | None = None,
    *,
    hard_links: bool = False,
    report: Reporter = silent,
) -> Written:
    """Create a folder that is itself the install target, and write a plan into it."""
    folder.mkdir()
    sink = DirectorySink(folder, threads or usable_cpus(), hard_links=hard_links)
    sink.add_directory(DirectoryEntry(arcname="", mtime=plan.manifest_time))
    with report(plan.size) as progress:
        return write(replace(plan, install_target="."), sink, progress)


def rewrite_manifest(plan: PackPlan, folder: Path) -> None:
    """Replace the manifest in a folder that has been filled and then changed.

    Parameters:
        plan: what the folder holds now.
    """
    sink = _Manifest(holds_links=can_hold_links(folder))
    with silent(plan.size) as progress:
        write(replace(plan, install_target="."), sink, progress)
    path = folder / manifest.ARCNAME
    path.unlink()
    path.write_bytes(sink.content)
    os.utime(path, (plan.manifest_time,) * 2)


class _Manifest(NullSink):
    """A sink that keeps only the manifest."""

    def __init__(self, *, holds_links: bool) -> None:
        self.holds_links = holds_links
        self.content = b""

    def add_bytes(self, entry: FileEntry, data: bytes, _digest: bytes) -> None:
        """Keep the manifest."""
        if entry.arcname == manifest.ARCNAME:
            self.content = data

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Read a file, so that it is hashed; a manifest may be large."""
        data = b""
        while block := stream.read(_BLOCK):
            data += block if entry.arcname == manifest.ARCNAME else b""
        self.add_bytes(entry, data, stream.digest())


def read_through(plan: PackPlan, *, report: Reporter = silent) -> Mapping[str, bytes]:
    """Read a plan as if writing it; return what would be next to an archive, by suffix.

    Raises:
        PackVenvError: if something cannot be read, or breaks on the target.
    """
    with report(plan.size) as progress:
        return write(plan, NullSink(), progress).beside


def _log(plan: PackPlan) -> None:
    for note in plan.notes:
        logger.warning(note)
    for remark in plan.remarks:
        logger.info(remark)


def _log_findings(findings: Sequence[Finding]) -> None:
    for finding in findings[:_FINDINGS_SHOWN]:
        logger.warning(finding)
    more = len(findings) - _FINDINGS_SHOWN
    if more > 0:
        logger.warning("%d more files contain such paths: see `findings` in the results", more)
