"""Run the unit and integration tests with the Pythons of other releases of Debian.

Each root is made from packages, with the programs that `.ci/run` installs except Java and Wine;
the release's own venv and pip install the project and the dependencies of its tests there. Exits
with status 1 if any test failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from support.roots import VARIABLES, entering, fetch, unpack

ROOT: Final = Path(__file__).parents[2]
HOSTS: Final = ("trixie/3.13", "sid/3.13", "sid/3.14", "sid/3.15")
# Packages that every configured system has, which `.ci/run` therefore does not install.
ESSENTIAL: Final = (
    *("apt", "base-files", "coreutils", "diffutils", "findutils", "grep", "hostname", "libc-bin"),
    *("login", "mawk", "passwd", "sed"),
)
# The files of this machine that its network needs.
NETWORK: Final = (
    "etc/resolv.conf",
    "etc/hosts",
    "etc/pip.conf",
    "etc/ssl/certs/ca-certificates.crt",
)


def installed_by_ci() -> list[str]:
    """Return the packages that `.ci/run` installs, without the optional ones."""
    text = (ROOT / ".ci/run").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"--no-install-recommends +(.*bubblewrap.*) >/dev/null", text)
    return str(line).split()


def make_root(folder: Path, suite: str, minor: str) -> Path:
    """Make a root with a Python, its headers and the programs that the tests use."""
    needed = [*ESSENTIAL, f"python{minor}-venv", f"python{minor}-dev"]
    packages = fetch(folder / "apt", suite, needed, wanted=installed_by_ci())
    root = unpack(packages, folder / "root")
    shutil.rmtree(folder / "apt")
    with (root / "etc/passwd").open("a") as users:
        users.write("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    for name in NETWORK:
        if Path("/", name).is_file():
            shutil.copy(Path("/", name), root / name)
    return root


def run_tests(root: Path, minor: str, arguments: list[str]) -> int:
    """Install the project into an environment of the root's own Python and run pytest there."""
    seen = {ROOT: "/project"}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    if pyenv.is_dir():
        seen[pyenv] = str(pyenv)
    variables = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    path = f"/root/v{minor}/bin:{VARIABLES['PATH']}"
    commands = (
        f"/usr/bin/python{minor} -m venv /root/v{minor}",
        "pip install --quiet --editable '/project[test]'",
        f'cd /project && exec pytest -p no:cacheprovider --basetemp=/tmp/t{minor} "$@"',
    )
    script = ["/bin/sh", "-c", " && ".join(commands), "sh", *arguments]
    # For uv, which has certificates of its own.
    variables["SSL_CERT_FILE"] = "/etc/ssl/certs/ca-certificates.crt"
    env = {**variables, **VARIABLES, "PATH": path, "PYENV_ROOT": str(pyenv)}
    return subprocess.run(entering(root, script, seen), env=env, check=False).returncode


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.distributions", description=__doc__)
    parser.add_argument("hosts", nargs="*", default=HOSTS, help=f"default: {' '.join(HOSTS)}")
    parser.add_argument("--pytest", default="-q -n auto tests/unit tests/integration")
    options = parser.parse_args()
    failed = []
    for host in options.hosts:
        suite, _, minor = host.partition("/")
        print(f"== CPython {minor} of {suite}", flush=True)
        with TemporaryDirectory(prefix="hatch-pack-venv-root-") as folder:
            root = make_root(Path(folder), suite, minor)
            if run_tests(root, minor, shlex.split(options.pytest)) != 0:
                failed.append(host)
    print("failed:", ", ".join(failed) or "none")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
