"""Reports on a whole plan: facts about it, and what packing would do."""

from __future__ import annotations

import logging
import posixpath
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name
from packaging.version import Version

from ..model import manifest
from ..model.entries import FileEntry, SymlinkEntry
from ..model.plan import POSTINSTALL, Decision
from ..model.results import human_size, size_of, sizes_by_owner
from ..platforms.platform import platform_of
from ..platforms.posix.activation import NAMES
from .links import is_interpreter_alias
from .validate import as_written, drafts, headers_notes, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..binary.headers import HeaderReader
    from ..model.distribution import InstalledDistribution
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..model.interpreter import Bundle
    from ..model.plan import PackPlan
    from ..model.requirements import FileRequirements
    from ..requirements.check import PrunedDistributions
    from .select import Selection


logger = logging.getLogger("hatch_pack_venv")
UNEXPLAINED: Final = "by rule"
"""The reason shown for a decision without one in the log."""


def with_bundle(plan: PackPlan, bundle: Bundle, environment: Environment) -> PackPlan:
    """Return a plan with the facts, notes and packages of its bundled interpreter."""
    plan = plan.with_facts(bundle.told(plan.head), [*bundle.notes, *headers_notes(plan)])
    packages = _in_site(bundle.distributions, environment)
    return replace(plan, remarks=bundle.remarks, base_distributions=packages)


def _in_site(
    distributions: Iterable[InstalledDistribution], environment: Environment
) -> tuple[InstalledDistribution, ...]:
    """Return the base interpreter's packages with the arcnames under which they are packed."""
    site = environment.site_packages[0]

    def moved(arcname: str) -> str:
        return f"{site}/{arcname.partition('/')[2]}"

    return tuple(
        replace(
            each, metadata_dir=moved(each.metadata_dir), files=frozenset(map(moved, each.files))
        )
        for each in distributions
    )


def with_needs_of_target(
    plan: PackPlan,
    environment: Environment,
    met_by_base: Sequence[tuple[str, InstalledDistribution]],
    headers: HeaderReader,
) -> PackPlan:
    """Return a plan that records what the target's interpreter and system must provide.

    Parameters:
        met_by_base: the base interpreter's own packages that are required, each preceded by the
            name of a distribution that requires it.
    """
    if met_by_base:
        plan = plan.with_facts(*_left_to_the_base(met_by_base))
    platform = platform_of(environment.interpreter)
    left = plan.head.get("bundle", {}).get("left_to_the_target", {})
    found = platform.libraries_of_target(environment, plan.entries, headers)
    libraries = [each for each in found if each["name"] not in left]
    return plan.with_facts({"target_libraries": libraries}, ()) if libraries else plan


def _left_to_the_base(
    met_by_base: Sequence[tuple[str, InstalledDistribution]],
) -> tuple[dict[str, Any], list[str]]:
    """Return a fact and a note on the base interpreter's packages that the target must have."""
    listed = [{"name": met.name, "version": met.version} for _, met in met_by_base]
    notes = [
        f"{met.name} {met.version}, which {user} requires, is one of the base interpreter's own"
        " packages and is not packed: make sure that the target's Python has it, or install it"
        " into the environment"
        for user, met in met_by_base
    ]
    return {"base_distributions": listed}, notes


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What to report about a plan without the pruned distributions."""

    pruned: PrunedDistributions
    selection: Selection
    environment: Environment
    scanned: Sequence[ScannedEntry]

    def added_to(self, plan: PackPlan) -> PackPlan:
        """Return a plan with the report's notes and with facts to publish next to the archive."""
        left = [*self._left()]
        owned = frozenset(name for each in plan.distributions for name in each.files)
        packed = size_of(entry for entry in plan.entries if entry.arcname in owned)
        total = packed + size_of(left)
        counts = len(plan.distributions), len(plan.distributions) + len(self.pruned.distributions)
        notes = [
            f"packed {counts[0]} of {counts[1]} distributions, {human_size(packed)} of"
            f" {human_size(total)}"
        ]
        notes += [
            f"{each.name} {each.version} is not required but was kept, because neither a RECORD nor"
            " other metadata lists its files"
            for each in self.pruned.unknown
        ]
        unowned = self.unowned(plan)
        if unowned:
            what = "files that no distribution owns were"
            what = what if len(unowned) > 1 else "file that no distribution owns was"
            notes.append(f"{len(unowned)} {what} kept (-v names them)")
            for name in unowned:
                logger.debug("kept, owned by no distribution: %s", name)
        facts = {
            "packed": counts[0],
            "of": counts[1],
            "packed_size": packed,
            "size": total,
            "left_out": [
                {"name": each.name, "version": each.version, "why": self.pruned.why(each)}
                for each in self.pruned.distributions
            ],
            "files_of_no_distribution": unowned,
        }
        return plan.with_beside({"distributions": facts}, notes)

    def _left(self) -> Iterator[ScannedEntry]:
        """Yield the entries that would have been packed if no distribution had been pruned."""
        for entry in self.scanned:
            if not self.pruned.takes(entry.arcname) or self.selection.brings_back(entry.arcname):
                continue
            if not self.selection.excludes(entry.arcname, self.environment):
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
            and not is_interpreter_alias(entry, self.environment)
        ]

    def _is_of_the_environment(self, arcname: str) -> bool:
        """Return whether environment creators, or this project, write a file of this name."""
        folder, name = posixpath.split(arcname)
        if not folder:
            return name in ("lib64", "postinstall.py", "pyvenv.cfg")
        if folder in self.environment.site_packages:
            return name.startswith("_virtualenv.")  # virtualenv's and uv's
        is_script = folder == self.environment.scripts and name in NAMES
        return is_script or self.environment.is_of_interpreter(arcname)


_LOWEST: Final = Version("2.17")
_BY_THE_INTERPRETER: Final = (
    "the interpreter requires glibc {version}: pack an environment created with uv's"
    " python-build-standalone (uv venv --managed-python), which requires 2.17, or pack on an older"
    " system"
)
_BY_A_LIBRARY: Final = (
    "a bundled library of this machine requires glibc {version}: pack on an older system, or leave"
    " the libraries to the target with vendor-libraries = false"
)
_BY_ONE_DISTRIBUTION: Final = (
    "only {owner} requires glibc {version}; everything else {rest}: leave it out if the application"
    " does not need it, or install an older wheel of it"
)
_BY_DISTRIBUTIONS: Final = (
    "{owner} and others require glibc {version}: install wheels of them that are tagged for an"
    " older manylinux"
)


def floor_reason(plan: PackPlan, floors: FileRequirements) -> str | None:
    """Return what sets the oldest glibc that a plan runs with, and how to lower it, in words.

    Up to the glibc of manylinux2014 there is nothing to report: no wheel is built for an older one.

    Parameters:
        floors: the requirements of the planned files.
    """
    fact = plan.head["platform"].get("glibc")
    if fact is None or Version(fact["version"]) <= _LOWEST:
        return None
    owner = next((each for each in plan.distributions if fact["file"] in each.files), None)
    if owner is None:
        if plan.head.get("interpreter") != "bundled":
            return None
        library = re.fullmatch(r"lib/lib(?!python)[^/]+", fact["file"])
        form = _BY_A_LIBRARY if library else _BY_THE_INTERPRETER
        return form.format(version=fact["version"])
    others = [entry for entry in plan.entries if entry.arcname not in owner.files]
    tag = str(plan.head["platform"]["tag"])
    rest = floors.of(others).facts(tag).get("glibc", {}).get("version")
    form = _BY_DISTRIBUTIONS if rest == fact["version"] else _BY_ONE_DISTRIBUTION
    rest = "runs with any version" if rest is None else f"requires only {rest}"
    return form.format(owner=f"{owner.name} {owner.version}", version=fact["version"], rest=rest)


def left_out_by_reason(plan: PackPlan) -> list[dict[str, Any]]:
    """Return how much of the environment is not packed, by reason, the most bytes first."""
    packed = {entry.arcname for entry in plan.entries}
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for entry in plan.scanned:
        if entry.arcname not in packed:
            why = plan.log.left_out.get(entry.arcname, UNEXPLAINED)
            counts[why] += 1
            sizes[why] += entry.size if isinstance(entry, FileEntry) else 0
    reasons = sorted(counts, key=lambda why: (-sizes[why], why))
    return [{"why": why, "count": counts[why], "size": sizes[why]} for why in reasons]


def first_step(plan: PackPlan) -> str:
    """Return the command to type where an archive was unpacked, with `{top}` for the top folder.

    It starts the project's first console script, or Python if there is none.
    """
    windows = plan.head["platform"].get("system") == "win32"
    own = canonicalize_name(str(plan.head.get("name")))
    points = [
        point for each in plan.distributions if each.key == own for point in each.entry_points
    ]
    named = sorted(point.name for point in points if not point.gui)
    name = (named or ["python"])[0] + (".exe" if windows else "")
    start = f"{{top}}/{'Scripts' if windows else 'bin'}/{name}"
    if plan.head.get("interpreter") in ("bundled", "promised"):
        return start
    python = "py" if windows else _python(plan)
    return f"{python} {{top}}/{POSTINSTALL} && {start}"


def _python(plan: PackPlan) -> str:
    """Return the name, on the target's PATH, of a Python that can connect the environment."""
    told = plan.head.get("python", {})
    minor = ".".join(str(told.get("version", "3")).split(".")[:2])
    return f"python{minor}{'t' if str(told.get('abi')).endswith('t') else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an archive would contain.

    Parameters:
        head: the head of its manifest.
        size: the total size of all files, in bytes, in the largest of the formats.
        unchanged: number of files, folders and links packed unchanged.
        rewritten: entries of the environment packed with changes.
        added: entries from elsewhere: the interpreter, wheels, this project.
        left_out: entries of the environment that are not packed, and parts of the interpreter.
        refused: what prevents packing, one sentence each; all other fields are then empty.
        notes: what else packing would report.
        beside: facts that would be published next to an archive.
        archives: the paths that would be written.
        needs: requirements on the target, in words.
        floor: what sets the oldest system that it runs on, and how to lower it.
        largest: the distributions with their unpacked sizes, largest first.
    """

    head: dict[str, Any] = field(default_factory=dict)
    entry_count: int = 0
    size: int = 0
    unchanged: int = 0
    rewritten: tuple[Decision, ...] = ()
    added: tuple[Decision, ...] = ()
    left_out: tuple[Decision, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    archives: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    floor: str | None = None
    largest: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
        return {
            "archives": [str(path) for path in self.archives],
            "needs": list(self.needs),
            "floor": self.floor,
            "entry_count": self.entry_count,
            "size": self.size,
            "distributions_by_size": [{"name": name, "size": size} for name, size in self.largest],
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
    plan: PackPlan, archives: Iterable[Path] = (), *, copies_links: bool = False
) -> Preview:
    """Explain a plan: what was decided about each entry of the environment, and why.

    Parameters:
        archives: the paths that would be written.
        copies_links: whether one of them has copies in place of links.
    """
    entries = {entry.arcname: entry for entry in plan.entries}
    scanned = {entry.arcname: entry for entry in plan.scanned}
    changed, left_out = plan.log.changed, plan.log.left_out
    packed = [name for name in scanned if name in entries]
    rewritten = [name for name in packed if _differs(scanned[name], entries[name])]
    documents = [
        Decision(path=entry.arcname, why=each.why, size=entry.size) for each, entry in drafts(plan)
    ]
    return Preview(
        head=dict(plan.head),
        entry_count=manifest.entry_count([*entries, *documents]),
        size=unpacked_size(*as_written(plan, copies_links=copies_links)),
        unchanged=len(packed) - len(rewritten),
        rewritten=tuple(_decision(entries[name], changed) for name in rewritten),
        added=(
            *(_decision(entries[n], changed) for n in entries if n not in scanned),
            *documents,
        ),
        left_out=(
            *(_decision(scanned[n], left_out) for n in scanned if n not in entries),
            *(
                Decision(path=name, why=why)
                for name, why in left_out.items()
                if name not in scanned and name not in entries
            ),
        ),
        notes=plan.notes,
        beside=plan.beside,
        archives=tuple(archives),
        needs=plan.needs,
        floor=plan.floor,
        largest=tuple(sizes_by_owner(plan.entries, plan.distributions).most_common()),
    )


def _differs(scanned: ScannedEntry, packed: Entry) -> bool:
    """Return whether an entry is packed with changes."""
    match scanned, packed:
        case FileEntry(), FileEntry():
            return scanned.content != packed.content
        case SymlinkEntry(), SymlinkEntry():
            return scanned.linkname != packed.linkname
    return type(scanned) is not type(packed)


def _decision(entry: ScannedEntry, reasons: Mapping[str, str]) -> Decision:
    return Decision(
        path=entry.arcname,
        why=reasons.get(entry.arcname, UNEXPLAINED),
        size=size_of([entry]),
    )
