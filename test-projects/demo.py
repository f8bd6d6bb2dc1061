"""The README's demo: build greeter, whose archive must run with the originals hidden.

Run it with the Python of an environment in which this repository is installed with its `test`
extra. It needs a package index and leaves nothing behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.environments import tool  # noqa: E402
from support.interpreters import Python, bundlable, find_pythons  # noqa: E402
from support.projects import copy_project  # noqa: E402
from support.trees import extract  # noqa: E402

from hatch_pack_venv.prove.room import NoRoomError, find_maker  # noqa: E402


def step(text: str) -> None:
    """Print the next step."""
    print(f"• {text}", flush=True)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output."""
    words = list(map(str, command))
    pipe, merge = subprocess.PIPE, subprocess.STDOUT
    done = subprocess.run(
        words, stdout=pipe, stderr=merge, text=True, cwd=cwd, env=env, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(words)}")
    return done.stdout


def choose_python() -> tuple[Python, str]:
    """Return the interpreter to build with, and the value of the option `interpreter`."""
    own = Path(sys.base_prefix).resolve()
    candidates = sorted(bundlable(), key=lambda python: python.prefix != own)
    if candidates:
        return candidates[0], "bundled"
    step("no CPython here was built with --enable-shared, so the target has to provide one")
    version = sys.version_info[:2]
    return next(p for p in find_pythons() if p.number[:2] == version), "target"


def room() -> str:
    """Return the option that lets `prove` run on a machine that cannot make a clean room."""
    try:
        find_maker()
    except NoRoomError as error:
        step(f"{error}: the originals are NOT hidden")
        return 'prove-room = "none"\n'
    return ""


def build(project: Path, python: Python, mode: str, work: Path) -> Path:
    """Prepare the project's environment, run `hatch build` and return the archive."""
    step(f"a copy of test-projects/greeter, its .venv with CPython {python.version}")
    copy_project("greeter", project)
    with (project / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write(f'interpreter = "{mode}"\nprove = ["greet World"]\n{room()}')
    run(python.path, "-m", "venv", project / ".venv")
    run(project / ".venv/bin/python", "-m", "pip", "install", "humanize>=4")
    step("this repository's wheel, for hatch to find the plugin")
    plugin = work / "plugin"
    run(sys.executable, "-m", "build", "--wheel", "--outdir", plugin, ROOT)
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {plugin}"
    variables = {
        "PIP_FIND_LINKS": links,
        "UV_FIND_LINKS": str(plugin),
        "HATCH_DATA_DIR": str(work / "hatch"),
    }
    step("hatch build, which runs `greet World` in a clean room before it releases the archive\n")
    print(run(tool("hatch"), "build", cwd=project, env={**os.environ, **variables}))
    (archive,) = (project / "dist-venv").glob("*.tar.xz")
    step(f"dist-venv/{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    return archive


def unpack(archive: Path, place: Path) -> Path:
    """Unpack the archive and return the environment's folder."""
    place.mkdir()
    with tarfile.open(archive) as tar:
        extract(tar, place)
    (root,) = place.iterdir()
    step(f"unpacked to {root}")
    return root


def main() -> int:
    """Run the demo in a temporary folder."""
    python, mode = choose_python()
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        work = Path(folder).resolve()
        project = work / "project"
        root = unpack(build(project, python, mode, work), work / "Ünpacked here")
        if mode == "target":
            run(python.path, root / "postinstall.py")
        step("env -i greet World\n")
        return subprocess.run([root / "bin/greet", "World"], env={}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
