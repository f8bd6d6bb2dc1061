"""What a plan is made by, and what it is: values without a decision in them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .binaries.floors import Floors, told_needs
from .entries import FileEntry
from .leaks import Watch
from .normalise import Times
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .distributions import InstalledDistribution
    from .entries import Entry
    from .layers.neighbours import Neighbours
    from .places import Place

POSTINSTALL: Final = "postinstall.py"

Interpreter: TypeAlias = Literal["bundled", "target", "promised", "linked", "neighbour"]
"""Who brings the interpreter; `linked` leaves `bin/python` the link it is (the seed API)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an archive is to be made.

    Parameters:
        name, version: of the project, or of the environment.
        install_target: the top folder in the archive; `"."` for none.
        places: folders of the build machine that nothing packed should name.
        external_links: whether links may leave the environment; else copies stand in their place.
        excluded_project: the normalised name of a distribution that stays out.
        excluded_editables: those of editable installs that stay out if nothing packed needs them.
        problems, notes: what is known of the environment before it is planned.
        floors: what files ask of the target's system.
        neighbours: the environments that it lies beside on the target, if it shares any.
        relied_on: normalised names of what they hold and what is packed needs.
        libraries: names of shared libraries that layers above may need, by arcname.
    """

    name: str
    version: str | None = None
    install_target: str
    interpreter: Interpreter = "bundled"
    places: tuple[Place, ...] = ()
    external_links: bool = False
    excluded_project: str | None = None
    excluded_editables: frozenset[str] = frozenset()
    selection: Selection = field(default_factory=Selection)
    floors: Floors = field(default_factory=Floors)
    times: Times = field(default_factory=Times)
    neighbours: Neighbours | None = None
    relied_on: frozenset[str] = frozenset()
    libraries: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
    """

    entries: tuple[Entry, ...]
    install_target: str
    head: Mapping[str, Any]
    manifest_time: int
    notes: tuple[str, ...] = ()
    watch: Watch = field(default_factory=Watch)
    distributions: tuple[InstalledDistribution, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def platform_tag(self) -> str:
        """The platform as in wheel tags, with the least version of its libc where there is one."""
        return str(self.head["platform"]["tag"])

    @property
    def needs(self) -> tuple[str, ...]:
        """What the target must have at least, in words."""
        return tuple(told_needs(self.head["platform"]))

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
