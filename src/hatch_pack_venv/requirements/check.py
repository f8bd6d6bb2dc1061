"""Checks of an environment against its project: what is needed, wrong, or left behind."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..metadata.installed import installed_distributions
from ..model.entries import DirectoryEntry, parents_of, source_of
from ..model.plan import DecisionLog, Findings
from .closure import (
    by_key,
    closure_of,
    extra_findings,
    is_met,
    marker_environment,
    python_findings,
    requirement_findings,
    requirements_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ..config.options import PackOptions
    from ..model.distribution import InstalledDistribution
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyReport:
    """What the check of the dependencies found.

    Parameters:
        pruned: what is left behind, with `distributions = "required"`.
        problems: why the environment cannot be packed, one sentence each.
        notes: warnings, one sentence each.
        relied_on: normalised names of distributions in lower layers that packed ones need.
        met_by_base: the base interpreter's own packages that are required, each preceded by the
            name of a distribution that requires it.
        members: normalised names of the roots and of everything that they require.
    """

    pruned: PrunedDistributions | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    relied_on: frozenset[str] = frozenset()
    met_by_base: tuple[tuple[str, InstalledDistribution], ...] = ()
    members: frozenset[str] = frozenset()

    @property
    def left(self) -> dict[str, str]:
        """Why distributions are left behind, by normalised name."""
        pruned = self.pruned
        return {} if pruned is None else {d.key: pruned.why(d) for d in pruned.distributions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where requirements start, and what can meet them.

    Parameters:
        wheels: distributions from wheels, which take precedence over installed ones.
        project: the project, from its wheel or the environment; `None` if there is none.
        excluded: the project's normalised name, if the project is left out.
        below: the distributions of lower layers that the environment sees, in `sys.path` order.
        left_out: returns whether a pattern leaves out a file, given its arcname.
    """

    environment: Environment
    wheels: tuple[InstalledDistribution, ...] = ()
    project: InstalledDistribution | None = None
    excluded: str | None = None
    below: tuple[InstalledDistribution, ...] = ()
    left_out: Callable[[str], bool] = lambda _arcname: False


def check_dependencies(roots: Roots, options: PackOptions) -> DependencyReport:
    """Compare what is installed with what is required.

    Raises:
        LockProblem: the lock file cannot be read.
    """
    return _DependencyCheck(roots, options).needs()


class _DependencyCheck:
    def __init__(self, roots: Roots, options: PackOptions) -> None:
        self.roots = roots
        self.options = options
        self.version = roots.environment.interpreter.version
        self.markers = marker_environment(roots.environment.interpreter)
        project = () if roots.project is None else (roots.project,)
        self.system = _system_distributions(roots.environment)
        installed = (*roots.environment.distributions, *self.system)
        self.own = by_key((*roots.wheels, *project, *installed))
        self.installed = by_key((*self.own.values(), *roots.below))
        self.keep = [Requirement(each) for each in options.keep]
        self.closure = closure_of(self._roots(), self.installed, self.markers)
        self.shared = frozenset[str]()
        if options.distributions == "required":
            self._share()

    def _roots(self) -> Mapping[str, Iterable[str]]:
        """Return the extras of each distribution from which requirements are followed.

        A wheel is one of them, because a wheel that is named is wanted.
        """
        roots: dict[str, set[str]] = {each.key: set() for each in self.roots.wheels}
        if self.roots.project is not None:
            roots[self.roots.project.key] = set(self.options.extras)
        for kept in self.keep:
            roots.setdefault(canonicalize_name(kept.name), set()).update(kept.extras)
        return roots

    def _share(self) -> None:
        """Let lower layers meet as many requirements as they can, and recompute what is needed.

        A layer's version is used if it satisfies everything that requires it; otherwise the
        environment's own version, which is imported first, is packed.
        """
        own = (
            self.roots.wheels
            if self.roots.project is None
            else (*self.roots.wheels, self.roots.project)
        )
        below, mine = by_key(self.roots.below), self.installed
        shared = below.keys() & by_key(self.roots.environment.distributions).keys()
        shared -= {each.key for each in own} | self._roots().keys()
        while shared:
            self.installed = {**mine, **{key: below[key] for key in shared}}
            self.closure = closure_of(self._roots(), self.installed, self.markers)
            unfit = {
                canonicalize_name(requirement.name)
                for _, requirement in self.closure.requirements
                if not is_met(requirement, self.installed)
            }
            if not unfit & shared:
                self.shared = frozenset(shared)
                return
            shared -= unfit
        self.installed = mine
        self.closure = closure_of(self._roots(), mine, self.markers)

    def _relied_on(self, packed: Mapping[str, InstalledDistribution]) -> frozenset[str]:
        """Return the names of distributions in lower layers that packed ones need."""
        below = by_key(self.roots.below)
        own = {key: each for key, each in packed.items() if each is not below.get(key)}
        roots = {key: self._roots().get(key, ()) for key in own}
        return closure_of(roots, packed, self.markers).members & (below.keys() - own.keys())

    def needs(self) -> DependencyReport:
        required = self.options.distributions == "required"
        pruned = None
        problems = [
            f"keep names {each.name}, which is not installed in the environment: install it or"
            " remove it from keep"
            for each in self.keep
            if canonicalize_name(each.name) not in self.installed
        ]
        if required and not self.closure.members:
            problems.append(
                'distributions = "required" needs a distribution to start from, and there is no'
                " project in the environment: name one in keep (--keep), or its wheel in wheels"
            )
        elif required:
            pruned = PrunedDistributions.of(
                self.roots.environment, self.closure.members, shared=self.shared
            )
        packed = self._packed(pruned)
        findings, warnings = self._findings(packed)
        problems += findings if self.options.check == "error" else []
        warnings += findings if self.options.check == "warn" else []
        problems += self._lock_findings(packed)
        if pruned is not None and self.roots.environment.include_system_site_packages:
            warnings.append(
                "the base interpreter's own packages are not covered by"
                ' distributions = "required": those that the environment sees are treated as with'
                ' "all"'
            )
        return DependencyReport(
            pruned=pruned,
            problems=tuple(problems),
            notes=tuple(warnings),
            relied_on=self._relied_on(packed),
            met_by_base=tuple(self._met_by_base(packed)),
            members=self.closure.members,
        )

    def _met_by_base(
        self, packed: Mapping[str, InstalledDistribution]
    ) -> Iterator[tuple[str, InstalledDistribution]]:
        system = {each.key: each for each in self.system if packed.get(each.key) is each}
        own = [each for each in packed.values() if each.key not in system]
        for each, requirement in requirements_of(own if system else (), self.markers):
            met = system.pop(canonicalize_name(requirement.name), None)
            if met is not None:
                yield each.name, met

    def _packed(self, pruned: PrunedDistributions | None) -> dict[str, InstalledDistribution]:
        gone = frozenset() if pruned is None else pruned.keys
        shared = {key: each for key, each in by_key(self.roots.below).items() if key in gone}
        kept = {key: each for key, each in self.installed.items() if key not in gone}
        return {**shared, **kept}

    def _findings(self, packed: Mapping[str, InstalledDistribution]) -> tuple[list[str], list[str]]:
        """Return what is wrong within the closure, and what is wrong outside it."""
        if self.options.check == "off":
            return [], []
        members, closure = self.closure.members, self.closure
        inside = [packed[key] for key in sorted(members & packed.keys())]
        found = [*self._extras()]
        found += python_findings(inside, self.version)
        found += requirement_findings(closure.requirements, packed)
        found += self._taken_by_patterns(closure.requirements, packed)
        own = by_key(self.roots.environment.distributions).keys() & packed.keys()
        others = {key: packed[key] for key in sorted(own - members)}
        outside = [
            (each, requirement)
            for each, requirement in requirements_of(packed.values(), self.markers)
            if each.key in others
        ]
        warnings = python_findings(others.values(), self.version)
        warnings += requirement_findings(outside, packed)
        warnings += self._taken_by_patterns(outside, packed)
        return found, warnings

    def _taken_by_patterns(
        self,
        requirements: Iterable[tuple[InstalledDistribution, Requirement]],
        packed: Mapping[str, InstalledDistribution],
    ) -> list[str]:
        """Return a sentence for each requirement whose modules patterns leave out."""
        if not self.options.exclude_files:
            return []
        taken = {key: _taken_modules(each, self.roots.left_out) for key, each in packed.items()}
        told = (
            f"{distribution.name} {distribution.version} requires {requirement.name}, of which"
            f" exclude-files leaves out {taken[key]}: narrow the pattern, or bring it back with"
            " include-files"
            for distribution, requirement in requirements
            if taken.get(key := canonicalize_name(requirement.name))
        )
        return list(dict.fromkeys(told))

    def _extras(self) -> Iterator[str]:
        """Yield a sentence for each extra that is requested but not provided."""
        if self.roots.project is not None:
            yield from extra_findings(self.roots.project, self.options.extras)
        for kept in self.keep:
            there = self.installed.get(canonicalize_name(kept.name))
            if there is not None:
                yield from extra_findings(there, sorted(kept.extras))

    def _kept_extras(self) -> set[str]:
        """Return the extras that `keep` names; none if there is a project, which has its own."""
        if self.roots.project is not None:
            return set()
        return {extra for kept in self.keep for extra in kept.extras}

    def _lock_findings(self, packed: Mapping[str, InstalledDistribution]) -> list[str]:
        if self.options.lock is None:
            return []
        from .lock import Lock  # 15 ms that most runs can do without

        lock = Lock.from_path(
            self.options.lock, self.markers, self.options.extras, others=self._kept_extras()
        )
        own = {each.key for each in self.roots.wheels}
        own |= {self.roots.excluded} if self.roots.excluded else set()
        own |= {self.roots.project.key} if self.roots.project else set()
        lock.selected = {key: each for key, each in lock.selected.items() if key not in own}
        return lock.findings(
            packed,
            locked=self.closure.members - own,
            complete=self.options.distributions == "all",
        )


_MODULE: Final = (".py", ".so", ".pyd")
_NO_MODULE: Final = re.compile(r"(?:conftest|setup|tests?|test_\w+)\.py")


def _taken_modules(
    distribution: InstalledDistribution, left_out: Callable[[str], bool]
) -> str | None:
    """Return, in words, what patterns leave out that importing a distribution needs.

    Parts of packages, such as their tests, are left out on purpose.
    """
    site = f"{posixpath.dirname(distribution.metadata_dir)}/"
    files = (name for name in distribution.files if name.startswith(site))
    modules = [name for name in sorted(files) if name.endswith(_MODULE)]
    if distribution.editable is not None or not modules:
        return None
    for name in modules:
        on_top = name.removeprefix(site)
        if "/" not in on_top and not _NO_MODULE.fullmatch(on_top) and left_out(name):
            return f"the module {name}"
    return "all modules" if all(map(left_out, modules)) else None


# What is often removed to save space, and what only building, reading or type checking needs.
_SPARED: Final = re.compile(
    r"(?i).*\.(?:py[cio]|typed|md|rst|txt|html|map|h|hpp|c|cpp|pyx|pxd|pxi|a|la|lib|exe)"
    r"|(?:.*/)?(?:tests?|testing|docs?|examples?|benchmarks?|__pycache__|[^/]*\.(?:dist|egg)-info)/.*"
    r"|(?:.*/)?(?:conftest|test_[^/]*|[^/]*_test)\.py"
    r"|(?:.*/)?__pycache__"  # virtualenv's rows for folders
)


def damage_findings(
    environment: Environment,
    scanned: Collection[str],
    report: DependencyReport,
    options: PackOptions,
    replaced: Collection[str] = (),
) -> Findings:
    """Find distributions that lack files or are installed twice.

    Missing modules are treated like unmet requirements; missing data is only noted.

    Parameters:
        scanned: arcnames of the environment's entries.
        replaced: normalised names of distributions that are not packed as they are.
    """
    problems: list[str] = []
    notes: list[str] = []
    if options.check == "off":
        return Findings()
    seen: dict[tuple[str, str], str] = {}
    for each in environment.distributions:
        if each.editable is not None or each.key in replaced or each.key in report.left:
            continue
        missing = _missing_files(environment, each, scanned)
        modules = [name for name in missing if name.endswith(_MODULE)]
        strict = options.check == "error" and each.key in report.members
        where = problems if strict and modules else notes
        if missing:
            where.append(
                f"{each.name} {each.version} lacks {len(missing)} of the files that its RECORD"
                f" lists, such as {(modules or missing)[0]}: reinstall it"
            )
        place = (each.key, posixpath.dirname(each.metadata_dir))
        if seen.setdefault(place, each.metadata_dir) != each.metadata_dir:
            (problems if strict else notes).append(
                f"{each.name} is installed twice, as {seen[place]} and {each.metadata_dir}: remove"
                " both and reinstall it"
            )
    return Findings(problems=tuple(problems), notes=tuple(notes))


def _missing_files(
    environment: Environment, distribution: InstalledDistribution, scanned: Collection[str]
) -> list[str]:
    """Return the missing files of a distribution that may matter at run time."""
    scripts = f"{environment.scripts}/"
    return [
        name
        for name in sorted(distribution.files.difference(scanned))
        if not name.startswith((scripts, "share/", "include/", "../"))
        and not _SPARED.fullmatch(name)
        and not os.path.lexists(environment.prefix / name)  # for example, below a link to a folder
    ]


def _system_distributions(environment: Environment) -> list[InstalledDistribution]:
    """Return the base interpreter's packages, if the environment sees them (PEP 405)."""
    if not environment.include_system_site_packages:
        return []
    folders = [path for path in environment.interpreter.site_packages if path.is_dir()]
    return [
        each
        for folder in folders
        for each in installed_distributions(folder.parent, (folder.name,))
    ]


@dataclass(frozen=True, kw_only=True)
class PrunedDistributions:
    """The distributions that are left behind, and an environment without them.

    Parameters:
        distributions: those left behind.
        staying: the others.
        unknown: those of `staying` that nothing needs, but whose files are unknown.
        shared: normalised names of those that a lower layer provides.
    """

    distributions: tuple[InstalledDistribution, ...] = ()
    staying: tuple[InstalledDistribution, ...] = ()
    unknown: tuple[InstalledDistribution, ...] = ()
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        environment: Environment,
        needed: Collection[str],
        shared: frozenset[str] = frozenset(),
    ) -> PrunedDistributions:
        """Divide an environment's distributions into those left behind and those that stay.

        Parameters:
            needed: normalised names of those that are packed or shared.
            shared: normalised names of those that a lower layer provides.
        """
        packed = {*needed} - shared
        others = [each for each in environment.distributions if each.key not in packed]
        leaving = tuple(each for each in others if each.files or each.editable is not None)
        return cls(
            distributions=leaving,
            staying=tuple(each for each in environment.distributions if each not in leaving),
            unknown=tuple(each for each in others if each not in leaving),
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

    def applied(
        self,
        scanned: Iterable[ScannedEntry],
        brought_back: Callable[[str], bool] = lambda _arcname: False,
        log: DecisionLog | None = None,
    ) -> Iterator[ScannedEntry]:
        """Yield an environment's entries without theirs, and without folders that become empty.

        A file stays if a distribution that stays also owns it, or if it is brought back.

        Parameters:
            brought_back: returns whether a pattern brings back a file, given its arcname.
            log: receives the reason for each entry that is left out.
        """
        log = log or DecisionLog()
        entries = list(scanned)
        taken = {
            entry.arcname
            for entry in entries
            if self.takes(entry.arcname) and not brought_back(entry.arcname)
        }
        kept = [entry for entry in entries if entry.arcname not in taken]
        holding = parents_of(entry.arcname for entry in entries)
        leaves = (
            entry.arcname
            for entry in kept
            if not isinstance(entry, DirectoryEntry) or entry.arcname not in holding
        )
        emptied = parents_of(taken) - parents_of(leaves)
        for name in taken:
            log.leave_out(name, self._why_taken(name))
        for entry in kept:
            if not isinstance(entry, DirectoryEntry) or entry.arcname not in emptied:
                yield entry
            else:
                log.leave_out(entry.arcname, "a folder that would be empty")

    def takes(self, arcname: str) -> bool:
        """Whether a file is left behind with its distribution."""
        return source_of(arcname) in self._files or arcname.startswith(self._metadata)

    def why(self, distribution: InstalledDistribution) -> str:
        """Return why a distribution is left behind."""
        return "a lower layer has it" if distribution.key in self.shared else "not required"

    def _why_taken(self, arcname: str) -> str:
        owner = self._owners.get(source_of(arcname)) or next(
            each for each in self.distributions if arcname.startswith(f"{each.metadata_dir}/")
        )
        return f"of {owner.name} {owner.version}, {self.why(owner)}"

    @cached_property
    def _owners(self) -> dict[str, InstalledDistribution]:
        return {n: each for each in self.distributions for n in (*each.files, each.metadata_dir)}

    @cached_property
    def _files(self) -> frozenset[str]:
        stays = {name for each in self.staying for name in each.files}
        alone = {each.metadata_dir for each in self.distributions}  # `.egg-info` may be a file
        return frozenset({n for each in self.distributions for n in each.files} | alone) - stays

    @cached_property
    def _metadata(self) -> tuple[str, ...]:
        return tuple(f"{each.metadata_dir}/" for each in self.distributions)
