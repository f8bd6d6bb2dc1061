"""From a prepared environment and its options to a plan: all reading happens here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import canonicalize_name

from ..binary.headers import HeaderReader
from ..model.entries import Times, with_copies
from ..model.environment import Project, environment_name, project_folder
from ..model.errors import telling_system_errors
from ..model.formats import CompressionFormat
from ..model.interpreter import is_fixed_path
from ..model.plan import POSTINSTALL, DecisionLog
from ..model.requirements import Ceiling
from ..plan.build import PlanInputs, build_plan
from ..plan.explain import PruneReport, floor_reason
from ..plan.select import REPLACED, Selection
from ..plan.start import image_name, with_image, with_start
from ..plan.validate import headers_notes, nested_environments
from ..platforms.linux.search_paths import AcrossLayers, SearchPaths, library_names
from ..platforms.platform import BundleRequest, check_possible, platform_of
from ..platforms.posix.activation import activation_scripts
from ..platforms.posix.runtime import fixed_interpreter_entries
from ..requirements.check import Roots, check_dependencies, damage_findings
from ..scan.build_paths import build_paths_of
from ..scan.editables import resolve_editables
from ..scan.layers import (
    LayerArchives,
    ask_search_path,
    describe_outside,
    folders_outside,
    plain_folders,
    read_layers,
    startup_code,
)
from ..scan.probe import check_fixed_interpreter, read_environment
from ..scan.walk import credentials_in, installed_in, own_archives, scan
from .documents import document_names, in_site, with_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from _typeshed import StrPath

    from ..config.options import PackOptions
    from ..model.distribution import InstalledDistribution
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment
    from ..model.interpreter import Bundle
    from ..model.layers import Layer, Layers
    from ..model.plan import InterpreterMode, PackPlan
    from ..platforms.platform import Platform
    from ..requirements.check import DependencyReport, PrunedDistributions
    from ..scan.editables import ResolvedEditables
    from ..scan.wheels import WheelOverlay


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A prepared environment and its layers, read once.

    Parameters:
        options: with the environment's default format if none was requested.
    """

    environment: Environment
    options: PackOptions
    layers: Layers | None = None

    @classmethod
    @telling_system_errors()
    def read(cls, prefix: StrPath, options: PackOptions) -> Self:
        """Read a prefix; runs its interpreter, but imports nothing from it and writes nothing.

        Raises:
            EnvironmentProblem: if there is no usable environment.
            InterpreterProblem: if the options request something impossible for its system.
            PlanError: if its layers are missing or do not fit.
            WheelProblem: if a pattern in `wheels` does not match exactly one file.
        """
        connected = options.interpreter != "bundled" and options.base_runtime is None
        return cls.of(read_environment(prefix, may_be_elsewhere=connected), options)

    @classmethod
    @telling_system_errors()
    def of(cls, environment: Environment, options: PackOptions) -> Self:
        """Do the same as `read` for an environment that was already read."""
        fixed = is_fixed_path(options.interpreter)
        check_possible(
            environment, bytecode=options.bytecode, fixed_path=fixed, formats=options.formats
        )
        if CompressionFormat.SQUASHFS in options.formats:
            from ..write.sinks.squashfs import find_mksquashfs

            find_mksquashfs()
        layers = read_layers(environment, options)
        if layers is not None:
            environment = replace(environment, containing=layers.containing)
        options = options.for_environment(environment)
        if options.wheels:
            from ..scan.wheels import found_wheels  # 20 ms that most runs can do without

            found = found_wheels(options.wheels, newest=options.wheels_newest)
            options = replace(options, wheels=found)
        return cls(environment=environment, options=options, layers=layers)


@telling_system_errors()
def plan_source(source: Source, project: Project | None, archives: Path | None = None) -> PackPlan:
    """Scan an environment and decide what to pack.

    Parameters:
        archives: the folder that may hold archives of its layers.
    """
    return _Planning(
        environment=source.environment,
        options=source.options,
        requested_project=project,
        layers=source.layers,
        archives=archives,
    ).plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planning:
    environment: Environment
    options: PackOptions
    requested_project: Project | None
    layers: Layers | None
    archives: Path | None
    headers: HeaderReader = field(default_factory=HeaderReader)
    log: DecisionLog = field(default_factory=DecisionLog)

    @property
    def project(self) -> Project:
        return self.requested_project or Project(name=environment_name(self.environment.requested))

    @property
    def platform(self) -> Platform:
        return platform_of(self.environment.interpreter)

    @property
    def bundled(self) -> bool:
        return _whose(self.options) == "bundled"

    def plan(self) -> PackPlan:
        environment, options = self.environment, self.options
        paths = SearchPaths(environment=environment, bundled=self.bundled, headers=self.headers)
        overlays = [_overlay(w, environment, paths) for w in _wheels(self.project, options)]
        excluded = None
        if options.project == "exclude":
            excluded = canonicalize_name(self.project.name)
        given = replace(
            _given(environment, options, self.requested_project, overlays),
            below=() if self.layers is None else self.layers.distributions,
            left_out=selection_of(options).by_pattern,
        )
        needs = check_dependencies(given, options)
        resolved = resolve_editables(
            environment, options.editables, _reasons(overlays, needs.pruned, excluded)
        )
        layers, notes = self._with_digests(needs.relied_on)
        inputs = replace(
            _plan_inputs(environment, options, self.project),
            excluded_project=excluded,
            excluded_editables=resolved.excluded,
            layers=layers,
            relied_on=needs.relied_on,
            documents=document_names(options),
            problems=needs.problems,
            notes=(*environment.interpreter.assumed, *needs.notes, *notes),
        )
        found = tuple(scan(environment))
        if environment.bare:
            found = installed_in(found, environment)
        kept, told = self._without_archives(found, inputs.selection.brings_back)
        problems, more = self._seen_outside(kept, inputs.selection)
        replaced = _reasons(overlays, None, excluded)
        names = {entry.arcname for entry in found}
        damage = damage_findings(environment, names, needs, options, replaced)
        inputs = replace(
            inputs,
            problems=(*inputs.problems, *problems, *damage[0]),
            notes=(*inputs.notes, *told, *more, *damage[1]),
        )
        regular = [*resolved.applied(kept, self.log)]
        there = [*paths.made_portable(regular)]
        self.log.changes(regular, there, "its search path begins at its own place")
        plan = self._planned(needs, resolved, inputs, there, overlays)
        if any(format.starts for format in options.formats):
            plan = with_start(plan, options.entry_point, given.project)
        if CompressionFormat.OCI in options.formats:
            plan = self._as_image(plan, given.project)
        wheels = [each.path for each in overlays]
        return with_documents(
            replace(plan, scanned=found), environment, options, wheels, self.project
        )

    def _as_image(self, plan: PackPlan, project: InstalledDistribution | None) -> PackPlan:
        """Return a plan with the rest of an image; its base is read here."""
        options = self.options
        name = image_name(options.image_name, self.project.name, self.project.version)
        if options.image_base is None:
            from ..platforms.linux.image_base import scratch_base

            base = scratch_base(plan.head)
        else:
            from ..read.wrapped import read_base

            base = read_base(options.image_base, plan.head["platform"]["machine"])
        plan = with_image(plan, name, base, project)
        return replace(plan, image=replace(plan.image, compression=options.image_compression))

    def _without_archives(
        self, found: Sequence[ScannedEntry], brings_back: Callable[[str], bool]
    ) -> tuple[list[ScannedEntry], list[str]]:
        """Return what was found but for archives of ours, and a note on each of these."""
        own = own_archives(found, self.environment, self.archives)
        own = frozenset(name for name in own if not brings_back(name))
        for name in own:
            self.log.leave_out(name, "written by pack-venv")
        notes = [
            f"{name} was left out: an archive does not hold those packed before; choose a folder"
            " for them outside of the environment"
            for name in sorted(own)
            if f"{name}.json" in own
        ]
        kept = [entry for entry in found if entry.arcname not in own] if own else [*found]
        return kept, notes

    def _seen_outside(
        self, found: Sequence[ScannedEntry], selection: Selection
    ) -> tuple[list[str], list[str]]:
        """Return errors and notes on what the environment imports from elsewhere."""
        environment = self.environment
        code = {
            name: content
            for name, content in startup_code(environment, found).items()
            if not selection.why_excluded(name, environment)
        }
        if not environment.runs_here or not (code or environment.include_system_site_packages):
            return [], []
        plain = plain_folders(environment, found)
        folders = folders_outside(ask_search_path(environment), environment)
        return describe_outside([each for each in folders if each not in plain], code)

    def _credentials(self, entries: Iterable[ScannedEntry], selection: Selection) -> Iterator[str]:
        """Yield a sentence for each setting that is packed and holds a password."""
        for name, key in credentials_in(entries, self.environment):
            if not selection.why_excluded(name, self.environment):
                yield (
                    f"{name} holds a URL with a password or token ({key}), which everybody who"
                    " gets the archive could read: remove it there, or add the file to"
                    " exclude-files"
                )

    def _planned(
        self,
        needs: DependencyReport,
        resolved: ResolvedEditables,
        inputs: PlanInputs,
        there: list[ScannedEntry],
        overlays: list[WheelOverlay],
    ) -> PackPlan:
        environment, options, pruned = self.environment, self.options, needs.pruned
        across = AcrossLayers.of(self.layers, there, self.headers)
        kept = there
        if pruned is not None:
            kept = [*pruned.applied(there, inputs.selection.brings_back, self.log)]
        scanned = [*across.applied(kept)]
        self.log.changes(kept, scanned, "its search path leads to the libraries of layers")
        overlays = [
            replace(each, entries=tuple(map(across.applied_to_file, each.entries)))
            for each in overlays
        ]
        if self.layers is not None and environment.interpreter.system == "linux":
            laid_over = [entry for each in overlays for entry in each.entries]
            inputs = replace(inputs, libraries=library_names([*scanned, *laid_over], self.headers))
        bundle = None
        if self.bundled:
            bundle = self._bundle(inputs, scanned, overlays)
            for name in bundle.trimmed:
                self.log.leave_out(name, f'interpreter-trim = "{options.interpreter_trim.value}"')
            why = "it finds the bundled libraries by the interpreter's search path"
            self.log.changes(scanned, bundle.scanned, why)
        runtime: tuple[ScannedEntry, ...] = () if bundle is None else bundle.entries
        if is_fixed_path(options.interpreter):
            runtime = fixed_interpreter_entries(options.interpreter, environment)
        laid = scanned if bundle is None else bundle.scanned
        read = [*laid, *(entry for overlay in overlays for entry in overlay.entries), *runtime]
        floors = self.platform.requirements(read, environment.interpreter, self.headers)
        selection = inputs.selection
        problems = [
            *self._credentials(scanned, selection),
            *nested_environments(e for e in scanned if not selection.by_pattern(e.arcname)),
        ]
        inputs = replace(inputs, problems=(*inputs.problems, *problems))
        if selection.exclude or selection.include:
            unused = selection.unused(_named_by_patterns([*there, *read], environment))
            inputs = replace(inputs, notes=(*inputs.notes, *unused))
        plan = build_plan(
            scanned if bundle is None else bundle.scanned,
            environment=resolved.environment
            if pruned is None
            else pruned.without(resolved.environment),
            inputs=replace(inputs, floors=floors),
            runtime=runtime,
            overlays=overlays,
            log=self.log,
        )
        if pruned is not None:
            told = PruneReport(
                pruned=pruned,
                selection=inputs.selection,
                environment=resolved.environment,
                scanned=there,
            )
            plan = told.added_to(plan)
        if bundle is not None:
            notes = [*bundle.notes, *headers_notes(plan)]
            plan = plan.with_facts(bundle.told(plan.head), notes)
            plan = replace(plan, remarks=bundle.remarks)
            plan = replace(plan, base_distributions=in_site(bundle.distributions, environment))
        else:
            plan = self._with_needs_of_target(plan, needs)
        plan = replace(plan, floor=floor_reason(plan, floors))
        return _named(plan, environment, options, self.project)

    def _bundle(
        self,
        inputs: PlanInputs,
        scanned: Sequence[ScannedEntry],
        overlays: Sequence[WheelOverlay],
    ) -> Bundle:
        environment, options = self.environment, self.options
        packed = [
            entry
            for entry in [*scanned, *(entry for overlay in overlays for entry in overlay.entries)]
            if not inputs.selection.excludes(entry, environment)
        ]
        return self.platform.bundle(
            environment,
            BundleRequest(
                scanned=scanned,
                packed=packed,
                trim=options.interpreter_trim,
                vendoring=options.vendor_libraries,
                headers=self.headers,
                brings_back=inputs.selection.brings_back if inputs.selection.include else None,
            ),
        )

    def _with_needs_of_target(self, plan: PackPlan, needs: DependencyReport) -> PackPlan:
        """Return a plan that tells what the target's interpreter and system have to have."""
        if needs.met_by_base:
            plan = plan.with_facts(*_left_to_the_base(needs))
        libraries = self.platform.libraries_of_target(self.environment, plan.entries, self.headers)
        return plan.with_facts({"target_libraries": libraries}, ()) if libraries else plan

    def _with_digests(self, relied_on: frozenset[str]) -> tuple[Layers | None, list[str]]:
        """Return the layers with their archives' digests, and notes."""
        if self.layers is None:
            return None, []
        notes: list[str] = []
        archives = LayerArchives(folder=self.archives)

        def with_digest(layer: Layer) -> Layer:
            found, said = archives.of(layer, relied_on)
            notes.extend(said)
            return found

        return self.layers.changed(with_digest), notes


def _named_by_patterns(entries: Iterable[ScannedEntry], environment: Environment) -> frozenset[str]:
    """Return the arcnames that patterns can name."""
    generated = [POSTINSTALL, *(each.arcname for each in activation_scripts(environment.scripts))]
    given = [*entries]
    found = (entry.arcname for entry in [*given, *with_copies(given)])
    return frozenset([*found, *generated])


def _left_to_the_base(needs: DependencyReport) -> tuple[dict[str, Any], list[str]]:
    """Return a fact and a note on the base interpreter's packages that the target must have."""
    listed = [{"name": met.name, "version": met.version} for _, met in needs.met_by_base]
    notes = [
        f"{met.name} {met.version}, which {user} requires, is one of the base interpreter's own"
        " packages and is not packed: the target's Python must have it, or install it into the"
        " environment"
        for user, met in needs.met_by_base
    ]
    return {"base_distributions": listed}, notes


def _reasons(
    overlays: Sequence[WheelOverlay], pruned: PrunedDistributions | None, excluded: str | None
) -> dict[str, str]:
    """Return why distributions are left out or replaced, by normalised name."""
    reasons = {overlay.distribution.key: REPLACED for overlay in overlays}
    if pruned is not None:
        reasons |= {each.key: pruned.why(each) for each in pruned.distributions}
    if excluded is not None:
        reasons[excluded] = "which the configuration leaves out"
    return reasons


def _named(
    plan: PackPlan, environment: Environment, options: PackOptions, project: Project
) -> PackPlan:
    """Return a plan with facts that need the whole plan: top folder, fixed interpreter path."""
    top = options.expand(options.install_target, environment, project, plan.platform_tag)
    plan = replace(plan, install_target=top)
    if not is_fixed_path(options.interpreter):
        return plan
    note = check_fixed_interpreter(Path(options.interpreter), environment)
    told = {"interpreter_path": options.interpreter}
    return plan.with_facts(told, () if note is None else [note])


def _whose(options: PackOptions) -> InterpreterMode:
    if options.base_runtime is not None:
        return "neighbour"
    if is_fixed_path(options.interpreter):
        return "promised"
    return "bundled" if options.interpreter == "bundled" else "target"


def _wheels(project: Project, options: PackOptions) -> list[Path]:
    own = project.wheel if options.project == "wheel" else None
    return [*options.wheels] if own is None else [*options.wheels, own]


def _given(
    environment: Environment,
    options: PackOptions,
    project: Project | None,
    overlays: Sequence[WheelOverlay],
) -> Roots:
    """Return the roots of the requirements: the project, and wheels named in the options."""
    wheels = {overlay.path: overlay.distribution for overlay in overlays}
    excluded = project is not None and options.project == "exclude"
    own = None
    if project is not None:
        key = canonicalize_name(project.name)
        own = next((each for each in environment.distributions if each.key == key), None)
        if project.wheel is not None and options.project != "installed":
            own = wheels.get(project.wheel) or _overlaid(project.wheel, environment)
    return Roots(
        environment=environment,
        wheels=tuple(wheels.values()),
        project=own,
        excluded=canonicalize_name(project.name) if project is not None and excluded else None,
    )


def _overlaid(wheel: Path, environment: Environment) -> InstalledDistribution:
    return _read_wheel(wheel, environment).distribution


def _plan_inputs(environment: Environment, options: PackOptions, project: Project) -> PlanInputs:
    return PlanInputs(
        name=project.name,
        version=project.version,
        install_target=options.install_target,
        interpreter=_whose(options),
        build_paths=build_paths_of(
            environment,
            project=project.root or project_folder(environment.requested),
            home=os.path.expanduser("~"),
        ),
        ceiling=Ceiling(glibc=options.max_glibc, macos=options.max_macos),
        selection=selection_of(options),
        times=project.times or Times.reproducible(os.environ),
    )


def _overlay(wheel: Path, environment: Environment, paths: SearchPaths) -> WheelOverlay:
    overlay = _read_wheel(wheel, environment)
    return replace(overlay, entries=tuple(map(paths.portable_file, overlay.entries)))


def _read_wheel(wheel: Path, environment: Environment) -> WheelOverlay:
    from ..scan.wheels import WheelOverlay  # 20 ms that an environment without wheels can save

    return WheelOverlay.from_path(wheel, environment)


def selection_of(options: PackOptions) -> Selection:
    """Return the rules and patterns from the options."""
    return Selection(
        exclude=options.exclude_files,
        include=options.include_files,
        records=options.record_files == "update",
    )
