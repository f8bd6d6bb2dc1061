"""Distinguishes wheel builds for a release from those a front end makes only to install.

A build hook knows the project's folder and the wheel's output folder, not its caller. Which folders
front ends choose was measured with hatch 1.18, build 1.6, pip 23 to 26 and uv 0.13.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


# Names from `tempfile.mkdtemp()`, pip (`pip-wheel-…`, `pip-ephem-wheel-cache-…`) and uv
# (`.tmpAb12Cd`): folders that were not named by a person.
_GENERATED_NAME: Final = re.compile(r"tmp[a-z0-9_]{8}|\.tmp\w{6}|pip-[a-z-]+-\w{8}")
_CACHE_TAG: Final = "CACHEDIR.TAG"


def skip_reason(
    root: Path, directory: Path, version: str, environ: Mapping[str, str]
) -> str | None:
    """Return why a wheel build should not pack, or `None` if it should.

    Parameters:
        root: the project's folder.
        directory: the folder that receives the wheel.
        version: hatchling's name for the kind of wheel, `standard` or `editable`.
    """
    if environ.get("HATCH_PACK_VENV_SKIP", "") not in ("", "0"):
        return "HATCH_PACK_VENV_SKIP is set"
    if version != "standard":
        return f"this is a build of version {version!r}, not of a release"
    if is_unpacked_sdist(root) and not environ.get("HATCH_PACK_VENV_SOURCE"):
        return (
            "this is an unpacked sdist, which contains no environment: run `hatch build -t"
            " pack-venv` in the project, or set HATCH_PACK_VENV_SOURCE"
        )
    if _is_made_to_install(root, directory, environ):
        return "the wheel is built only to be installed"
    return None


def is_unpacked_sdist(root: Path) -> bool:
    """Return whether a project's folder is an unpacked sdist (`python -m build`, `uv build`)."""
    return (root / "PKG-INFO").is_file()


def base_folder(root: Path, directory: Path) -> Path:
    """Return the folder that the configuration's paths are relative to.

    An unpacked sdist is in a temporary folder, but the wheel still goes to the project's `dist`,
    whose parent folder is taken for the project's.
    """
    return directory.parent if is_unpacked_sdist(root) else root


def only_hooks_run(environ: Mapping[str, str], arguments: Sequence[str]) -> bool:
    """Return whether no wheel follows the hooks (`--hooks-only`, which hooks are not told)."""
    variable = environ.get("HATCH_BUILD_HOOKS_ONLY") in ("1", "true")
    return variable or "--hooks-only" in arguments


def _is_made_to_install(root: Path, directory: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the wheel goes to a front end's temporary or cache folder."""
    root, directory = root.resolve(), directory.resolve()
    if directory.is_relative_to(root):
        return False
    outside = [
        folder for folder in (directory, *directory.parents) if not root.is_relative_to(folder)
    ]
    if any((folder / _CACHE_TAG).is_file() for folder in outside):
        return True
    if any(directory.is_relative_to(cache) for cache in _caches(environ)):
        return True
    temporary = Path(tempfile.gettempdir()).resolve()
    return directory.is_relative_to(temporary) and any(
        _GENERATED_NAME.fullmatch(folder.name) for folder in outside
    )


def _caches(environ: Mapping[str, str]) -> Iterator[Path]:
    for variable in ("UV_CACHE_DIR", "PIP_CACHE_DIR", "XDG_CACHE_HOME"):
        if environ.get(variable):
            yield Path(os.path.realpath(environ[variable]))  # may be a loop of links
    yield Path(os.path.realpath(os.path.expanduser("~/.cache")))
