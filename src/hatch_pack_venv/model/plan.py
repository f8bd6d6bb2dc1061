"""The plan: what an archive will contain, and what was decided about each entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .build_paths import LeakPolicy
from .entries import FileEntry
from .image import Image
from .requirements import describe_needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .distribution import InstalledDistribution
    from .entries import Entry, ScannedEntry
    from .results import PackResult


POSTINSTALL: Final = "postinstall.py"
InterpreterMode: TypeAlias = Literal["bundled", "target", "promised", "linked", "neighbour"]
"""Who provides the interpreter; `linked` keeps `bin/python` as the link it is (the seed API)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a check of something to be packed has found, one sentence each.

    Parameters:
        problems: what will not work on the target; if there are any, nothing is packed.
        notes: what a user may want to know.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        """Return these findings followed by others."""
        return Findings(
            problems=(*self.problems, *other.problems), notes=(*self.notes, *other.notes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one entry, and why.

    Parameters:
        size: in bytes, for files.
    """

    path: str
    why: str
    size: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-compatible values."""
        return {"path": self.path, "why": self.why, "size": self.size}


class DecisionLog:
    """Why entries are left out, changed or added, logged where the decision is made.

    For an entry that is left out, the first reason counts; for one changed or added, the last.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def leave_out(self, arcname: str, why: str) -> None:
        """Log why an entry of the environment is not packed."""
        self.left_out.setdefault(arcname, why)

    def change(self, arcname: str, why: str) -> None:
        """Log why an entry is packed with changes, or was added."""
        self.changed[arcname] = why

    def changes(
        self, before: Iterable[ScannedEntry], after: Iterable[ScannedEntry], why: str
    ) -> None:
        """Log why entries that differ between two lists have changed."""
        for old, new in zip(before, after, strict=True):
            if old is not new:
                self.change(new.arcname, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text about what is packed, rendered when everything else has been hashed.

    Parameters:
        arcname: its name in the archive, where it precedes the manifest; `None` to leave it out.
        suffix: what is appended to the archive's name to name a file next to it; `None` to write no
            such file.
        why: what `--dry-run` says about it.
        render: returns its bytes, given a function that returns the content digest of what has
            been written so far, and one from an arcname to a file's SHA-256 as hexadecimal digits.
    """

    arcname: str | None = None
    suffix: str | None = None
    why: str
    render: Callable[[Callable[[], str], Callable[[str], str]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A text about a finished archive, written next to it.

    Parameters:
        suffix: what is appended to the archive's name to name it.
        render: returns its bytes, given the archive.
    """

    suffix: str
    render: Callable[[PackResult], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """What an archive will contain, in archive order; the manifest follows as the last entry.

    Parameters:
        head: the part of the manifest before the list of files.
        notes: what a user may want to know, one sentence each.
        remarks: what most users can do nothing about, one sentence each.
        floor: what determines the oldest supported system, and how to lower it.
        leak_policy: what the writer looks for in everything it writes.
        distributions: the packed distributions.
        runtime: arcnames of the interpreter's entries, for `bundled`.
        own: arcnames of the project's own files, which change with each release.
        image: what an image contains and declares in addition to the environment.
        start: arcname of the script that formats such as `run` start; empty for none.
        beside: facts about the environment, published next to the archive, whose content does not
            depend on them.
        base_distributions: the base interpreter's packages that are packed.
        documents: what else is written, at the end of the archive or next to it.
        statements: what is written next to the archive when it is finished.
        scanned: the entries of the environment as they were found.
        log: why entries were left out, changed or added.
    """

    entries: tuple[Entry, ...]
    install_target: str
    head: Mapping[str, Any]
    manifest_time: int
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    floor: str | None = None
    leak_policy: LeakPolicy = field(default_factory=LeakPolicy)
    distributions: tuple[InstalledDistribution, ...] = ()
    runtime: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    image: Image = field(default_factory=Image)
    start: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    base_distributions: tuple[InstalledDistribution, ...] = ()
    documents: tuple[Document, ...] = field(default=(), repr=False)
    statements: tuple[Statement, ...] = field(default=(), repr=False)
    scanned: tuple[ScannedEntry, ...] = field(default=(), repr=False)
    log: DecisionLog = field(default_factory=DecisionLog, repr=False, compare=False)

    @property
    def platform_tag(self) -> str:
        """The platform as in wheel tags, with the minimum libc version if there is one."""
        return str(self.head["platform"]["tag"])

    @property
    def needs(self) -> tuple[str, ...]:
        """The minimum requirements on the target, in words."""
        return tuple(describe_needs(self.head))

    @property
    def size(self) -> int:
        """Number of bytes that will be read, without the manifest."""
        return sum(entry.size for entry in self.entries if isinstance(entry, FileEntry))

    def with_facts(self, facts: Mapping[str, Any], notes: Iterable[str]) -> PackPlan:
        """Return a copy with additional facts in the manifest's head and additional notes."""
        return replace(self, head={**self.head, **facts}, notes=(*self.notes, *notes))

    def with_beside(self, facts: Mapping[str, Any], notes: Iterable[str]) -> PackPlan:
        """Return a copy with additional facts next to the archive and additional notes."""
        return replace(self, beside={**self.beside, **facts}, notes=(*self.notes, *notes))
