"""Where Hatch keeps an environment, as Hatch itself tells; nothing is created."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final = 120
# What an enclosing `hatch build` sets for itself, and what would change or decorate the answer.
_NOT_PASSED_ON: Final = ("HATCH_ENV", "HATCH_ENV_ACTIVE", "HATCH_QUIET", "HATCH_VERBOSE")


def find_hatch_environment(root: Path, name: str, environ: Mapping[str, str]) -> Path:
    """Return the folder of a Hatch environment of a project.

    Parameters:
        root: the project's folder.
        environ: the process's variables.

    Raises:
        EnvironmentProblem: Hatch is not there or does not know the environment, or it has not been
            created yet; the message says what to type.
    """
    lines = _ask(root, name, environ)
    if len(lines) > 1:
        raise EnvironmentProblem(
            f"the Hatch environment {name!r} is a matrix of {len(lines)}: set `hatch-env` to the"
            " name of one of them, as `hatch env show` lists them"
        )
    path = Path(lines[0])
    if not path.is_dir():
        raise EnvironmentProblem(
            f"the Hatch environment {name!r} does not exist yet ({path}): create it with"
            f" `hatch env create {name}`"
        )
    return path


def _ask(root: Path, name: str, environ: Mapping[str, str]) -> list[str]:
    command = [*_hatch(name, environ), "env", "find", name]
    variables = {key: value for key, value in environ.items() if key not in _NOT_PASSED_ON}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env={**variables, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentProblem(f"`hatch env find {name}` does not run: {error}") from error
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise EnvironmentProblem(f"`hatch env find {name}` failed: {said}")
    return lines


def _hatch(name: str, environ: Mapping[str, str]) -> list[str]:
    found = shutil.which("hatch", path=environ.get("PATH"))
    if found is not None:
        return [found]
    if importlib.util.find_spec("hatch") is not None:
        return [sys.executable, "-m", "hatch"]
    raise EnvironmentProblem(
        f"`hatch-env` needs the command `hatch`, which is not on PATH: put it there, or set"
        f' HATCH_PACK_VENV_SOURCE="$(hatch env find {name})"'
    )
