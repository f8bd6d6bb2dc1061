"""The plan: everything that is decided about an archive, decided before anything is written.

`build_plan` is pure. It selects, judges links, relocates, lays the wheels and the runtime over the
environment, injects the post-install script, normalises, and either returns a whole plan or raises
one error that lists every problem.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from . import manifest, windows_names
from .activation import activation_scripts
from .data_files import may_be_rewritten, relocate_data_file
from .editables import refusal
from .entries import (
    DirectoryEntry,
    Entry,
    FileEntry,
    ScannedEntry,
    SymlinkEntry,
    TargetKind,
    UnsupportedEntry,
)
from .errors import PlanError
from .floors import Floors, Needs, told_needs
from .launchers import relocate_script
from .leaks import Watch
from .links import NO_TARGET, next_hop, without_dangling
from .metadata import foreign_paths, names_a_local_path, relocate_path_file
from .normalise import Times, in_order, with_times
from .records import new_record, updated_record
from .requirements import marker_environment, missing_requirements
from .selection import Selection, parents_of
from .windows_rules import WindowsRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .distributions import InstalledDistribution
    from .environment import Environment
    from .places import Place
    from .wheels import WheelOverlay

POSTINSTALL: Final = "postinstall.py"

Interpreter: TypeAlias = Literal["bundled", "target", "promised", "linked"]
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


def build_plan(
    scanned: Iterable[ScannedEntry],
    *,
    environment: Environment,
    recipe: Recipe,
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
        self, environment: Environment, recipe: Recipe, overlays: tuple[WheelOverlay, ...]
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
        self.editable_lines = {
            line for each in self.kept if each.editable for line in each.editable.lines
        }
        self.needs = Needs()
        packed = [*self.kept, *(overlay.distribution for overlay in overlays)]
        self.entry_points = {point.name: point for d in packed for point in d.entry_points}
        self.windows = self._windows_rules() if environment.is_windows else None
        shared = {name for distribution in self.kept for name in distribution.files}
        self.dropped_metadata = tuple(f"{d.metadata_dir}/" for d in self.dropped)
        self.dropped_files = {n for d in self.dropped for n in (*d.files, d.metadata_dir)} - shared

    def plan(self, scanned: list[ScannedEntry], runtime: list[ScannedEntry]) -> PackPlan:
        self._refuse_editables()
        selected = [entry for entry in scanned if not self._is_left_out(entry)]
        self.needs = self._needs(selected, runtime)
        entries: dict[str, Entry] = {}
        for entry in selected:
            for packed in self._portable(entry):
                entries[packed.arcname] = self._relocated(packed)
        for overlay in self.overlays:
            entries.update({entry.arcname: entry for entry in self._laid_over(overlay)})
        for script in self._chosen(activation_scripts(self.environment.scripts)):
            entries.setdefault(script.arcname, script)  # unless `include-files` brought one back
        for added in self._chosen(runtime):
            self._add_runtime(entries, added)
        entries[POSTINSTALL] = _postinstall_entry()
        self._complete_folders(entries, scanned)
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
        left_out = self.recipe.selection.excludes(entry, self.environment)
        if left_out and posixpath.basename(name) == "sitecustomize.py":
            self.notes.append(f"{name} was left out: it customised the environment it was made in")
        if isinstance(entry, FileEntry) and posixpath.basename(name) == "direct_url.json":
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
            self._relocated(entry) if entry.arcname in launchers else entry
            for entry in self._chosen(overlay.entries)
        ]
        yield from chosen
        if self.recipe.selection.records:
            files = [entry for entry in chosen if isinstance(entry, FileEntry)]
            record = new_record(overlay.distribution, files)
            name = f"{overlay.distribution.metadata_dir}/RECORD"
            yield from self._chosen([FileEntry.from_bytes(name, record)])

    def _needs(self, selected: list[ScannedEntry], runtime: list[ScannedEntry]) -> Needs:
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
        if isinstance(entry, SymlinkEntry) and entry.target is not None:
            return self._portable_link(entry, entry.target.kind)
        return self._chosen([entry])

    def _portable_link(self, link: SymlinkEntry, kind: TargetKind) -> Iterable[Entry]:
        external = kind in (TargetKind.EXTERNAL_FILE, TargetKind.EXTERNAL_DIRECTORY)
        if kind is TargetKind.INTERNAL:
            return [link]
        if external:
            copies = [entry for entry in link.copies if not self._is_left_out(entry)]
            if self.recipe.external_links or next_hop(link) is not None:
                kept = replace(link, copies=tuple(map(self._relocated_copy, copies)))
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
            if isinstance(entry, SymlinkEntry) and entry.copies and next_hop(entry) not in entries:
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

    # relocate

    def _relocated_copy(self, entry: ScannedEntry) -> ScannedEntry:
        return entry if isinstance(entry, UnsupportedEntry) else self._relocated(entry)

    def _relocated(self, entry: Entry) -> Entry:
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, bytes):
            return entry
        if self.windows is not None:
            return self._relocated_for_windows(entry, entry.content, self.windows)
        folder, name = posixpath.split(entry.arcname)
        spellings = self.environment.spellings
        content: bytes | None = None
        if folder == self.environment.scripts:
            point = self.entry_points.get(name)
            content = relocate_script(entry.content, spellings, point, self.needs.check())
        elif may_be_rewritten(entry.arcname):
            content = relocate_data_file(entry.arcname, entry.content, spellings)
        elif folder in self.environment.site_packages and name.endswith(".pth"):
            content = relocate_path_file(entry.content, folder, spellings)
            self.problems += [
                f"{entry.arcname} adds {path} to sys.path, which will not exist on the target:"
                " install what is there as a regular package, or exclude the file"
                for path in foreign_paths(content, folder)
                if path not in self.editable_lines
            ]
        return entry if content is None else replace(entry, content=content, size=len(content))

    def _windows_rules(self) -> WindowsRules:
        return WindowsRules.of(
            self.environment,
            self.entry_points,
            bundled=self.recipe.interpreter == "bundled",
            passed_over=frozenset(self.editable_lines),
        )

    def _relocated_for_windows(
        self, entry: FileEntry, content: bytes, rules: WindowsRules
    ) -> FileEntry:
        relocated = rules.relocated(entry.arcname, content)
        content = content if relocated is None else relocated
        self.problems += rules.problems(entry.arcname, content)
        return replace(entry, content=content, size=len(content))

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

    def _complete_folders(self, entries: dict[str, Entry], scanned: list[ScannedEntry]) -> None:
        """Add the folders above every entry, and drop those that have lost all they held."""
        had_children = parents_of(entry.arcname for entry in scanned)
        leaves = [
            name
            for name, entry in entries.items()
            if not isinstance(entry, DirectoryEntry) or name not in had_children
        ]
        needed = [*leaves, manifest.ARCNAME]
        parents = parents_of(needed) | {
            self.environment.scripts,
            *self.environment.site_packages,
            *parents_of(self.environment.site_packages),
        }
        for name, entry in list(entries.items()):
            if isinstance(entry, DirectoryEntry) and name in had_children and name not in parents:
                del entries[name]
        for name in parents:
            entries.setdefault(name, DirectoryEntry(arcname=name))

    # check, normalise

    @property
    def _promised(self) -> str | None:
        """The one link that leads out of the environment because it was asked for."""
        name = f"{self.environment.scripts}/{self.environment.interpreter.executable_name}"
        return name if self.recipe.interpreter == "promised" else None

    def _check(self, entries: dict[str, Entry]) -> None:
        for name, entry in entries.items():
            folder = posixpath.dirname(name)
            if folder and not isinstance(entries.get(folder), DirectoryEntry):
                self.problems.append(f"{name} lies below {folder}, which is no folder: exclude one")
            if name == self._promised:
                continue
            if isinstance(entry, SymlinkEntry) and not self.recipe.external_links:
                target = posixpath.normpath(posixpath.join(folder, entry.linkname))
                if target.startswith(("../", "/")) or target == "..":
                    self.problems.append(f"the link {name} leaves the environment: exclude it")
        if self.windows is not None:
            self.problems += windows_names.problems([*entries, manifest.ARCNAME])
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
        return PackPlan(
            entries=tuple(in_order(with_times(entries.values(), recipe.times))),
            install_target=recipe.install_target,
            head=head,
            manifest_time=recipe.times.of(None),
            notes=tuple(self.notes),
            distributions=distributions,
            watch=Watch.for_mode(
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
