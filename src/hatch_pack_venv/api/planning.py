"""From a prepared environment and its options to a plan: all reading happens here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from ..binary.headers import HeaderReader
from ..config.options import provider_of
from ..model.entries import Times
from ..model.environment import Project, environment_name, project_folder
from ..model.errors import telling_system_errors
from ..model.formats import CompressionFormat
from ..model.interpreter import is_fixed_path
from ..model.plan import DecisionLog, Findings
from ..model.requirements import Ceiling
from ..plan.build import PlanInputs, build_plan
from ..plan.explain import PruneReport, floor_reason, with_bundle, with_needs_of_target
from ..plan.select import REPLACED, Selection, nameable
from ..plan.start import image_name, with_image, with_start
from ..plan.validate import nested_environments
from ..platforms.linux.search_paths import AcrossLayers, SearchPaths, library_names
from ..platforms.platform import BundleRequest, platform_of
from ..platforms.posix.runtime import fixed_interpreter_entries
from ..requirements.check import Roots, check_dependencies, damage_findings
from ..scan.build_paths import build_paths_of
from ..scan.editables import resolve_editables
from ..scan.layers import with_digests
from ..scan.outside import seen_outside
from ..scan.probe import check_fixed_interpreter
from ..scan.walk import describe_credentials, installed_in, own_archives, scan
from .documents import document_names, with_documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..config.options import PackOptions
    from ..model.distribution import InstalledDistribution
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment
    from ..model.image import ImageBase
    from ..model.interpreter import Bundle
    from ..model.layers import Layers
    from ..model.plan import PackPlan
    from ..model.requirements import FileRequirements
    from ..platforms.platform import Platform
    from ..requirements.check import DependencyReport
    from ..scan.editables import ResolvedEditables
    from ..scan.wheels import WheelOverlay
    from .source import Source


@telling_system_errors()
def plan_source(source: Source, project: Project | None, archives: Path | None = None) -> PackPlan:
    """Scan an environment and decide what to pack.

    Parameters:
        archives: the folder that may hold the archives of its layers.
    """
    times = None if project is None else project.times
    return _Planning(
        environment=source.environment,
        options=source.options,
        requested_project=project,
        layers=source.layers,
        archives=archives,
        times=times or Times.reproducible(os.environ),
        selection=Selection.of(source.options),
    ).plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installed:
    """What is installed, and what becomes of it.

    Parameters:
        overlays: the wheels that replace the environment's files of the same distributions.
        project: the project as described by its wheel or the environment; `None` without one.
        needs: the result of checking requirements.
        editables: the environment with its editable installs resolved.
        layers: the layers below it, with the digests of their archives.
        reasons: why distributions are not packed as they are, by normalised name.
    """

    overlays: Sequence[WheelOverlay]
    project: InstalledDistribution | None
    needs: DependencyReport
    editables: ResolvedEditables
    layers: Layers | None
    findings: Findings
    reasons: Mapping[str, str]

    @property
    def environment(self) -> Environment:
        """The environment as if nothing were editable, and without pruned distributions."""
        regular, pruned = self.editables.environment, self.needs.pruned
        return regular if pruned is None else pruned.without(regular)

    @property
    def packed(self) -> list[InstalledDistribution]:
        """The distributions that are packed."""
        gone = self.reasons.keys() | self.editables.excluded
        kept = [each for each in self.environment.distributions if each.key not in gone]
        return [*kept, *(each.distribution for each in self.overlays)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What was found in the environment.

    Parameters:
        scanned: all entries.
        kept: the entries without archives written by pack-venv.
    """

    scanned: tuple[ScannedEntry, ...]
    kept: Sequence[ScannedEntry]
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The entries that an archive is made of; each kind is laid over the previous one.

    Parameters:
        portable: the environment's entries, with search paths that are valid anywhere.
        scanned: those of them that are packed unless the plan's own rules leave them out.
        overlays: wheels.
        runtime: the interpreter's entries.
        bundle: other facts about a bundled interpreter.
        libraries: names of shared libraries that layers above may need, by arcname.
    """

    portable: Sequence[ScannedEntry]
    scanned: Sequence[ScannedEntry]
    overlays: Sequence[WheelOverlay]
    runtime: tuple[ScannedEntry, ...] = ()
    bundle: Bundle | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> list[ScannedEntry]:
        """All entries except the interpreter's."""
        return [*self.scanned, *(entry for each in self.overlays for entry in each.entries)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planning:
    """The steps from an environment to its plan, and the data that they share.

    Parameters:
        archives: the folder that may hold the archives of its layers.
        headers: reads and caches the headers of binaries.
        log: records the reason for each decision.
    """

    environment: Environment
    options: PackOptions
    requested_project: Project | None
    layers: Layers | None
    archives: Path | None
    times: Times
    selection: Selection
    headers: HeaderReader = field(default_factory=HeaderReader)
    log: DecisionLog = field(default_factory=DecisionLog)

    def plan(self) -> PackPlan:
        """Return the plan; each step builds on the results of those before it."""
        installed = self._installed()
        found = self._found(installed)
        parts = self._selected(installed, found)
        parts = self._led_to_layers(parts)
        parts = self._with_interpreter(parts)
        floors = self._floors(parts)
        findings = installed.findings + found.findings + self._judged(installed, parts)
        plan = build_plan(
            parts.scanned,
            environment=installed.environment,
            inputs=self._inputs(installed, parts, floors, findings),
            runtime=parts.runtime,
            overlays=parts.overlays,
            log=self.log,
        )
        plan = self._with_facts(replace(plan, scanned=found.scanned), installed, parts)
        plan = replace(plan, floor=floor_reason(plan, floors))
        plan = self._placed(plan)
        plan = self._started(plan, installed.project)
        wheels = [each.path for each in parts.overlays]
        return with_documents(plan, self.environment, self.options, wheels, self.project)

    @property
    def project(self) -> Project:
        return self.requested_project or Project(name=environment_name(self.environment.requested))

    @property
    def platform(self) -> Platform:
        return platform_of(self.environment.interpreter)

    @property
    def excluded_project(self) -> str | None:
        """The normalised name of the project, if it is left out."""
        return canonicalize_name(self.project.name) if self.options.project == "exclude" else None

    # what is installed: wheels, requirements, editable installs, layers

    def _installed(self) -> _Installed:
        """Read the wheels, check requirements against what is installed, resolve editables."""
        environment, options = self.environment, self.options
        overlays = [*self._overlays()]
        roots = self._roots(overlays)
        needs = check_dependencies(roots, options)
        reasons = {each.distribution.key: REPLACED for each in overlays} | needs.left
        if self.excluded_project is not None:
            reasons[self.excluded_project] = "which the configuration excludes"
        editables = resolve_editables(environment, options.editables, reasons)
        layers, notes = with_digests(self.layers, self.archives, needs.relied_on)
        return _Installed(
            overlays=overlays,
            project=roots.project,
            needs=needs,
            editables=editables,
            layers=layers,
            reasons=reasons,
            findings=Findings(
                problems=needs.problems,
                notes=(*environment.interpreter.assumed, *needs.notes, *notes),
            ),
        )

    def _overlays(self) -> Iterator[WheelOverlay]:
        """Yield the wheels of the options, then the project's own."""
        own = self.project.wheel if self.options.project == "wheel" else None
        paths = self._search_paths
        for wheel in (*self.options.wheels, *([] if own is None else [own])):
            overlay = _read_wheel(wheel, self.environment)
            yield replace(overlay, entries=tuple(map(paths.portable_file, overlay.entries)))

    def _roots(self, overlays: Sequence[WheelOverlay]) -> Roots:
        """Return the roots of the requirements: the project, and wheels named in the options."""
        return Roots(
            environment=self.environment,
            wheels=tuple(each.distribution for each in overlays),
            project=self._own_distribution(overlays),
            excluded=None if self.requested_project is None else self.excluded_project,
            below=() if self.layers is None else self.layers.distributions,
            left_out=self.selection.by_pattern,
        )

    def _own_distribution(self, overlays: Sequence[WheelOverlay]) -> InstalledDistribution | None:
        """Return the project as described by its wheel, or else as installed."""
        project = self.requested_project
        if project is None:
            return None
        if project.wheel is not None and self.options.project != "installed":
            laid = next((each for each in overlays if each.path == project.wheel), None)
            return (laid or _read_wheel(project.wheel, self.environment)).distribution
        key = canonicalize_name(project.name)
        return next((each for each in self.environment.distributions if each.key == key), None)

    # what is found, and which entries are packed

    def _found(self, installed: _Installed) -> _Found:
        """Walk the environment, and look for what it lacks or imports from elsewhere."""
        environment = self.environment
        scanned = tuple(scan(environment))
        if environment.bare:
            scanned = installed_in(scanned, environment)
        kept, findings = self._without_archives(scanned)
        findings += seen_outside(environment, kept, self._excludes)
        names = {entry.arcname for entry in scanned}
        gone, needs = installed.reasons, installed.needs
        findings += damage_findings(environment, names, needs, self.options, gone)
        return _Found(scanned=scanned, kept=kept, findings=findings)

    def _without_archives(
        self, scanned: Sequence[ScannedEntry]
    ) -> tuple[Sequence[ScannedEntry], Findings]:
        """Return the entries except archives written by pack-venv, with a note on each of those."""
        own = own_archives(scanned, self.environment, self.archives)
        own = frozenset(name for name in own if not self.selection.brings_back(name))
        for name in own:
            self.log.leave_out(name, "written by pack-venv")
        notes = tuple(
            f"{name} was left out: archives do not include earlier archives; choose an output"
            " folder outside the environment"
            for name in sorted(own)
            if f"{name}.json" in own
        )
        kept = [entry for entry in scanned if entry.arcname not in own] if own else scanned
        return kept, Findings(notes=notes)

    def _selected(self, installed: _Installed, found: _Found) -> _Parts:
        """Return the entries to pack, as if installed regularly and with portable search paths."""
        regular = [*installed.editables.applied(found.kept, self.log)]
        portable = [*self._search_paths.made_portable(regular)]
        self.log.changes(regular, portable, "its search path is made relative to its own location")
        kept, pruned = portable, installed.needs.pruned
        if pruned is not None:
            kept = [*pruned.applied(portable, self.selection.brings_back, self.log)]
        return _Parts(portable=portable, scanned=kept, overlays=installed.overlays)

    # layers and interpreter

    def _led_to_layers(self, parts: _Parts) -> _Parts:
        """Let modules find the libraries of layers, and let layers above find the ones here."""
        across = AcrossLayers.of(self.layers, parts.portable, self.headers)
        scanned = [*across.applied(parts.scanned)]
        self.log.changes(parts.scanned, scanned, "its search path leads to the libraries of layers")
        overlays = [
            replace(each, entries=tuple(map(across.applied_to_file, each.entries)))
            for each in parts.overlays
        ]
        parts = replace(parts, scanned=scanned, overlays=overlays)
        if self.layers is None or self.environment.interpreter.system != "linux":
            return parts
        return replace(parts, libraries=library_names(parts.own, self.headers))

    def _with_interpreter(self, parts: _Parts) -> _Parts:
        """Add the interpreter's entries: a bundle, or a link to its fixed path."""
        options = self.options
        if is_fixed_path(options.interpreter):
            link = fixed_interpreter_entries(options.interpreter, self.environment)
            return replace(parts, runtime=link)
        if not self._is_bundled:
            return parts
        bundle = self.platform.bundle(self.environment, self._bundle_request(parts))
        for name in bundle.trimmed:
            self.log.leave_out(name, f'interpreter-trim = "{options.interpreter_trim.value}"')
        why = "it finds the bundled libraries through the interpreter's search path"
        self.log.changes(parts.scanned, bundle.scanned, why)
        return replace(parts, scanned=bundle.scanned, runtime=bundle.entries, bundle=bundle)

    def _bundle_request(self, parts: _Parts) -> BundleRequest:
        selection = self.selection
        return BundleRequest(
            scanned=parts.scanned,
            packed=[entry for entry in parts.own if not self._excludes(entry.arcname)],
            trim=self.options.interpreter_trim,
            vendoring=self.options.vendor_libraries,
            headers=self.headers,
            brings_back=selection.brings_back if selection.include else None,
        )

    # what the plan is built from, and the facts recorded in it

    def _floors(self, parts: _Parts) -> FileRequirements:
        """Read what the files require of the target's system."""
        everything = [*parts.own, *parts.runtime]
        return self.platform.requirements(everything, self.environment.interpreter, self.headers)

    def _inputs(
        self, installed: _Installed, parts: _Parts, floors: FileRequirements, findings: Findings
    ) -> PlanInputs:
        options, project, environment = self.options, self.project, self.environment
        return PlanInputs(
            name=project.name,
            version=project.version,
            install_target=options.install_target,
            interpreter=provider_of(options),
            build_paths=build_paths_of(
                environment,
                project=project.root or project_folder(environment.requested),
                home=os.path.expanduser("~"),
            ),
            excluded_project=self.excluded_project,
            excluded_editables=installed.editables.excluded,
            selection=self.selection,
            floors=floors,
            ceiling=Ceiling(glibc=options.max_glibc, macos=options.max_macos),
            times=self.times,
            layers=installed.layers,
            relied_on=installed.needs.relied_on,
            libraries=parts.libraries,
            documents=document_names(options),
            problems=findings.problems,
            notes=findings.notes,
        )

    def _judged(self, installed: _Installed, parts: _Parts) -> Findings:
        """Find what should not be packed, and patterns that match nothing."""
        selection, scanned = self.selection, parts.scanned
        inside = nested_environments(e for e in scanned if not selection.by_pattern(e.arcname))
        secrets = describe_credentials(scanned, self.environment, installed.packed, self._excludes)
        problems = (*secrets, *inside)
        if not selection.exclude and not selection.include:
            return Findings(problems=problems)
        names = nameable([*parts.portable, *parts.own, *parts.runtime], self.environment)
        return Findings(problems=problems, notes=tuple(selection.unused(names)))

    def _with_facts(self, plan: PackPlan, installed: _Installed, parts: _Parts) -> PackPlan:
        """Return a plan with the facts about what it prunes, bundles and requires of its target."""
        environment, needs = self.environment, installed.needs
        if needs.pruned is not None:
            told = PruneReport(
                pruned=needs.pruned,
                selection=self.selection,
                environment=installed.editables.environment,
                scanned=parts.portable,
            )
            plan = told.added_to(plan)
        met_by_base = needs.met_by_base
        if parts.bundle is not None:
            plan, met_by_base = with_bundle(plan, parts.bundle, environment), ()
        return with_needs_of_target(plan, environment, met_by_base, self.headers)

    def _placed(self, plan: PackPlan) -> PackPlan:
        """Return a plan with its top folder and its interpreter's fixed path, if there is one."""
        options, environment = self.options, self.environment
        top = options.expand(options.install_target, environment, self.project, plan.platform_tag)
        plan = replace(plan, install_target=top)
        if not is_fixed_path(options.interpreter):
            return plan
        note = check_fixed_interpreter(Path(options.interpreter), environment)
        fact = {"interpreter_path": options.interpreter}
        return plan.with_facts(fact, () if note is None else [note])

    def _started(self, plan: PackPlan, project: InstalledDistribution | None) -> PackPlan:
        """Return a plan with what run files and images start, and with the facts about an image."""
        options = self.options
        if any(format.starts for format in options.formats):
            plan = with_start(plan, options.entry_point, project)
        if CompressionFormat.OCI not in options.formats:
            return plan
        name = image_name(options.image_name, self.project.name, self.project.version)
        plan = with_image(plan, name, self._image_base(plan.head), project)
        return replace(plan, image=replace(plan.image, compression=options.image_compression))

    def _image_base(self, head: Mapping[str, Any]) -> ImageBase:
        """Read the base of an image, and return it."""
        if self.options.image_base is None:
            from ..platforms.linux.image_base import scratch_base

            return scratch_base(head)
        from ..read.wrapped import read_base

        return read_base(self.options.image_base, head["platform"]["machine"])

    # used by several steps

    @property
    def _search_paths(self) -> SearchPaths:
        return SearchPaths(
            environment=self.environment, bundled=self._is_bundled, headers=self.headers
        )

    @property
    def _is_bundled(self) -> bool:
        return provider_of(self.options) == "bundled"

    def _excludes(self, arcname: str) -> bool:
        """Whether an entry of the environment is left out."""
        return self.selection.excludes(arcname, self.environment)


def _read_wheel(wheel: Path, environment: Environment) -> WheelOverlay:
    from ..scan.wheels import WheelOverlay  # 20 ms that an environment without wheels can save

    return WheelOverlay.from_path(wheel, environment)
