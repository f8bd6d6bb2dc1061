"""What a finished plan must be: a tree, within its size limit, holdable by its platform."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..model import manifest
from ..model.entries import DirectoryEntry, FileEntry, SymlinkEntry, leads_out
from ..model.errors import PlanError
from ..model.results import human_size, sizes_by_owner
from ..platforms.windows.check import PathBudget, foreign_modules, name_problem
from .links import leads_to_layer, without_links

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..model.plan import Document, PackPlan


def check_tree(
    entries: Mapping[str, Entry], *, fixed_path: str | None, leaving: bool
) -> Iterator[str]:
    """Yield a sentence for each entry that cannot lie where it does.

    Parameters:
        fixed_path: arcname of the one link that leads out because it was asked for.
        leaving: whether any link may.
    """
    misplaced: dict[str, list[str]] = {}
    for name, entry in entries.items():
        folder = name.rpartition("/")[0]
        if "\\" in name or leads_out(name):
            yield (
                f"{name!r} has a backslash or a drive in its name, which Windows takes for the end"
                " of a folder's name: rename or exclude it"
            )
        if folder and not isinstance(entries.get(folder), DirectoryEntry):
            misplaced.setdefault(folder, []).append(name)
        if name == fixed_path or leaving or not isinstance(entry, SymlinkEntry):
            continue
        if not leads_to_layer(entry):
            target = posixpath.normpath(posixpath.join(folder, entry.linkname))
            if target.startswith(("../", "/")) or target == "..":
                yield f"the link {name} leaves the environment: exclude it"
    for folder, (first, *others) in misplaced.items():
        verb = f"and {len(others)} more lie" if others else "lies"
        is_link = isinstance(entries.get(folder), SymlinkEntry)
        what = "a link: put what it leads to in its place, or" if is_link else "no folder:"
        yield f"{first} {verb} below {folder}, which is {what} exclude one"


def nested_environments(scanned: Iterable[ScannedEntry]) -> Iterator[str]:
    """Yield a sentence for each environment that lies within the one that is packed.

    Its `pyvenv.cfg`, its interpreter and its launchers name places of this machine.
    """
    entries = list(scanned)
    inner = [entry.arcname for entry in entries if entry.arcname.endswith("/pyvenv.cfg")]
    names = {entry.arcname for entry in entries} if inner else set()
    for folder in sorted(map(posixpath.dirname, inner)):
        if not names.isdisjoint({f"{folder}/bin/python", f"{folder}/Scripts/python.exe"}):
            yield (
                f"{folder} is an environment of its own, which would not run on the target: leave"
                f' it out (exclude-files = ["/{folder}/"]) and pack it by itself'
            )


def check_zip_names(plan: PackPlan) -> None:
    """Refuse names that a zip file has no encoding for.

    Raises:
        PlanError: lists the names that are not UTF-8.
    """
    named = [(entry.arcname, "rename or exclude it") for entry in plan.entries]
    named.append((plan.install_target, "set install-target to another"))
    odd = [
        f"the name {name!r} is not UTF-8, and every tool would unpack it under another: {way}, or"
        " choose a tar format"
        for name, way in named
        if not _is_text(name)
    ]
    if odd:
        raise PlanError("a zip file cannot hold it", odd)


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in name)


def check_reserved_names(entries: Mapping[str, Entry], environment: Environment) -> Iterator[str]:
    """Yield a sentence if the environment has a file that `postinstall.py` writes for layers."""
    name = f"{environment.site_packages[0]}/sitecustomize.py"
    if name in entries:
        yield (
            f"{name} would be replaced when postinstall.py writes its own for the layers: do in a"
            " .pth file what it does, and exclude it"
        )


_COMPILES: Final = {"torch", "triton"}  # torch.compile and triton's kernels, when they run


def headers_notes(plan: PackPlan) -> Iterator[str]:
    """Yield a sentence if what compiles C when it runs is packed without Python's headers."""
    named = sorted(each.name for each in plan.distributions if each.key in _COMPILES)
    if named and not any(entry.arcname.endswith("/Python.h") for entry in plan.entries):
        yield (
            f"{' and '.join(named)} may compile C when run (torch.compile) and need Python.h, which"
            ' interpreter-trim leaves out: include-files = ["/include/"] brings the headers along'
        )


_ANY_DIGEST: Final = "0" * 64  # as long as any other
_LARGEST: Final = 10  # how many an error names


def as_written(plan: PackPlan, *, copies_links: bool) -> tuple[PackPlan, list[SymlinkEntry]]:
    """Return a plan as in the largest of its archives, and the links that are copied there.

    Raises:
        LinkError: if links that would have to be copied form a loop or lead nowhere.
    """
    if not copies_links:
        return plan, []
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    return replace(plan, entries=tuple(without_links(plan.entries))), links


def drafts(plan: PackPlan) -> list[tuple[Document, FileEntry]]:
    """Return the documents that are packed, of their size, with hashes that stand for others."""
    return [
        (each, FileEntry.from_bytes(each.arcname, each.render(lambda: _ANY_DIGEST, _any_digest)))
        for each in plan.documents
        if each.arcname is not None
    ]


def unpacked_size(plan: PackPlan, copied: Iterable[SymlinkEntry] = ()) -> int:
    """Return the bytes of all files of an unpacked archive, documents and manifest among them.

    Parameters:
        copied: links that copies stand for, which the manifest lists.
    """
    head = {**plan.head, "content_digest": _ANY_DIGEST}
    documents = [entry for _, entry in drafts(plan)]
    text = manifest.render_manifest(head, [*plan.entries, *documents], _any_digest, copied)
    return plan.size + sum(each.size for each in documents) + len(text)


def _any_digest(_arcname: str) -> str:
    return _ANY_DIGEST


def check_size(plan: PackPlan, limit: int | None, *, copies_links: bool = False) -> None:
    """Refuse a plan that unpacks to more bytes than are allowed, in the largest of its archives.

    Raises:
        PlanError: if it is too large; the sentence gives both sizes, and the largest distributions
            with theirs.
    """
    if limit is None:
        return
    plan, copied = as_written(plan, copies_links=copies_links)
    size = unpacked_size(plan, copied)
    if size <= limit:
        return
    sizes = sizes_by_owner(plan.entries, plan.distributions)
    told = ", ".join(f"{name} {human_size(size)}" for name, size in sizes.most_common(_LARGEST))
    raise PlanError(
        "it is too large",
        [
            f"{human_size(size)} ({size} bytes) unpacked are more than the"
            f" {human_size(limit)} of max-size; the largest parts are {told}"
        ],
    )


def for_windows(plan: PackPlan, environment: Environment) -> PackPlan:
    """Return a plan with copies in place of links, and with its path budget; others as they are.

    What the interpreter cannot load is noted.

    Raises:
        LinkError: links that lead in a loop or nowhere, all of them.
        PlanError: Windows cannot hold the name of the top folder.
    """
    if not environment.is_windows:
        return plan
    problem = None if plan.install_target == "." else name_problem(plan.install_target)
    if problem is not None:
        raise PlanError(
            f"{environment.requested} cannot be packed",
            [f"the top folder {plan.install_target!r} {problem}: set another install-target"],
        )
    entries = tuple(without_links(plan.entries))
    budget = PathBudget.of(entries, manifest.ARCNAME)
    platform = {**plan.head["platform"], "path_budget": budget.facts()}
    notes = foreign_modules(plan, environment)
    return replace(plan, entries=entries).with_facts({"platform": platform}, notes)
