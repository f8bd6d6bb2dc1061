"""Folders outside an environment that it imports from.

The environment's own start-up code is run where nothing else shows what it adds to `sys.path`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..metadata.path_files import path_lines
from ..model.entries import FileEntry
from ..model.errors import EnvironmentProblem
from ..model.plan import Findings
from .asking import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..model.entries import ScannedEntry
    from ..model.environment import Environment


# Start-up files that add nothing to sys.path and that most environments have.
_HARMLESS: Final = re.compile(
    r"_virtualenv\.pth|distutils-precedence\.pth|a1_coverage\.pth|.*-nspkg\.pth|__editable__.*"
)
_STARTUP: Final = (".pth", "/sitecustomize.py")
_CODE_LINE: Final = re.compile(rb"(?m)^import[ \t]")
_SEARCH_PATH: Final = "import json, os, sys; answer = json.dumps(sys.path)"


def seen_outside(
    environment: Environment,
    scanned: Sequence[ScannedEntry],
    excluded: Callable[[str], bool],
) -> Findings:
    """Find what an environment imports from elsewhere; its interpreter is asked if necessary.

    Parameters:
        excluded: whether a file of the environment is not packed, by its arcname.
    """
    found = startup_code(environment, scanned).items()
    code = {name: content for name, content in found if not excluded(name)}
    if not environment.runs_here or not (code or environment.include_system_site_packages):
        return Findings()
    plain = plain_folders(environment, scanned)
    folders = folders_outside(ask_search_path(environment), environment)
    return describe_outside([each for each in folders if each not in plain], code)


def startup_code(environment: Environment, scanned: Iterable[ScannedEntry]) -> dict[str, bytes]:
    """Return the files whose code may change `sys.path` when the interpreter starts.

    These are `.pth` files with lines of code and `sitecustomize.py`; known ones and those of
    editable installs are left out.
    """
    hooks = {name for each in environment.distributions if each.editable for name in each.files}
    found = {}
    for entry in [each for each in scanned if each.arcname.endswith(_STARTUP)]:
        folder, _, name = entry.arcname.rpartition("/")
        if folder not in environment.site_packages or entry.arcname in hooks:
            continue
        content = entry.content if isinstance(entry, FileEntry) else None
        if not isinstance(content, bytes) or _HARMLESS.fullmatch(name):
            continue
        if name == "sitecustomize.py" or (name.endswith(".pth") and _CODE_LINE.search(content)):
            found[entry.arcname] = content
    return found


def plain_folders(environment: Environment, scanned: Iterable[ScannedEntry]) -> set[str]:
    """Return the folders that plain lines of `.pth` files add to `sys.path`."""
    found = set()
    for entry in scanned:
        folder, _, name = entry.arcname.rpartition("/")
        content = entry.content if isinstance(entry, FileEntry) else None
        if folder in environment.site_packages and name.endswith(".pth"):
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
            here = environment.prefix / folder
            found |= {os.path.normpath(here / line) for line in path_lines(text)}
    return found


def ask_search_path(environment: Environment) -> list[str]:
    """Return `sys.path` as the environment's interpreter reports it after running start-up code.

    It is empty if the interpreter does not answer: its start-up code may need something that is
    missing.
    """
    # The user's own packages count if the environment sees them.
    mode = "-E" if environment.include_system_site_packages else "-I"
    python = environment.prefix / environment.scripts / "python"
    try:
        found = answer_of(python, (mode,), _SEARCH_PATH)
    except EnvironmentProblem:
        return []
    paths = found if isinstance(found, list) else []
    return [path for path in paths if isinstance(path, str) and path]


def folders_outside(search_path: Iterable[str], environment: Environment) -> list[str]:
    """Return the folders on a search path that are not empty and are outside what is packed.

    The environment, its layers, the standard library and, if the environment sees them, the base
    interpreter's own packages are inside. Editable installs are handled elsewhere.
    """
    facts = environment.interpreter
    known = [environment.prefix, facts.stdlib]
    known += facts.site_packages if environment.include_system_site_packages else ()
    known += [] if environment.containing is None else [environment.containing]
    editables = [each.editable for each in environment.distributions if each.editable]
    known += [Path(os.path.realpath(each.source)) for each in editables]
    known += [Path(os.path.realpath(line)) for each in editables for line in each.lines]
    found = {}
    for folder in search_path:
        real = Path(os.path.realpath(folder))
        if not any(real.is_relative_to(each) for each in known) and _holds_something(real):
            found[folder] = real
    return list(found)


def _holds_something(folder: Path) -> bool:
    try:
        return any(name != "__pycache__" for name in os.listdir(folder))
    except OSError:
        return False


def describe_outside(folders: Iterable[str], code: Mapping[str, bytes]) -> Findings:
    """Describe outside folders that start-up code adds to `sys.path`.

    If one of the files names a folder, that is an error, as in a plain line of a `.pth` file.
    """
    problems, notes = [], []
    for folder in folders:
        named = [name for name, content in code.items() if os.fsencode(folder) in content]
        if named:
            problems.append(
                f"{named[0]} runs code that adds {folder} to sys.path, a folder that will not exist"
                " on the target: install its contents as a regular package, or exclude the file"
            )
        else:
            notes.append(
                f"{folder} is on the environment's sys.path but is not packed: install what is"
                " needed from it into the environment"
            )
    return Findings(problems=tuple(problems), notes=tuple(notes))
