"""The plan: every decision about an archive, made before anything is written.

`build_plan` is pure. It selects, checks links, relocates, lays the wheels and the runtime over the
environment, injects the post-install script and normalises; then it either returns a complete plan
or raises one error that lists every problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from ..filesystem import NO_TARGET
from ..metadata.editables import refusals
from ..metadata.path_files import names_a_local_path
from ..metadata.record import new_record, updated_record
from ..model import manifest
from ..model.build_paths import LeakPolicy
from ..model.components import SBOM
from ..model.distribution import entry_points_by_name
from ..model.entries import (
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    TargetKind,
    Times,
    UnsupportedEntry,
)
from ..model.errors import PlanError
from ..model.plan import POSTINSTALL, DecisionLog, PackPlan
from ..model.requirements import Ceiling, FileRequirements, PlatformRequirements
from ..platforms.linux.search_paths import collected_links
from ..platforms.platform import RewriteRules, platform_of
from ..platforms.posix.activation import activation_scripts
from ..requirements.closure import marker_environment, missing_requirements
from .ceiling import ceiling_problems
from .links import (
    interpreter_alias,
    leads_to_layer,
    may_be_missing,
    next_hop,
    paths_in_layers,
    stays_a_link,
    without_dangling,
)
from .order import complete_folders, in_order, normalised, own_files
from .select import BY_PATTERN, REPLACED, Selection, is_written_for_layers, note_on, why_added
from .validate import check_reserved_names, check_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..model.build_paths import BuildPath
    from ..model.entries import Entry, LinkTarget, ScannedEntry
    from ..model.environment import Environment
    from ..model.layers import Layers
    from ..model.plan import InterpreterMode
    from ..platforms.platform import Rewriter
    from ..scan.wheels import WheelOverlay


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """How to build an archive.

    Parameters:
        name, version: of the project, or of the environment.
        install_target: the archive's top-level folder, or `"."` for none.
        build_paths: folders of the build machine that packed files should not name.
        external_links: whether links may leave the environment; otherwise copies replace them.
        keeps_modes: whether files and folders keep the safe bits of their modes.
        excluded_project: normalised name of a distribution to leave out.
        excluded_editables: normalised names of editable installs to leave out; a packed
            distribution that requires one is a problem.
        documents: arcnames of the documents that are added to the plan.
        problems, notes: known about the environment before planning.
        floors: what individual files require of the target's system.
        ceiling: what they may require at most.
        layers: the environments next to it on the target, if there are any.
        relied_on: normalised names of distributions in layers that packed ones depend on.
        libraries: names of shared libraries that layers above may need, by arcname.
    """

    name: str
    version: str | None = None
    install_target: str
    interpreter: InterpreterMode = "bundled"
    build_paths: tuple[BuildPath, ...] = ()
    external_links: bool = False
    keeps_modes: bool = False
    excluded_project: str | None = None
    excluded_editables: frozenset[str] = frozenset()
    selection: Selection = field(default_factory=Selection)
    floors: FileRequirements = field(default_factory=FileRequirements)
    ceiling: Ceiling = field(default_factory=Ceiling)
    times: Times = field(default_factory=Times)
    layers: Layers | None = None
    relied_on: frozenset[str] = frozenset()
    libraries: Mapping[str, str] = field(default_factory=dict)
    documents: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def build_plan(
    scanned: Iterable[ScannedEntry],
    *,
    environment: Environment,
    inputs: PlanInputs,
    runtime: Iterable[ScannedEntry] = (),
    overlays: Iterable[WheelOverlay] = (),
    log: DecisionLog | None = None,
) -> PackPlan:
    """Decide what an archive will contain.

    Parameters:
        scanned: the environment's entries.
        runtime: the interpreter's entries, for `bundled`.
        overlays: wheels that replace the environment's files of their distributions.
        log: collects the reason for each decision.

    Raises:
        PlanError: if anything cannot be packed as requested; lists every problem.
    """
    planner = _Planner(environment, inputs, tuple(overlays), log or DecisionLog())
    return planner.plan(list(scanned), list(runtime))


class _Planner:
    def __init__(
        self,
        environment: Environment,
        inputs: PlanInputs,
        overlays: tuple[WheelOverlay, ...],
        log: DecisionLog,
    ) -> None:
        self.environment = environment
        self.platform = platform_of(environment.interpreter)
        self.inputs = inputs
        self.overlays = overlays
        self.log = log
        self.problems = list(inputs.problems)
        self.notes = list(inputs.notes)
        self.needs = PlatformRequirements()
        self.runtime: set[str] = set()
        left = dict.fromkeys(inputs.excluded_editables, "which the configuration excludes")
        if inputs.excluded_project is not None:
            left[inputs.excluded_project] = "which the configuration excludes"
        left.update({each.distribution.key: REPLACED for each in overlays})
        dropped = [each for each in environment.distributions if each.key in left]
        self.kept = [each for each in environment.distributions if each.key not in left]
        self.distributions = (*self.kept, *(overlay.distribution for overlay in overlays))
        shared = {name for distribution in self.kept for name in distribution.files}
        reasons = [(each, f"of {each.name} {each.version}, {left[each.key]}") for each in dropped]
        self.dropped_metadata = {f"{each.metadata_dir}/": why for each, why in reasons}
        self.dropped_files = {
            name: why
            for each, why in reasons
            for name in (*each.files, each.metadata_dir)
            if name not in shared
        }

    def plan(self, scanned: list[ScannedEntry], runtime: list[ScannedEntry]) -> PackPlan:
        self._refuse_editables()
        selected = self._selected(scanned)
        self.needs = self._needs(selected, runtime)
        self.rewriter = self._rewriter()
        entries: dict[str, Entry] = {}
        for entry in selected:
            for packed in self._portable(entry):
                entries[packed.arcname] = self._relocated(packed)
        for overlay in self.overlays:
            entries.update({entry.arcname: entry for entry in self._laid_over(overlay)})
        for script in self._chosen(activation_scripts(self.environment.scripts)):
            if script.arcname not in entries:  # otherwise `include-files` brought one back
                self._add(entries, script, "an activation script that finds its own folder")
        originals = {entry.arcname: entry for entry in scanned}
        for added in self._chosen(runtime):
            self._add_runtime(entries, added, originals.get(added.arcname))
        self._add(entries, _postinstall_entry(), "connects the environment where it is unpacked")
        self._collect_libraries(entries)
        last = (manifest.ARCNAME, *self.inputs.documents)
        complete_folders(entries, scanned, self.environment, last, self.log)
        if not self.inputs.external_links:
            entries = self._with_copies(entries)
        entries, notes = without_dangling(entries, self.environment.prefix, self.log)
        self.notes += notes
        self._make_records_true(entries)
        self._check(entries)
        return self._finish(entries)

    def _add(self, entries: dict[str, Entry], entry: Entry, why: str) -> None:
        entries[entry.arcname] = entry
        self.log.change(entry.arcname, why)

    # select

    def _refuse_editables(self) -> None:
        self.problems += refusals(self.kept)
        if self.inputs.excluded_editables:
            markers = marker_environment(self.environment.interpreter)
            excluded, packed = self.inputs.excluded_editables, self.distributions
            self.problems += missing_requirements(excluded, packed, markers)

    def _selected(self, entries: Iterable[ScannedEntry]) -> list[ScannedEntry]:
        """Return the entries of the environment to pack; log why each of the others is left out."""
        kept: list[ScannedEntry] = []
        for entry in entries:
            why = self._why_left_out(entry)
            if why is None:
                kept.append(entry)
            else:
                self.log.leave_out(entry.arcname, why)
                if why != BY_PATTERN:
                    self.notes += note_on(entry, self.environment, why)
        return kept

    def _why_left_out(self, entry: ScannedEntry) -> str | None:
        """Return why an entry of the environment is not packed, or `None` if it is."""
        name = entry.arcname
        replaced = self.inputs.interpreter != "linked" and name.count("/") == 1  # bin/…, lib/…
        if replaced and self.environment.is_of_interpreter(name):
            return "a name that the interpreter takes"
        if is_written_for_layers(entry):
            return "written by postinstall.py for its layers"
        if name in (manifest.ARCNAME, SBOM) or name in self.inputs.documents:
            return "written by pack-venv"
        why = self.inputs.selection.why_excluded(name, self.environment)
        dropped = self._why_dropped(name)
        if dropped is not None:
            return why or dropped
        debris = self.platform.debris
        if debris is not None and debris.fullmatch(name):
            return None if self.inputs.selection.brings_back(name) else "left by the file manager"
        if why is None and name.endswith("/direct_url.json") and isinstance(entry, FileEntry):
            content = entry.content
            if isinstance(content, bytes) and names_a_local_path(content):
                return "records where on this machine it was installed from"
        return why

    def _why_dropped(self, arcname: str) -> str | None:
        """Return why a file is dropped with its distribution, or `None` if it is not."""
        folders = self.dropped_metadata
        if folders and arcname.startswith(tuple(folders)):
            return next(why for folder, why in folders.items() if arcname.startswith(folder))
        return self.dropped_files.get(arcname)

    # relocate

    def _rewriter(self) -> Rewriter:
        """Return the rewriter of small files, with the checks that launchers make."""
        layers = self.inputs.layers.below if self.inputs.layers else ()
        return self.platform.rewriter(
            self.environment,
            RewriteRules(
                entry_points=entry_points_by_name(self.distributions),
                own_lines=frozenset(
                    line for each in self.kept if each.editable for line in each.editable.lines
                ),
                layers=tuple(each.path for each in layers),
                needs=self.needs,
                bundled=self.inputs.interpreter == "bundled",
            ),
        )

    def _relocated(self, entry: Entry) -> Entry:
        """Return an entry, rewritten if it is a small file that contains a build path."""
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, bytes):
            return entry
        content = self.rewriter.rewritten(entry.arcname, entry.content)
        self.problems += self.rewriter.problems(
            entry.arcname, entry.content if content is None else content
        )
        if content is None or content == entry.content:
            return entry
        is_script = entry.arcname.rpartition("/")[0] == self.environment.scripts
        why = "a launcher that finds its own interpreter" if is_script else "its paths are relative"
        self.log.change(entry.arcname, why)
        return replace(entry, content=content, size=len(content))

    def _relocated_copies(self, link: SymlinkEntry) -> list[ScannedEntry]:
        """Return the entries that can replace a link."""
        return [
            each if isinstance(each, UnsupportedEntry) else self._relocated(each)
            for each in link.copies
            if self._why_left_out(each) is None
        ]

    def _chosen(self, entries: Iterable[ScannedEntry]) -> Iterable[Entry]:
        """Yield the entries that no pattern excludes; report those that no archive can hold."""
        for entry in entries:
            if self.inputs.selection.by_pattern(entry.arcname):
                continue
            if isinstance(entry, UnsupportedEntry):
                self.problems.append(f"{entry.arcname} {entry.reason}: remove it or exclude it")
            else:
                yield entry

    def _laid_over(self, overlay: WheelOverlay) -> Iterable[Entry]:
        """Yield a wheel's files, including its RECORD."""
        distribution, scripts = overlay.distribution, f"{self.environment.scripts}/"
        launchers = {f"{scripts}{point.name}" for point in distribution.entry_points}
        if self.environment.is_windows:  # on Windows, everything that starts Python is a launcher
            launchers = {e.arcname for e in overlay.entries if e.arcname.startswith(scripts)}
        why = f"of {distribution.name} {distribution.version}, from its wheel"
        chosen = []
        for entry in self._chosen(overlay.entries):
            chosen.append(self._relocated(entry) if entry.arcname in launchers else entry)
            self.log.change(entry.arcname, why)
        yield from chosen
        if self.inputs.selection.records:
            files = [entry for entry in chosen if isinstance(entry, FileEntry)]
            name = f"{distribution.metadata_dir}/RECORD"
            self.log.change(name, why)
            yield from self._chosen([FileEntry.from_bytes(name, new_record(distribution, files))])

    def _needs(
        self, selected: list[ScannedEntry], runtime: list[ScannedEntry]
    ) -> PlatformRequirements:
        """Return what the packed files require, before launchers that check it are generated."""
        laid_over = [entry for overlay in self.overlays for entry in overlay.entries]
        mode, leaving = self.inputs.interpreter, self.inputs.external_links
        pairs = ((each, interpreter_alias(each, self.environment, mode)) for each in selected)
        selected = [e for e, alias in pairs if not alias and not stays_a_link(e, leaving=leaving)]
        by_pattern = self.inputs.selection.by_pattern
        added = [entry for entry in [*laid_over, *runtime] if not by_pattern(entry.arcname)]
        packed = [*selected, *added]
        floors, machine = self.inputs.floors, self.environment.interpreter.machine
        excess = floors.beyond(packed, self.inputs.ceiling)
        self.problems += ceiling_problems(excess, self.distributions, machine)
        return floors.of(packed)

    # links

    def _portable(self, entry: ScannedEntry) -> Iterable[Entry]:
        """Yield the entries that represent an entry of the environment in the archive."""
        alias = interpreter_alias(entry, self.environment, self.inputs.interpreter)
        if alias is not None:
            before = entry.linkname if isinstance(entry, SymlinkEntry) else "being a copy of it"
            self.log.change(entry.arcname, f"leads to {alias.linkname} instead of {before}")
            return [alias]
        if isinstance(entry, (FileEntry, DirectoryEntry)):
            return [entry]
        if isinstance(entry, SymlinkEntry) and entry.target is not None:
            return self._portable_link(entry, entry.target)
        return self._chosen([entry])

    def _portable_link(self, link: SymlinkEntry, target: LinkTarget) -> Iterable[Entry]:
        kind = target.kind
        if kind is TargetKind.INTERNAL:
            return [link]
        if kind is TargetKind.LAYER:
            return [replace(link, copies=tuple(self._relocated_copies(link)))]
        if kind in (TargetKind.EXTERNAL_FILE, TargetKind.EXTERNAL_DIRECTORY):
            if self.inputs.external_links or next_hop(link) is not None:
                return [replace(link, copies=tuple(self._relocated_copies(link)))]
            return self._copied(link)
        if self.inputs.external_links and may_be_missing(link, target, self.environment):
            return [replace(link, optional=True)]
        self.problems.append(
            f"the link {link.arcname} {NO_TARGET[kind]} ({link.linkname}): repair it, remove it or"
            " exclude it"
        )
        return []

    def _copied(self, link: SymlinkEntry) -> Iterable[Entry]:
        """Yield the target of a link in place of the link."""
        for entry in self._chosen(e for e in link.copies if self._why_left_out(e) is None):
            self.log.change(entry.arcname, f"a copy of the link's target ({link.linkname})")
            yield entry

    def _with_copies(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """Replace links with copies if they lead outside through another link that was left out."""
        result = dict(entries)
        for name, entry in entries.items():
            if not isinstance(entry, SymlinkEntry) or leads_to_layer(entry):
                continue
            if entry.copies and next_hop(entry) not in entries:
                del result[name]
                for copy in self._chosen(entry.copies):
                    why = f"a copy of the link's target ({entry.linkname})"
                    self._add(result, copy, why)
        return result

    # records

    def _make_records_true(self, entries: dict[str, Entry]) -> None:
        for distribution in self.kept:
            record = entries.get(f"{distribution.metadata_dir}/RECORD")
            if isinstance(record, FileEntry) and isinstance(record.content, bytes):
                prefix = self.environment.prefix
                content = updated_record(distribution, record.content, entries, prefix)
                entries[record.arcname] = replace(record, content=content, size=len(content))
                self.log.change(record.arcname, "updated to match what is packed")

    # runtime, folders

    def _add_runtime(
        self, entries: dict[str, Entry], added: Entry, original: ScannedEntry | None
    ) -> None:
        there = entries.get(added.arcname)
        same_link = (  # Fedora's lib64, which environment creators add as well
            isinstance(there, SymlinkEntry)
            and isinstance(added, SymlinkEntry)
            and there.linkname == added.linkname
        )
        if there is not None and not isinstance(there, DirectoryEntry) and not same_link:
            self.problems.append(
                f"{added.arcname} in the environment has the same name as a file of the bundled"
                " interpreter: exclude it"
            )
        self._add(entries, added, why_added(added, original))
        self.runtime.add(added.arcname)

    def _collect_libraries(self, entries: dict[str, Entry]) -> None:
        """Add links to a layer's shared libraries, through which the layers above find them."""
        links, notes = collected_links(entries, self.inputs.libraries)
        for link in self._chosen(links):
            self._add(entries, link, "a link through which layers above find the library")
        self.notes += notes

    # check, normalise

    @property
    def _fixed_path(self) -> str | None:
        """The one link that leaves the environment because that was requested."""
        name = f"{self.environment.scripts}/{self.environment.interpreter.executable_name}"
        return name if self.inputs.interpreter == "promised" else None

    def _check(self, entries: dict[str, Entry]) -> None:
        leaving = self.inputs.external_links
        self.problems += check_tree(entries, fixed_path=self._fixed_path, leaving=leaving)
        if self.inputs.layers is not None and self.inputs.layers.below:
            self.problems += check_reserved_names(entries, self.environment)
        found = self.platform.check(
            entries,
            self.inputs.floors,
            self.inputs.build_paths,
            self.environment,
            bundled=self.inputs.interpreter == "bundled",
        )
        self.problems += found.problems
        self.notes += found.notes
        if self.problems:
            raise PlanError(f"{self.environment.requested} cannot be packed", self.problems)

    @property
    def _provider(self) -> str:
        """What provides the interpreter, as the manifest records it."""
        if self.inputs.interpreter != "linked":
            return self.inputs.interpreter
        return "bundled" if self.environment.bare else "target"

    def _finish(self, entries: dict[str, Entry]) -> PackPlan:
        inputs = self.inputs
        head = manifest.manifest_head(
            self.environment,
            self.distributions,
            name=inputs.name,
            version=inputs.version,
            interpreter=self._provider,
            needs=self.needs,
        )
        if inputs.layers is not None:
            leading = paths_in_layers(entries.values())
            facts = inputs.layers.facts(self.environment, inputs.relied_on, leading)
            head = {**head, "neighbours": facts}
        own = own_files(self.distributions, inputs.name)
        ready = normalised(entries.values(), inputs.times, keeps_modes=inputs.keeps_modes)
        return PackPlan(
            entries=tuple(in_order(ready, own)),
            own=own,
            install_target=inputs.install_target,
            head=head,
            manifest_time=inputs.times.of(None),
            notes=tuple(self.notes),
            distributions=self.distributions,
            runtime=frozenset(self.runtime),
            log=self.log,
            leak_policy=LeakPolicy.for_mode(
                inputs.interpreter,
                inputs.build_paths,
                self.environment.scripts,
                [
                    manifest.ARCNAME,
                    "pyvenv.cfg",
                    *(
                        name
                        for name in entries
                        if name.count("/") == 1 and self.environment.is_of_interpreter(name)
                    ),
                ],
            ),
        )


def _postinstall_entry() -> FileEntry:
    script = files("hatch_pack_venv.injected") / POSTINSTALL
    return FileEntry.from_bytes(POSTINSTALL, script.read_bytes())
