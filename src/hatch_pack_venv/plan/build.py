"""The plan: everything that is decided about an archive, decided before anything is written.

`build_plan` is pure. It selects, judges links, relocates, lays the wheels and the runtime over the
environment, injects the post-install script, normalises, and either returns a whole plan or raises
one error that lists every problem.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from ..filesystem import NO_TARGET
from ..metadata.editables import refusal
from ..metadata.path_files import names_a_local_path
from ..metadata.record import new_record, updated_record
from ..model import manifest
from ..model.build_paths import BASE, LeakPolicy
from ..model.entries import (
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    TargetKind,
    Times,
    UnsupportedEntry,
)
from ..model.errors import PlanError
from ..model.plan import POSTINSTALL, PackPlan
from ..model.requirements import FileRequirements, PlatformRequirements
from ..platforms.linux.search_paths import collected_links
from ..platforms.macos import check as macos_check
from ..platforms.macos.check import is_left_by_finder
from ..platforms.posix.activation import activation_scripts
from ..platforms.windows import check as windows_check
from ..requirements.closure import marker_environment, missing_requirements
from .links import leads_to_layer, next_hop, paths_in_layers, without_dangling
from .order import complete_folders, in_order, with_times
from .relocate import Relocation
from .select import Selection, is_written_for_layers
from .validate import check_reserved_names, check_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..model.build_paths import BuildPath
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..model.layers import Layers
    from ..model.plan import InterpreterMode
    from ..scan.wheels import WheelOverlay


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
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
    interpreter: InterpreterMode = "bundled"
    places: tuple[BuildPath, ...] = ()
    external_links: bool = False
    excluded_project: str | None = None
    excluded_editables: frozenset[str] = frozenset()
    selection: Selection = field(default_factory=Selection)
    floors: FileRequirements = field(default_factory=FileRequirements)
    times: Times = field(default_factory=Times)
    neighbours: Layers | None = None
    relied_on: frozenset[str] = frozenset()
    libraries: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def build_plan(
    scanned: Iterable[ScannedEntry],
    *,
    environment: Environment,
    recipe: PlanInputs,
    runtime: Iterable[ScannedEntry] = (),
    overlays: Iterable[WheelOverlay] = (),
) -> PackPlan:
    """Decide what an archive holds.

    Parameters:
        scanned: the environment's entries.
        runtime: the interpreter's entries, for `bundled`.
        overlays: wheels that replace what the environment holds of their distributions.

    Raises:
        PlanError: lists everything that cannot be packed as asked.
    """
    planner = _Planner(environment, recipe, tuple(overlays))
    return planner.plan(list(scanned), list(runtime))


class _Planner:
    def __init__(
        self, environment: Environment, recipe: PlanInputs, overlays: tuple[WheelOverlay, ...]
    ) -> None:
        self.environment = environment
        self.recipe = recipe
        self.overlays = overlays
        self.problems = list(recipe.problems)
        self.notes = list(recipe.notes)
        replaced = {overlay.distribution.key for overlay in overlays} | {recipe.excluded_project}
        replaced |= recipe.excluded_editables
        self.dropped = [d for d in environment.distributions if d.key in replaced]
        self.kept = [d for d in environment.distributions if d.key not in replaced]
        self.needs = PlatformRequirements()
        packed = [*self.kept, *(overlay.distribution for overlay in overlays)]
        points = {point.name: point for d in packed for point in d.entry_points}
        own_lines = frozenset(
            line for each in self.kept if each.editable for line in each.editable.lines
        )
        self.windows: WindowsRules | None = None
        if environment.is_windows:
            from ..platforms.windows.rewriter import WindowsRules

            self.windows = WindowsRules.of(
                environment, points, bundled=recipe.interpreter == "bundled", passed_over=own_lines
            )
        self.relocation = Relocation(
            environment=environment,
            entry_points=points,
            own_lines=own_lines,
            windows=self.windows,
            layers=tuple(each.path for each in recipe.neighbours.below)
            if recipe.neighbours
            else (),
            problems=self.problems,
        )
        shared = {name for distribution in self.kept for name in distribution.files}
        self.dropped_metadata = tuple(f"{d.metadata_dir}/" for d in self.dropped)
        self.dropped_files = {n for d in self.dropped for n in (*d.files, d.metadata_dir)} - shared

    def plan(self, scanned: list[ScannedEntry], runtime: list[ScannedEntry]) -> PackPlan:
        self._refuse_editables()
        selected = [entry for entry in scanned if not self._is_left_out(entry)]
        self.needs = self._needs(selected, runtime)
        self.relocation = replace(self.relocation, check=self.needs.check())
        entries: dict[str, Entry] = {}
        for entry in selected:
            for packed in self._portable(entry):
                entries[packed.arcname] = self.relocation.relocated(packed)
        for overlay in self.overlays:
            entries.update({entry.arcname: entry for entry in self._laid_over(overlay)})
        for script in self._chosen(activation_scripts(self.environment.scripts)):
            entries.setdefault(script.arcname, script)  # unless `include-files` brought one back
        for added in self._chosen(runtime):
            self._add_runtime(entries, added)
        entries[POSTINSTALL] = _postinstall_entry()
        self._collect_libraries(entries)
        complete_folders(entries, scanned, self.environment)
        if not self.recipe.external_links:
            entries = self._with_copies(entries)
        entries, notes = without_dangling(entries, self.environment.prefix)
        self.notes += notes
        self._make_records_true(entries)
        self._check(entries)
        return self._finish(entries)

    # select

    def _refuse_editables(self) -> None:
        self.problems += [
            refusal(each.name, each.editable) for each in self.kept if each.editable is not None
        ]
        if self.recipe.excluded_editables:
            packed = [*self.kept, *(overlay.distribution for overlay in self.overlays)]
            markers = marker_environment(self.environment.interpreter)
            self.problems += missing_requirements(self.recipe.excluded_editables, packed, markers)

    def _is_left_out(self, entry: ScannedEntry) -> bool:
        name = entry.arcname
        if self.recipe.interpreter != "linked" and self.environment.is_of_interpreter(name):
            return True
        if name in self.dropped_files or name.startswith(self.dropped_metadata):
            return True
        if is_written_for_layers(entry):
            return True
        if self.environment.interpreter.system == "darwin" and is_left_by_finder(name):
            return not self.recipe.selection.brings_back(name)
        left_out = self.recipe.selection.excludes(entry, self.environment)
        if left_out and name.endswith("/sitecustomize.py"):
            self.notes.append(f"{name} was left out: it customised the environment it was made in")
        if name.endswith("/direct_url.json") and isinstance(entry, FileEntry):
            return left_out or (
                isinstance(entry.content, bytes) and names_a_local_path(entry.content)
            )
        return left_out

    def _chosen(self, entries: Iterable[ScannedEntry]) -> Iterable[Entry]:
        """Yield those that no pattern leaves out, and note the ones nothing can hold."""
        for entry in entries:
            if self.recipe.selection.by_pattern(entry.arcname):
                continue
            if isinstance(entry, UnsupportedEntry):
                self.problems.append(f"{entry.arcname} {entry.reason}: remove it or exclude it")
            else:
                yield entry

    def _laid_over(self, overlay: WheelOverlay) -> Iterable[Entry]:
        """Yield the files of a wheel, its RECORD among them."""
        points = {point.name for point in overlay.distribution.entry_points}
        launchers = {f"{self.environment.scripts}/{name}" for name in points}
        if self.windows is not None:  # all that starts Python is a launcher there
            folder = f"{self.environment.scripts}/"
            launchers = {e.arcname for e in overlay.entries if e.arcname.startswith(folder)}
        chosen = [
            self.relocation.relocated(entry) if entry.arcname in launchers else entry
            for entry in self._chosen(overlay.entries)
        ]
        yield from chosen
        if self.recipe.selection.records:
            files = [entry for entry in chosen if isinstance(entry, FileEntry)]
            record = new_record(overlay.distribution, files)
            name = f"{overlay.distribution.metadata_dir}/RECORD"
            yield from self._chosen([FileEntry.from_bytes(name, record)])

    def _needs(
        self, selected: list[ScannedEntry], runtime: list[ScannedEntry]
    ) -> PlatformRequirements:
        """Tell what the packed files ask of the target, before launchers are made that check it."""
        laid_over = [entry for overlay in self.overlays for entry in overlay.entries]
        if self.recipe.external_links:
            selected = [entry for entry in selected if not isinstance(entry, SymlinkEntry)]
        return self.recipe.floors.of(
            [
                *selected,
                *(
                    entry
                    for entry in [*laid_over, *runtime]
                    if not self.recipe.selection.by_pattern(entry.arcname)
                ),
            ]
        )

    # links

    def _portable(self, entry: ScannedEntry) -> Iterable[Entry]:
        """Yield what stands for an entry of the environment in the archive."""
        if isinstance(entry, (FileEntry, DirectoryEntry)):
            return (entry,)
        if isinstance(entry, SymlinkEntry) and entry.target is not None:
            return self._portable_link(entry, entry.target.kind)
        return self._chosen([entry])

    def _portable_link(self, link: SymlinkEntry, kind: TargetKind) -> Iterable[Entry]:
        external = kind in (TargetKind.EXTERNAL_FILE, TargetKind.EXTERNAL_DIRECTORY)
        if kind is TargetKind.INTERNAL:
            return [link]
        if kind is TargetKind.NEIGHBOUR:
            copies = [entry for entry in link.copies if not self._is_left_out(entry)]
            return [replace(link, copies=tuple(map(self.relocation.relocated_copy, copies)))]
        if external:
            copies = [entry for entry in link.copies if not self._is_left_out(entry)]
            if self.recipe.external_links or next_hop(link) is not None:
                kept = replace(link, copies=tuple(map(self.relocation.relocated_copy, copies)))
                return self._interpreter_alias(link) or [kept]
            return self._interpreter_alias(link) or self._chosen(copies)
        self.problems.append(
            f"the link {link.arcname} {NO_TARGET[kind]} ({link.linkname}): repair it, remove it or"
            " exclude it"
        )
        return []

    def _with_copies(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """Let copies stand for links which lead outside by another link that was left out."""
        result = dict(entries)
        for name, entry in entries.items():
            if not isinstance(entry, SymlinkEntry) or leads_to_layer(entry):
                continue
            if entry.copies and next_hop(entry) not in entries:
                del result[name]
                result.update({copy.arcname: copy for copy in self._chosen(entry.copies)})
        return result

    def _interpreter_alias(self, link: SymlinkEntry) -> list[Entry]:
        """Point another name of the base interpreter at the one in the archive."""
        interpreter = self.environment.interpreter
        if self.recipe.interpreter == "linked" or link.target is None:
            return []
        if link.target.path != interpreter.executable:
            return []
        name = f"{self.environment.scripts}/{interpreter.executable_name}"
        linkname = posixpath.relpath(name, posixpath.dirname(link.arcname) or ".")
        return [replace(link, linkname=linkname, target=None, copies=())]

    # records

    def _make_records_true(self, entries: dict[str, Entry]) -> None:
        for distribution in self.kept:
            record = entries.get(f"{distribution.metadata_dir}/RECORD")
            if isinstance(record, FileEntry) and isinstance(record.content, bytes):
                prefix = self.environment.prefix
                content = updated_record(distribution, record.content, entries, prefix)
                entries[record.arcname] = replace(record, content=content, size=len(content))

    # runtime, folders

    def _add_runtime(self, entries: dict[str, Entry], added: Entry) -> None:
        there = entries.get(added.arcname)
        same_link = (  # lib64 of Fedora's kind, which makers of environments add as well
            isinstance(there, SymlinkEntry)
            and isinstance(added, SymlinkEntry)
            and there.linkname == added.linkname
        )
        if there is not None and not isinstance(there, DirectoryEntry) and not same_link:
            self.problems.append(
                f"{added.arcname} of the environment has the name of a file of the bundled"
                " interpreter: exclude it"
            )
        entries[added.arcname] = added

    def _collect_libraries(self, entries: dict[str, Entry]) -> None:
        """Add links to the shared libraries of a layer, by which those above it find them."""
        links, notes = collected_links(entries, self.recipe.libraries)
        entries.update({link.arcname: link for link in self._chosen(links)})
        self.notes += notes

    # check, normalise

    @property
    def _promised(self) -> str | None:
        """The one link that leads out of the environment because it was asked for."""
        name = f"{self.environment.scripts}/{self.environment.interpreter.executable_name}"
        return name if self.recipe.interpreter == "promised" else None

    def _check(self, entries: dict[str, Entry]) -> None:
        leaving_allowed = self.recipe.external_links
        self.problems += check_tree(entries, promised=self._promised, leaving=leaving_allowed)
        if self.recipe.neighbours is not None and self.recipe.neighbours.below:
            self.problems += check_reserved_names(entries, self.environment)
        if self.environment.interpreter.system == "darwin":
            # Without a bundle, the target may have the base interpreter at the same place.
            places = (
                os.fsdecode(place.path)
                for place in self.recipe.places
                if self.recipe.interpreter == "bundled" or place.kind != BASE
            )
            found = macos_check.check(entries, self.recipe.floors, places)
            self.problems += found.problems
            self.notes += found.notes
        if self.windows is not None:
            self.problems += windows_check.name_problems([*entries, manifest.ARCNAME])
        if self.problems:
            raise PlanError(f"{self.environment.given} cannot be packed", self.problems)

    def _finish(self, entries: dict[str, Entry]) -> PackPlan:
        recipe = self.recipe
        distributions = (*self.kept, *(overlay.distribution for overlay in self.overlays))
        head = manifest.manifest_head(
            self.environment,
            distributions,
            name=recipe.name,
            version=recipe.version,
            interpreter="target" if recipe.interpreter == "linked" else recipe.interpreter,
            needs=self.needs,
        )
        if recipe.neighbours is not None:
            leading = paths_in_layers(entries.values())
            facts = recipe.neighbours.facts(self.environment, recipe.relied_on, leading)
            head = {**head, "neighbours": facts}
        return PackPlan(
            entries=tuple(in_order(with_times(entries.values(), recipe.times))),
            install_target=recipe.install_target,
            head=head,
            manifest_time=recipe.times.of(None),
            notes=tuple(self.notes),
            distributions=distributions,
            watch=LeakPolicy.for_mode(
                recipe.interpreter,
                recipe.places,
                self.environment.scripts,
                [
                    manifest.ARCNAME,
                    "pyvenv.cfg",
                    *filter(self.environment.is_of_interpreter, entries),
                ],
            ),
        )


def _postinstall_entry() -> FileEntry:
    script = files("hatch_pack_venv.injected") / POSTINSTALL
    return FileEntry.from_bytes(POSTINSTALL, script.read_bytes(), executable=False)
