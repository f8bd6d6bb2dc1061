"""The plan: what an archive will hold, and what was decided about each entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .build_paths import LeakPolicy
from .entries import FileEntry
from .requirements import describe_requirements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .distribution import InstalledDistribution
    from .entries import Entry, ScannedEntry


POSTINSTALL: Final = "postinstall.py"
InterpreterMode: TypeAlias = Literal["bundled", "target", "promised", "linked", "neighbour"]
"""Who brings the interpreter; `linked` leaves `bin/python` the link it is (the seed API)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one entry, and why.

    Parameters:
        size: in bytes, of a file.
    """

    path: str
    why: str
    size: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON knows it."""
        return {"path": self.path, "why": self.why, "size": self.size}


class DecisionLog:
    """Why entries are left out, changed or added, noted where it is decided.

    Of what is left out the first reason counts, of what is changed or added the last.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def leave_out(self, arcname: str, why: str) -> None:
        """Note why an entry of the environment is not packed."""
        self.left_out.setdefault(arcname, why)

    def change(self, arcname: str, why: str) -> None:
        """Note why an entry is packed otherwise than it is, or is packed at all."""
        self.changed[arcname] = why

    def changes(
        self, before: Iterable[ScannedEntry], after: Iterable[ScannedEntry], why: str
    ) -> None:
        """Note why those of some entries that are others afterwards have changed."""
        for old, new in zip(before, after, strict=True):
            if old is not new:
                self.change(new.arcname, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """What an archive will hold, in the archive's order; the manifest follows as the last entry.

    Parameters:
        head: what the manifest says before it lists the files.
        notes: what a user may want to know of, a sentence each.
        watch: what the writer looks for in all that it writes.
        distributions: what is packed.
        beside: facts of the environment, told beside the archive: what it holds does not depend
            on them.
        scanned: the entries of the environment as they were found.
        log: why they are left out or changed, and others added.
    """

    entries: tuple[Entry, ...]
    install_target: str
    head: Mapping[str, Any]
    manifest_time: int
    notes: tuple[str, ...] = ()
    leak_policy: LeakPolicy = field(default_factory=LeakPolicy)
    distributions: tuple[InstalledDistribution, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    scanned: tuple[ScannedEntry, ...] = field(default=(), repr=False)
    log: DecisionLog = field(default_factory=DecisionLog, repr=False, compare=False)

    @property
    def platform_tag(self) -> str:
        """The platform as in wheel tags, with the least version of its libc where there is one."""
        return str(self.head["platform"]["tag"])

    @property
    def needs(self) -> tuple[str, ...]:
        """What the target must have at least, in words."""
        return tuple(describe_requirements(self.head["platform"]))

    @property
    def size(self) -> int:
        """Bytes that will be read, the manifest apart."""
        return sum(entry.size for entry in self.entries if isinstance(entry, FileEntry))

    def with_facts(self, facts: Mapping[str, Any], notes: Iterable[str]) -> PackPlan:
        """Return this plan with more to say in its manifest's head and to its user."""
        return replace(self, head={**self.head, **facts}, notes=(*self.notes, *notes))

    def with_beside(self, facts: Mapping[str, Any], notes: Iterable[str]) -> PackPlan:
        """Return this plan with more to say beside the archive and to its user."""
        return replace(self, beside={**self.beside, **facts}, notes=(*self.notes, *notes))
