"""`convert_symlinks`: the only function that changes an environment in place."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..filesystem import NO_TARGET, copies_of, portable_linkname, resolve_link
from ..model.entries import TargetKind, UnsupportedEntry
from ..model.errors import EnvironmentProblem, LinkError, OptionsError
from ..write.atomic import Replacements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import StrPath

    from ..model.entries import LinkTarget

Links: TypeAlias = list[tuple[Path, Path]]


def convert_symlinks(
    env_dir: StrPath, containing_dir: StrPath | None = None
) -> tuple[Links, Links]:
    """Make an environment portable in place.

    Links to places inside the environment become relative. Links to files outside become hard
    links, or copies if the target is on another device, belongs to another user or cannot be
    hard-linked. Links to folders outside become copied trees, since folders cannot be hard-linked.
    A hard link shares its file with the original: editing it in place changes both. A dangling link
    is kept if it leads to a place inside, in which case it becomes relative, or if it is relative
    and leads to a neighbour of the environment, which may be created later.

    First, everything is decided; then all replacements are created, before anything is changed;
    then each link is replaced atomically. Either all links are converted, or none.

    Parameters:
        env_dir: the environment; this and `containing_dir` may begin with `~`.
        containing_dir: a folder that contains the environment, used as the boundary in place of the
            environment itself: links to its contents become relative, too.

    Returns:
        Two lists of (link, target) pairs, one pair for each converted link: links to the inside
        with their new relative target, links to the outside with the real path of their former
        target.

    Raises:
        OptionsError: if `containing_dir` does not contain the environment (also a `ValueError`).
        LinkError: if links dangle outside, form a loop, or lead to a special file or to a folder
            that contains the environment; lists all of them; nothing was changed.
        PackVenvError: if a link could not be replaced; nothing was changed.
    """
    environment = Path(os.path.abspath(os.path.expanduser(env_dir)))
    if not environment.is_dir():
        raise EnvironmentProblem(f"there is no environment at {environment}")
    boundary = environment.resolve()
    if containing_dir is not None:
        containing = Path(os.path.realpath(os.path.expanduser(containing_dir)))
        if not boundary.is_relative_to(containing):
            problem = f"{environment} is not inside {containing}: name a folder that contains it"
            raise OptionsError("containing_dir is wrong", [problem])
        boundary = containing
    relative, external = _decide(environment, boundary)
    if relative or external:
        with Replacements(environment) as replacements:
            for link, text in relative:
                replacements.prepare(link).symlink_to(text)
            for link, target in external:
                _bring(target, replacements.prepare(link))
            replacements.commit()
    return relative, external


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What to do with a link: exactly one field is set, or none if the link is already right."""

    text: Path | None = None
    copy: Path | None = None
    problems: tuple[str, ...] = ()


def _decide(environment: Path, boundary: Path) -> tuple[Links, Links]:
    relative: Links = []
    external: Links = []
    problems: list[str] = []
    real = environment.resolve()
    for link in _links(environment, problems):
        verdict = _judge(link, boundary, real)
        problems += verdict.problems
        if verdict.text is not None:
            relative.append((link, verdict.text))
        if verdict.copy is not None:
            external.append((link, verdict.copy))
    if problems:
        raise LinkError(f"{environment} contains links that cannot be converted", problems)
    return relative, external


def _links(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Yield the links below a folder, sorted by name, without following any."""
    try:
        children = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(f"{folder} cannot be read ({error.strerror}), so its links are unknown")
        return
    for child in children:
        if child.is_symlink():
            yield Path(child.path)
        elif child.is_dir():
            yield from _links(Path(child.path), problems)


def _judge(link: Path, boundary: Path, environment: Path) -> _Verdict:
    target = resolve_link(link, boundary)
    if target.kind in NO_TARGET and not _may_be_missing(link, target, boundary, environment):
        return _refused(link, NO_TARGET[target.kind])
    text = portable_linkname(link, target, boundary)
    if text is not None:
        old = os.readlink(link)
        # `./f` and `f//` may stay as they are; only absolute and roundabout texts are replaced.
        same = not os.path.isabs(old) and os.path.normpath(old) == text
        return _Verdict() if same else _Verdict(text=Path(text))
    if target.kind is TargetKind.DANGLING:
        return _Verdict()
    if environment.is_relative_to(target.path):
        return _refused(link, "leads to a folder that contains the environment")
    problems = [
        f"{entry.arcname} {entry.reason}: repair it or remove it"
        for entry in copies_of(target.path, str(link))
        if isinstance(entry, UnsupportedEntry)
    ]
    return _Verdict(problems=tuple(problems)) if problems else _Verdict(copy=target.path)


def _may_be_missing(link: Path, target: LinkTarget, boundary: Path, environment: Path) -> bool:
    """Whether a dangling link is harmless: it leads inside, or to a neighbour yet to be created."""
    if target.kind is not TargetKind.DANGLING:
        return False
    if portable_linkname(link, target, boundary) is not None:
        return True
    return not os.path.isabs(os.readlink(link)) and target.path.is_relative_to(environment.parent)


def _refused(link: Path, reason: str) -> _Verdict:
    problem = f"{link} {reason} ({os.readlink(link)}): repair it or remove it"
    return _Verdict(problems=(problem,))


def _bring(target: Path, new: Path) -> None:
    """Create the replacement for a link to the outside."""
    if target.is_dir():
        shutil.copytree(target, new)
        # A folder that its owner cannot write to could be neither renamed nor cleaned up.
        for folder, _, _ in os.walk(new):
            os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | stat.S_IRWXU)
    elif not _link_hard(target, new):
        shutil.copy2(target, new)


def _link_hard(target: Path, new: Path) -> bool:
    """Try to create a hard link, but never one through which another user could change the file."""
    if hasattr(os, "geteuid") and target.stat().st_uid != os.geteuid():
        return False
    try:
        new.hardlink_to(target)
    except OSError:
        # Another device, too many links, or a file system without hard links.
        return False
    return True
