"""Changes that a caller makes to a deployed environment before packing (`prepare_deployed_env`)."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..filesystem import copies_of, special_kind
from ..metadata.record import updated_record
from ..model import manifest
from ..model.entries import (
    SAFE_MODE,
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    UnsupportedEntry,
    mode_of,
)
from ..model.errors import PlanError
from ..plan.order import in_order, normalised
from ..plan.validate import check_tree
from ..write.archive import fill_folder, rewrite_manifest
from ..write.atomic import telling_write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..model.entries import Entry, ScannedEntry, Times
    from ..model.plan import PackPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A caller's function that completes a deployed environment.

    Parameters:
        prepare: called with the environment's absolute path; may change anything there.
        times: the modification times that new entries get.
        work_dir: where the environment is created if it is to be archived.
    """

    prepare: Callable[[Path], None]
    times: Times
    work_dir: Path | None = None

    @contextmanager
    def archived(self, plan: PackPlan) -> Iterator[PackPlan]:
        """Yield a plan with the changes that the function makes to a copy of everything packed."""
        named = str(plan.head["name"]) if plan.install_target == "." else plan.install_target
        with tempfile.TemporaryDirectory(dir=self.work_dir, prefix=".pack-venv-") as work:
            folder = Path(os.path.abspath(work), named)
            with telling_write_errors(folder):
                fill_folder(plan, folder)
            yield self._changed(plan, folder)

    def in_place(self, plan: PackPlan, folder: Path) -> None:
        """Let the function change an exported environment, and update its manifest."""
        changed = self._changed(plan, folder)
        if changed is not plan:
            with telling_write_errors(folder):
                _clear_modes(changed, folder)
                rewrite_manifest(changed, folder)

    def _changed(self, plan: PackPlan, folder: Path) -> PackPlan:
        before = _states(folder)
        self.prepare(folder)
        after = _states(folder)
        new = [name for name, state in after.items() if before.get(name) != state]
        gone = before.keys() - after.keys()
        if not new and not gone:
            return plan
        found = [_entry(folder, name) for name in new]
        entries = {each.arcname: each for each in plan.entries if each.arcname not in gone}
        entries |= {each.arcname: each for each in self._usable(found)}
        _make_records_true(plan, entries, new, folder)
        problems = [*_unusable(found), *check_tree(entries, fixed_path=None, leaving=True)]
        if problems:
            raise PlanError("what prepare_deployed_env created cannot be packed", problems)
        return replace(plan, entries=tuple(in_order(entries.values(), plan.own)))

    def _usable(self, found: Iterable[ScannedEntry]) -> list[Entry]:
        usable = [entry for entry in found if not isinstance(entry, UnsupportedEntry)]
        return normalised(usable, self.times, keeps_modes=True)


def _clear_modes(plan: PackPlan, folder: Path) -> None:
    """Clear the mode bits that no packed file has, in case the function has set them."""
    for entry in plan.entries:
        path = folder / entry.arcname
        if not isinstance(entry, SymlinkEntry) and path.lstat().st_mode & ~SAFE_MODE & 0o7777:
            path.chmod(mode_of(entry))


def _unusable(found: Iterable[ScannedEntry]) -> Iterator[str]:
    for entry in found:
        if isinstance(entry, UnsupportedEntry):
            yield f"{entry.arcname} {entry.reason}"


_State: TypeAlias = "tuple[object, ...]"


def _states(folder: Path) -> dict[str, _State]:
    """Return by arcname what distinguishes a changed file, link or folder from an unchanged one."""
    found: dict[str, _State] = {}
    todo = [""]
    while todo:
        above = todo.pop()
        for child in os.scandir(folder / above):
            name = f"{above}/{child.name}" if above else child.name
            status = child.stat(follow_symlinks=False)
            if name == manifest.ARCNAME:
                continue
            if stat.S_ISDIR(status.st_mode):
                found[name] = (status.st_mode,)
                todo.append(name)
            else:
                times = (status.st_mtime_ns, status.st_ctime_ns)
                found[name] = (status.st_mode, status.st_ino, status.st_size, *times)
    return found


def _entry(folder: Path, arcname: str) -> ScannedEntry:
    path = folder / arcname
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        return FileEntry.from_status(arcname, str(path), status)
    if stat.S_ISDIR(status.st_mode):
        return DirectoryEntry.from_status(arcname, status)
    if stat.S_ISLNK(status.st_mode):
        return _link(folder, arcname, int(status.st_mtime))
    return UnsupportedEntry(arcname=arcname, reason=f"is {special_kind(status.st_mode)}")


def _link(folder: Path, arcname: str, mtime: int) -> SymlinkEntry:
    """Return a link's entry; formats without links leave it out if it leads nowhere yet."""
    path = folder / arcname
    real = Path(os.path.realpath(path))
    outside = not real.is_relative_to(os.path.realpath(folder))
    return SymlinkEntry(
        arcname=arcname,
        linkname=os.readlink(path),
        copies=tuple(copies_of(real, arcname)) if outside and real.exists() else (),
        optional=not real.exists(),
        mtime=mtime,
    )


def _make_records_true(
    plan: PackPlan, entries: dict[str, Entry], changed: Iterable[str], folder: Path
) -> None:
    """Update the hashes of changed files in the packed RECORD files."""
    names = [f"{each.metadata_dir}/RECORD" for each in plan.distributions]
    records = {name: entries[name] for name in names if name in entries}
    held: Mapping[str, Entry] = entries
    if records:
        contents = {
            name: FileEntry.from_bytes(name, (folder / name).read_bytes())
            for name in changed
            if isinstance(entries.get(name), FileEntry)
        }
        held = {**entries, **contents}
    for distribution, name in zip(plan.distributions, names, strict=True):
        record = records.get(name)
        if isinstance(record, FileEntry) and isinstance(record.content, bytes):
            content = updated_record(distribution, record.content, held, folder)
            entries[name] = replace(record, content=content, size=len(content))
