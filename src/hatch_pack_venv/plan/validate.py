"""Checks on a finished plan: its tree, its size, and what its platform can hold."""

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
    """Yield a sentence for each entry whose path or link target is not allowed.

    Parameters:
        fixed_path: arcname of the one link that leaves the environment because that was requested.
        leaving: whether any link may leave it.
    """
    misplaced: dict[str, list[str]] = {}
    for name, entry in entries.items():
        folder = name.rpartition("/")[0]
        if "\\" in name or leads_out(name):
            yield (
                f"{name!r} has a backslash or a drive in its name, which Windows would interpret as"
                " part of a path: rename or exclude it"
            )
        if folder and not isinstance(entries.get(folder), DirectoryEntry):
            misplaced.setdefault(folder, []).append(name)
        if name == fixed_path or leaving or not isinstance(entry, SymlinkEntry):
            continue
        if not leads_to_layer(entry):
            target = posixpath.normpath(posixpath.join(folder, entry.linkname))
            if target.startswith(("../", "/")) or target == "..":
                yield f"the link {name} leads outside the environment: exclude it"
    for folder, (first, *others) in misplaced.items():
        verb = f"and {len(others)} more are" if others else "is"
        is_link = isinstance(entries.get(folder), SymlinkEntry)
        what = "a link: replace it with what it leads to, or" if is_link else "not a folder:"
        yield f"{first} {verb} below {folder}, which is {what} exclude one of them"


def nested_environments(scanned: Iterable[ScannedEntry]) -> Iterator[str]:
    """Yield a sentence for each environment nested inside the one to pack.

    Its `pyvenv.cfg`, interpreter and launchers refer to paths on this machine.
    """
    entries = list(scanned)
    inner = [entry.arcname for entry in entries if entry.arcname.endswith("/pyvenv.cfg")]
    names = {entry.arcname for entry in entries} if inner else set()
    for folder in sorted(map(posixpath.dirname, inner)):
        if not names.isdisjoint({f"{folder}/bin/python", f"{folder}/Scripts/python.exe"}):
            yield (
                f"{folder} is a nested environment, which would not run on the target: leave it"
                f' out (exclude-files = ["/{folder}/"]) and pack it separately'
            )


def check_zip_names(plan: PackPlan) -> None:
    """Refuse names that cannot be encoded in a zip file.

    Raises:
        PlanError: lists the names that are not UTF-8.
    """
    named = [(entry.arcname, "rename or exclude it") for entry in plan.entries]
    named.append((plan.install_target, "set install-target to another name"))
    odd = [
        f"the name {name!r} is not UTF-8, so tools would unpack it under a different name: {way},"
        " or choose a tar format"
        for name, way in named
        if not _is_text(name)
    ]
    if odd:
        raise PlanError("it cannot be packed into a zip file", odd)


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in name)


def check_reserved_names(entries: Mapping[str, Entry], environment: Environment) -> Iterator[str]:
    """Yield a sentence if the environment has a file that `postinstall.py` writes for layers."""
    name = f"{environment.site_packages[0]}/sitecustomize.py"
    if name in entries:
        yield (
            f"{name} would be replaced when postinstall.py writes its own for the layers: move what"
            " it does into a .pth file, and exclude it"
        )


_COMPILES: Final = {"torch", "triton"}  # at run time: torch.compile and triton's kernels


def headers_notes(plan: PackPlan) -> Iterator[str]:
    """Yield a sentence if a distribution that compiles C at run time lacks Python's headers."""
    named = sorted(each.name for each in plan.distributions if each.key in _COMPILES)
    if named and not any(entry.arcname.endswith("/Python.h") for entry in plan.entries):
        yield (
            f"{' and '.join(named)} may need Python.h to compile C at run time (torch.compile), and"
            ' interpreter-trim leaves it out: bring it back with include-files = ["/include/"]'
        )


_ANY_DIGEST: Final = "0" * 64  # a placeholder of the right length
_LARGEST: Final = 10  # how many distributions an error lists


def as_written(plan: PackPlan, *, copies_links: bool) -> tuple[PackPlan, list[SymlinkEntry]]:
    """Return the plan of the largest archive, and the links that are replaced by copies in it.

    Raises:
        LinkError: if links that would have to be copied form a loop or lead nowhere.
    """
    if not copies_links:
        return plan, []
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    return replace(plan, entries=tuple(without_links(plan.entries))), links


def drafts(plan: PackPlan) -> list[tuple[Document, FileEntry]]:
    """Return the packed documents with entries of their size, rendered with placeholder hashes."""
    return [
        (each, FileEntry.from_bytes(each.arcname, each.render(lambda: _ANY_DIGEST, _any_digest)))
        for each in plan.documents
        if each.arcname is not None
    ]


def unpacked_size(plan: PackPlan, copied: Iterable[SymlinkEntry] = ()) -> int:
    """Return the size in bytes of all unpacked files, including documents and manifest.

    Parameters:
        copied: links that are replaced by copies; the manifest lists them.
    """
    head = {**plan.head, "content_digest": _ANY_DIGEST}
    documents = [entry for _, entry in drafts(plan)]
    text = manifest.render_manifest(head, [*plan.entries, *documents], _any_digest, copied)
    return plan.size + sum(each.size for each in documents) + len(text)


def _any_digest(_arcname: str) -> str:
    return _ANY_DIGEST


def check_size(plan: PackPlan, limit: int | None, *, copies_links: bool = False) -> None:
    """Refuse a plan whose largest archive unpacks to more bytes than are allowed.

    Raises:
        PlanError: if it is too large; the message gives both sizes, and the largest distributions
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
            f"its unpacked size, {human_size(size)} ({size} bytes), exceeds max-size"
            f" ({human_size(limit)}); the largest parts are {told}"
        ],
    )


def for_windows(plan: PackPlan, environment: Environment) -> PackPlan:
    """Return a Windows plan with copies in place of links, and with its path budget.

    Extension modules that the interpreter cannot load are noted. Plans for other platforms are
    returned unchanged.

    Raises:
        LinkError: if links form a loop or lead nowhere; lists all of them.
        PlanError: Windows does not allow the name of the top folder.
    """
    if not environment.is_windows:
        return plan
    problem = None if plan.install_target == "." else name_problem(plan.install_target)
    if problem is not None:
        raise PlanError(
            f"{environment.requested} cannot be packed",
            [f"the top-level folder {plan.install_target!r} {problem}: set another install-target"],
        )
    entries = tuple(without_links(plan.entries))
    budget = PathBudget.of(entries, manifest.ARCNAME)
    platform = {**plan.head["platform"], "path_budget": budget.facts()}
    notes = foreign_modules(plan, environment)
    return replace(plan, entries=entries).with_facts({"platform": platform}, notes)
