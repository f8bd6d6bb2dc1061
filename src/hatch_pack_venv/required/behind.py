"""What nothing needs and is left behind: `distributions = "required"`; pure."""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ..entries import DirectoryEntry, FileEntry, SymlinkEntry
from ..scripts import activation
from ..selection import parents_of
from ..sizes import human_size, size_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ..distributions import InstalledDistribution
    from ..entries import ScannedEntry
    from ..environment import Environment
    from ..plan import PackPlan
    from ..selection import Selection

logger = logging.getLogger("hatch_pack_venv")

_NOT_REQUIRED: Final = "not required"
_IN_A_LAYER: Final = "a lower layer has it"


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The distributions that are left behind, and how an environment looks without them.

    Parameters:
        distributions: those left behind.
        staying: the others.
        unknown: those of `staying` that nothing needs, whose files nothing tells.
        selection: what brings back files of those left behind, and leaves out others.
        shared: normalised names of those that a lower layer holds.
    """

    distributions: tuple[InstalledDistribution, ...] = ()
    staying: tuple[InstalledDistribution, ...] = ()
    unknown: tuple[InstalledDistribution, ...] = ()
    selection: Selection
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        environment: Environment,
        needed: Collection[str],
        selection: Selection,
        shared: frozenset[str] = frozenset(),
    ) -> Behind:
        """Divide an environment's distributions.

        Parameters:
            needed: normalised names of those that are packed, and of those that are shared.
            shared: of those that a lower layer holds.
        """
        packed = {*needed} - shared
        others = [each for each in environment.distributions if each.key not in packed]
        leaving = tuple(each for each in others if each.files or each.editable is not None)
        return cls(
            distributions=leaving,
            staying=tuple(each for each in environment.distributions if each not in leaving),
            unknown=tuple(each for each in others if each not in leaving),
            selection=selection,
            shared=shared & {*needed},
        )

    @property
    def keys(self) -> frozenset[str]:
        """The normalised names of those left behind."""
        return frozenset(each.key for each in self.distributions)

    def without(self, environment: Environment) -> Environment:
        """Return an environment without them, as if they had not been installed."""
        gone = {each.metadata_dir for each in self.distributions}
        kept = (each for each in environment.distributions if each.metadata_dir not in gone)
        return replace(environment, distributions=tuple(kept))

    def applied(self, scanned: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield an environment's entries without theirs, and without folders that they leave empty.

        A file that one of those that stay has, too, stays.
        """
        entries = list(scanned)
        taken = {entry.arcname for entry in entries if self.takes(entry.arcname)}
        kept = [entry for entry in entries if entry.arcname not in taken]
        holding = parents_of(entry.arcname for entry in entries)
        leaves = (
            entry.arcname
            for entry in kept
            if not isinstance(entry, DirectoryEntry) or entry.arcname not in holding
        )
        emptied = parents_of(taken) - parents_of(leaves)
        for entry in kept:
            if not isinstance(entry, DirectoryEntry) or entry.arcname not in emptied:
                yield entry

    def takes(self, arcname: str) -> bool:
        """Whether a file is left behind with its distribution."""
        folder, _, name = arcname.rpartition("/__pycache__/")
        source = f"{folder}/{name.split('.')[0]}.py" if folder else arcname
        theirs = source in self._files or arcname.startswith(self._metadata)
        return theirs and not self.selection.brings_back(arcname)

    @cached_property
    def _files(self) -> frozenset[str]:
        stays = {name for each in self.staying for name in each.files}
        alone = {each.metadata_dir for each in self.distributions}  # `.egg-info` may be a file
        return frozenset({n for each in self.distributions for n in each.files} | alone) - stays

    @cached_property
    def _metadata(self) -> tuple[str, ...]:
        return tuple(f"{each.metadata_dir}/" for each in self.distributions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a plan without those left behind."""

    behind: Behind
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
            selection = self.behind.selection
            if self.behind.takes(entry.arcname) and not selection.excludes(entry, self.environment):
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
        is_script = folder == self.environment.scripts and name in activation.NAMES
        return is_script or self.environment.is_of_interpreter(arcname)
