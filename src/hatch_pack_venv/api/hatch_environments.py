"""Where a Hatch environment is, and its lock file: Hatch is asked, and nothing is created."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..config.project_table import hatch_table
from ..model.errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_SECONDS: Final = 120

# An enclosing `hatch build` sets these for itself; they would change or decorate the answer.
_NOT_PASSED_ON: Final = ("HATCH_ENV", "HATCH_ENV_ACTIVE", "HATCH_QUIET", "HATCH_VERBOSE")


def find_hatch_environment(root: Path, name: str, environ: Mapping[str, str]) -> Path:
    """Return the folder of a project's Hatch environment.

    Parameters:
        root: the project's folder.
        environ: the process's environment variables.

    Raises:
        EnvironmentProblem: if Hatch is missing or does not know the environment, or if it has not
            been created yet; the message says which command to run.
    """
    lines = _ask(root, name, environ)
    if len(lines) > 1:
        raise EnvironmentProblem(
            f"the Hatch environment {name!r} is a matrix of {len(lines)} environments: set"
            " `hatch-env` to the name of one of them, as listed by `hatch env show`"
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
            errors="surrogateescape",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentProblem(f"cannot run `hatch env find {name}`: {error}") from error
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


def lock_of_hatch(root: Path, name: str) -> Path | None:
    """Return the lock file that Hatch keeps for an environment, or `None` if there is none.

    Hatch 1.17 and later locks an environment with `locked = true`, and all of them with `lock-envs`
    (`hatch.env.lock`, `resolve_lockfile_path`). If an environment is not locked, a `pylock.toml`
    may be another tool's.

    Raises:
        OptionsError: if a configuration file cannot be read.
    """
    hatch = hatch_table(root)
    tables = [*_with_templates(hatch, name)]
    locked = next((each["locked"] for each in tables if "locked" in each), hatch.get("lock-envs"))
    if locked is not True:
        return None
    # PEP 751 allows one dot in the name of a lock file.
    usual = "pylock.toml" if name == "default" else f"pylock.{name.replace('.', '-')}.toml"
    chosen = next((each["lock-filename"] for each in tables if "lock-filename" in each), usual)
    path = root / str(chosen).replace("{env_name}", name)
    return path if path.is_file() else None


def _with_templates(hatch: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield an environment's table, then the tables that it inherits from."""
    environments = hatch.get("envs", {})
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        table = environments.get(name, {})
        yield table
        if table.get("detached"):
            return
        name = str(table.get("template", "default"))
