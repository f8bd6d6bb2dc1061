"""`convert_symlinks`: the one function that changes an environment in place."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .entries import TargetKind, UnsupportedEntry
from .errors import EnvironmentProblem, LinkError, OptionsError, OutputProblem
from .links import copies_of, portable_linkname, resolve_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import StrPath

Links: TypeAlias = list[tuple[Path, Path]]


def convert_symlinks(
    env_dir: StrPath, containing_dir: StrPath | None = None
) -> tuple[Links, Links]:
    """Make an environment portable in place.

    Links inside the environment become relative; links to files outside become hard links, or
    copies where the target lies on another device or may not be linked to; links to folders outside
    become copied trees, since a hard link to a folder does not exist. A hard link shares its file
    with the original: whoever edits it in place edits both.

    Everything is decided before anything is changed, and each link is replaced atomically.

    Parameters:
        env_dir: the environment.
        containing_dir: a parent of the environment, the boundary instead of the environment itself:
            links to what lies in it become relative, too.

    Returns:
        Two lists of (link, target) pairs of what was converted: links inside with their new text,
        links outside with the real path of what they led to.

    Raises:
        OptionsError: `containing_dir` is no parent of the environment (also a `ValueError`).
        LinkError: links that lead nowhere, in a loop, to a special file, or to a folder that holds
            the environment, all of them; nothing was changed.
        PackVenvError: a link could not be replaced; it is as it was, and those before it are
            converted.
    """
    environment = Path(os.path.abspath(env_dir))
    if not environment.is_dir():
        raise EnvironmentProblem(f"there is no environment's folder at {environment}")
    boundary = environment.resolve()
    if containing_dir is not None:
        containing = Path(os.path.realpath(containing_dir))
        if not boundary.is_relative_to(containing):
            problem = f"{environment} does not lie in {containing}: name a folder above it"
            raise OptionsError("containing_dir is wrong", [problem])
        boundary = containing
    relative, external = _decide(environment, boundary)
    for link, text in relative:
        with _replacing(link) as new:
            new.symlink_to(text)
    for link, target in external:
        with _replacing(link) as new:
            _bring(target, new)
    return relative, external


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What becomes of one link; exactly one of the three is set, or none if it is right."""

    text: Path | None = None
    copy: Path | None = None
    problems: tuple[str, ...] = ()


def _decide(environment: Path, boundary: Path) -> tuple[Links, Links]:
    relative: Links = []
    external: Links = []
    problems: list[str] = []
    for link in _links(environment):
        verdict = _judge(link, boundary, environment.resolve())
        problems += verdict.problems
        if verdict.text is not None:
            relative.append((link, verdict.text))
        if verdict.copy is not None:
            external.append((link, verdict.copy))
    if problems:
        raise LinkError(f"{environment} holds links that cannot be converted", problems)
    return relative, external


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder in the order of names, without following any."""
    for child in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if child.is_symlink():
            yield Path(child.path)
        elif child.is_dir():
            yield from _links(Path(child.path))


def _judge(link: Path, boundary: Path, environment: Path) -> _Verdict:
    target = resolve_link(link, boundary)
    reasons = {
        TargetKind.DANGLING: "leads nowhere",
        TargetKind.LOOP: "leads in a loop",
        TargetKind.SPECIAL: "leads to a special file",
    }
    if target.kind in reasons:
        return _refused(link, reasons[target.kind])
    text = portable_linkname(link, target, boundary)
    if text is not None:
        old = os.readlink(link)
        # `./f` and `f//` are right as they are, only absolute and roundabout texts are not.
        same = not os.path.isabs(old) and os.path.normpath(old) == text
        return _Verdict() if same else _Verdict(text=Path(text))
    if environment.is_relative_to(target.path):
        return _refused(link, "leads to a folder that holds the environment")
    problems = [
        f"{entry.arcname} {entry.reason}"
        for entry in copies_of(target.path, str(link))
        if isinstance(entry, UnsupportedEntry)
    ]
    return _Verdict(problems=tuple(problems)) if problems else _Verdict(copy=target.path)


def _refused(link: Path, reason: str) -> _Verdict:
    problem = f"{link} {reason} ({os.readlink(link)}): repair it or remove it"
    return _Verdict(problems=(problem,))


@contextmanager
def _replacing(link: Path) -> Iterator[Path]:
    """Give a path beside a link for what is to take its place when the block ends well."""
    try:
        with tempfile.TemporaryDirectory(dir=link.parent, prefix=".pack-venv-") as work:
            new = Path(work) / link.name
            yield new
            if new.is_dir() and not new.is_symlink():
                _swap(new, link, Path(work) / "link")
            else:
                new.replace(link)
    except (OSError, shutil.Error) as error:
        raise OutputProblem(f"{link} cannot be replaced: {error}; it is as it was") from error


def _swap(folder: Path, link: Path, aside: Path) -> None:
    """Put a folder in the place of a link; a folder cannot be renamed over one."""
    link.rename(aside)
    try:
        folder.rename(link)
    except BaseException:
        aside.rename(link)
        raise


def _bring(target: Path, new: Path) -> None:
    if target.is_dir():
        shutil.copytree(target, new)
        return
    try:
        new.hardlink_to(target)
    except OSError:
        # Another device, a file of somebody else (fs.protected_hardlinks), too many links, or a
        # file system without any.
        shutil.copy2(target, new)
