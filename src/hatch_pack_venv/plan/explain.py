"""What packing would do, told without doing it: the environment's entries against the plan's."""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..model.entries import DirectoryEntry, FileEntry, PatchedFile, SymlinkEntry
from ..model.results import human_size, size_of
from ..platforms.posix import activation as posix_activation
from ..platforms.posix import data_files as posix_data_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ..model.distribution import InstalledDistribution
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..model.plan import PackPlan
    from ..requirements.check import PrunedDistributions
    from .select import Selection


logger = logging.getLogger("hatch_pack_venv")
_IN_A_LAYER: Final = "a lower layer has it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What is told of a plan without those left behind."""

    behind: PrunedDistributions
    selection: Selection
    environment: Environment
    scanned: Sequence[ScannedEntry]

    def added_to(self, plan: PackPlan) -> PackPlan:
        """Return a plan with its notes, and with facts that stand beside the archive."""
        left = [*self._left()]
        owned = frozenset(name for each in plan.distributions for name in each.files)
        packed = size_of(entry for entry in plan.entries if entry.arcname in owned)
        total = packed + size_of(left)
        counts = len(plan.distributions), len(plan.distributions) + len(self.behind.distributions)
        notes = [
            f"packed {counts[0]} of {counts[1]} distributions, {human_size(packed)} of"
            f" {human_size(total)}"
        ]
        notes += [
            f"{each.name} {each.version} is not required and was kept: neither a RECORD nor other"
            " metadata tell its files"
            for each in self.behind.unknown
        ]
        unowned = self.unowned(plan)
        if unowned:
            what = "files that no distribution owns were"
            what = what if len(unowned) > 1 else "file that no distribution owns was"
            notes.append(f"{len(unowned)} {what} kept (-v names them)")
            for name in unowned:
                logger.debug("kept, of no distribution: %s", name)
        facts = {
            "packed": counts[0],
            "of": counts[1],
            "packed_size": packed,
            "size": total,
            "left_out": [
                {"name": each.name, "version": each.version, "why": self._why(each)}
                for each in self.behind.distributions
            ],
            "files_of_no_distribution": unowned,
        }
        return plan.with_beside({"distributions": facts}, notes)

    def _why(self, left: InstalledDistribution) -> str:
        return _IN_A_LAYER if left.key in self.behind.shared else _NOT_REQUIRED

    def _left(self) -> Iterator[ScannedEntry]:
        """Yield the entries that would be packed if all distributions were."""
        for entry in self.scanned:
            if not self.behind.takes(entry.arcname) or self.selection.brings_back(entry.arcname):
                continue
            if not self.selection.excludes(entry, self.environment):
                yield entry

    def unowned(self, plan: PackPlan) -> list[str]:
        """Return the arcnames of packed files that no distribution of the environment owns."""
        packed = {e.arcname for e in plan.entries if isinstance(e, (FileEntry, SymlinkEntry))}
        distributions = [*self.environment.distributions, *plan.distributions]
        owned = {name for each in distributions for name in each.files}
        metadata = tuple(f"{each.metadata_dir}/" for each in distributions)
        return [
            entry.arcname
            for entry in self.scanned
            if entry.arcname in packed - owned
            and not entry.arcname.startswith(metadata)
            and not self._is_of_the_environment(entry.arcname)
        ]

    def _is_of_the_environment(self, arcname: str) -> bool:
        """Whether makers of environments write a file of this name, or we do."""
        folder, name = posixpath.split(arcname)
        if not folder:
            return name in ("lib64", "postinstall.py", "pyvenv.cfg")
        if folder in self.environment.site_packages:
            return name.startswith("_virtualenv.")  # virtualenv's and uv's
        is_script = folder == self.environment.scripts and name in posix_activation.NAMES
        return is_script or self.environment.is_of_interpreter(arcname)


_COMPILED: Final = "byte code, compiled for the archive"
_REWRITTEN: Final = {
    "RECORD": "made true for what is packed",
    "pyvenv.cfg": "names no place, so that it is right everywhere",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of one entry, and why; `size` is of a file, in bytes."""

    path: str
    why: str
    size: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON knows it."""
        return {"path": self.path, "why": self.why, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an archive would hold.

    Parameters:
        head: what its manifest would say.
        unchanged: how many files, folders and links are packed as they are.
        rewritten: entries of the environment that are packed otherwise than they are.
        added: entries that come from elsewhere: the interpreter, wheels, ourselves.
        left_out: entries of the environment that stay behind.
        refused: what stands in the way, a sentence each; the rest is then empty.
        notes: what else is told when packing.
        beside: facts that would be told beside an archive.
    """

    head: dict[str, Any] = field(default_factory=dict)
    entry_count: int = 0
    size: int = 0
    unchanged: int = 0
    rewritten: tuple[Step, ...] = ()
    added: tuple[Step, ...] = ()
    left_out: tuple[Step, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        return {
            "entry_count": self.entry_count,
            "size": self.size,
            "unchanged": self.unchanged,
            "rewritten": [step.to_dict() for step in self.rewritten],
            "added": [step.to_dict() for step in self.added],
            "left_out": [step.to_dict() for step in self.left_out],
            "refused": list(self.refused),
            "notes": list(self.notes),
            **self.beside,
            "manifest": self.head,
        }


def preview(
    scanned: Iterable[ScannedEntry],
    plan: PackPlan,
    environment: Environment,
    selection: Selection,
    *,
    wheels: Collection[str] = (),
) -> Preview:
    """Tell a plan by what it does to each entry of the environment.

    Parameters:
        scanned: the environment's entries, as they were given to the plan.
        selection: the rules and patterns that the plan was made with.
        wheels: normalised names of what wheels bring; other distributions that the environment does
            not have as they are packed were copied from their source folders.
    """
    entries = {entry.arcname: entry for entry in plan.entries}
    there = {entry.arcname: entry for entry in scanned}
    comparison = _Comparison(entries, environment, selection, plan, frozenset(wheels))
    steps = {name: comparison.of(entry) for name, entry in there.items() if name in entries}
    return Preview(
        head=dict(plan.head),
        entry_count=len(entries) + 1 + (plan.install_target != "."),
        size=plan.size,
        unchanged=sum(step is None for step in steps.values()),
        rewritten=tuple(step for step in steps.values() if step is not None),
        added=tuple(
            comparison.added(entry) for name, entry in entries.items() if name not in there
        ),
        left_out=tuple(comparison.left_out(there[name]) for name in there if name not in entries),
        notes=plan.notes,
        beside=plan.beside,
    )


class _Comparison:
    def __init__(
        self,
        entries: dict[str, Entry],
        environment: Environment,
        selection: Selection,
        plan: PackPlan,
        wheels: frozenset[str],
    ) -> None:
        self.entries = entries
        self.environment = environment
        self.selection = selection
        self.wheels = wheels
        left = plan.beside.get("distributions", {}).get("left_out", ())
        self.behind = {f"{each['name']} {each['version']}": each["why"] for each in left}
        self.owners = _owners(environment.distributions)
        installed = {id(each) for each in environment.distributions}
        self.brought = [each for each in plan.distributions if id(each) not in installed]
        self.bringers = _owners(self.brought)
        self.byte_code = {
            name for name in entries if name.endswith(".pyc") and "/__pycache__/" in name
        }

    def of(self, entry: ScannedEntry) -> Step | None:
        """Say what becomes of an entry that is packed; `None` if nothing does."""
        packed = self.entries[entry.arcname]
        why: str | None = None
        if isinstance(entry, SymlinkEntry):
            why = self._of_link(entry, packed)
        elif type(packed) is not type(entry):
            why = "replaced"
        elif isinstance(packed, FileEntry) and isinstance(entry, FileEntry):
            why = self._of_file(entry, packed)
        return None if why is None else Step(path=entry.arcname, why=why, size=_size(packed))

    def _of_link(self, link: SymlinkEntry, packed: Entry) -> str | None:
        if not isinstance(packed, SymlinkEntry) and self.environment.is_of_interpreter(
            link.arcname
        ):
            return f"the bundled interpreter itself instead of a link to it ({link.linkname})"
        if not isinstance(packed, SymlinkEntry):
            return f"a copy of what the link leads to ({link.linkname})"
        if packed.linkname != link.linkname:
            return f"the link leads to {packed.linkname} instead of {link.linkname}"
        return None

    def _of_file(self, entry: FileEntry, packed: FileEntry) -> str | None:
        if packed.content == entry.content:
            return None
        folder, name = posixpath.split(entry.arcname)
        if entry.arcname in self.byte_code:
            return _COMPILED
        if isinstance(packed.content, PatchedFile):
            return "its search path begins at its own place"
        if name in _REWRITTEN:
            return _REWRITTEN[name]
        if folder == self.environment.scripts and name in posix_activation.NAMES:
            return "an activation script that finds its own folder"
        if folder == self.environment.scripts:
            return "a launcher that finds its own interpreter"
        if name.endswith(".pth") or posix_data_files.may_be_rewritten(entry.arcname):
            return "its paths are relative"
        if entry.arcname in self.bringers:
            return self._brought(self.bringers[entry.arcname])
        return "replaced by another file of this name"

    def added(self, entry: Entry) -> Step:
        """Say where an entry comes from that the environment does not have."""
        name = entry.arcname
        if name == "postinstall.py":
            why = "connects the environment where it is unpacked"
        elif isinstance(entry, DirectoryEntry):
            why = "a folder of other entries"
        elif name in self.byte_code:
            why = _COMPILED
        elif name in self.bringers:
            why = self._brought(self.bringers[name])
        elif self._is_of_runtime(name):
            why = "of the interpreter, or of what it needs"
        elif posixpath.basename(name) in posix_activation.NAMES:
            why = "an activation script that finds its own folder"
        elif name.startswith("share/licenses/"):
            why = "a licence of what the interpreter needs"
        elif posixpath.dirname(name) in self.bringers:  # its RECORD
            why = self._brought(self.bringers[posixpath.dirname(name)])
        else:
            why = "written for the archive"
        return Step(path=name, why=why, size=_size(entry))

    def _brought(self, distribution: InstalledDistribution) -> str:
        by_wheel = distribution.key in self.wheels
        where = "from its wheel" if by_wheel else "copied from its source folder"
        return f"of {_told(distribution)}, {where}"

    def _is_of_runtime(self, name: str) -> bool:
        if name.startswith(tuple(f"{site}/" for site in self.environment.site_packages)):
            return False
        if self.environment.is_windows:
            return name.startswith(("Lib/", "DLLs/", "tcl/")) or "/" not in name
        return name.startswith(("lib/", "lib64/", "bin/python", "pyvenv.cfg"))

    def left_out(self, entry: ScannedEntry) -> Step:
        """Say why an entry stays behind."""
        return Step(path=entry.arcname, why=self._why_left_out(entry), size=_size(entry))

    def _why_left_out(self, entry: ScannedEntry) -> str:
        """The order is that in which the plan decides."""
        name = entry.arcname
        owner = self.owners.get(name) or self.owners.get(posixpath.dirname(name))
        if self.environment.is_of_interpreter(name):
            return "a name of the interpreter"
        if owner is not None and _told(owner) in self.behind:
            return self._why_owned(owner)
        chosen = self.selection.why_excluded(name, self.environment)
        if chosen is not None:
            return chosen
        if posixpath.basename(name) == "direct_url.json":
            return "tells where it was installed from on this machine"
        if owner is not None:
            return self._why_owned(owner)
        if isinstance(entry, DirectoryEntry):
            return "a folder that would be empty"
        return (
            "a link to what is left out" if isinstance(entry, SymlinkEntry) else "left out by rule"
        )

    def _why_owned(self, owner: InstalledDistribution) -> str:
        told = _told(owner)
        if told in self.behind:
            return f"of {told}, {self.behind[told]}"
        if owner.key in self.wheels:
            return f"of {told}, which a wheel replaces"
        if any(each.key == owner.key for each in self.brought):
            return f"of {told}, whose source folder is copied"
        return f"of {told}, which the configuration leaves out"


def _owners(distributions: Iterable[InstalledDistribution]) -> dict[str, InstalledDistribution]:
    return {name: each for each in distributions for name in (*each.files, each.metadata_dir)}


def _told(distribution: InstalledDistribution) -> str:
    return f"{distribution.name} {distribution.version}"


def _size(entry: ScannedEntry) -> int:
    return entry.size if isinstance(entry, FileEntry) else 0


_NOT_REQUIRED: Final = "not required"
