"""Activation scripts of a moved environment, sourced for real by every shell found."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import make_environment, run
from support.interpreters import newest_of_each
from support.shells import CSH, SHELLS, Way, require, wrong_with

from hatch_pack_venv import PackOptions
from hatch_pack_venv.packing import export

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    hiding.namespace() is None, reason="mount namespaces are not allowed here"
)

NASTY: Final = "sp ace/-ü/q'uo\"te/$HOME/`x`/a -> b/back\\nslash/50%n!!/app$(x)`x` %n!*"
PLACES: Final = {"plain": "plain/app", "nasty": NASTY, "line feeds": "line\nfeed\n/a\np"}
BARE: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
RICH: Final = {
    **BARE,
    "PYTHONHOME": "/some where",
    "VIRTUAL_ENV": "/before",
    "VIRTUAL_ENV_PROMPT": "",
    "PS1": "$ ",
}

# Runs where the originals are hidden.
DRIVER: Final = """\
import json, subprocess, sys
for name, argv, cwd, environ in json.load(open(sys.argv[1])):
    done = subprocess.run(argv, cwd=cwd, env=environ, stdin=-3, capture_output=True, timeout=60)
    texts = [text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr)]
    print(json.dumps([name, done.returncode, *texts]))
"""

Call = tuple[str, list[str], str, dict[str, str]]
Outcome = tuple[int, str, str]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An environment that was packed, connected and moved.

    Parameters:
        source: what it was made from.
        folder: holds what shells are to do, and their states.
    """

    source: Path
    root: Path
    folder: Path

    def call(self, shell: str, name: str, way: Way, variables: dict[str, str]) -> Call:
        """Write what a shell is to do, and return how to call it."""
        dialect, command = SHELLS[shell]
        out = self.out(name)
        out.mkdir(parents=True)
        places = {
            "bin": f"{self.root}/bin",
            "root": str(self.root),
            "links": f"{self.root.parent}/links",
            "out": str(out),
            "name": dialect.script,
        }
        own = {"OUT": str(out), "BIN": places["bin"], "HOME": str(out)}
        argv = [*command, str(dialect.write(out, way)), way.path.format(**places)]
        return name, argv, way.cwd.format(**places), {**variables, **own}

    def out(self, name: str) -> Path:
        """Return where a call notes the shell's states."""
        return self.folder / "out" / name.replace("/", "|")

    def run(self, calls: list[Call], *hide: Path) -> dict[str, Outcome]:
        """Run commands where the environment that was packed does not exist."""
        task = self.folder / "task.json"
        task.write_text(json.dumps(calls))
        command: list[str | Path] = [sys.executable, "-c", DRIVER, task]
        done = hiding.run_hidden(command, hide=[self.source.parent, *hide], env=BARE)
        assert done.returncode == 0, done.stderr
        return {name: tuple(rest) for name, *rest in map(json.loads, done.stdout.splitlines())}

    def check(self, shell: str, calls: list[Call], prompt: str | None = None) -> None:
        """Run what `call` returned, and look at what the shells noted."""
        wrong: list[tuple[str, object]] = []
        for name, outcome in self.run(calls).items():
            if outcome != (0, "", ""):
                wrong.append((name, outcome))
            elif found := wrong_with(self.out(name), self.root, SHELLS[shell][0], prompt):
                wrong.append((name, found))
        assert not wrong, "\n".join(map(str, wrong))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make an environment, export it and connect the export; return both places."""
    folder = tmp_path_factory.mktemp("activation")
    python = newest_of_each()[-1]
    source = make_environment(folder / "source/.venv", python, by="uv")
    target = folder / "exported"
    export(source, target, PackOptions.from_mapping({"interpreter": "target"}))
    run(python.path, target / "postinstall.py", "--no-compile")
    return source, target


def move(exported: tuple[Path, Path], folder: Path, place: str = PLACES["plain"]) -> Moved:
    """Put a copy of the export somewhere else, with links to it."""
    source, target = exported
    root = folder / place
    shutil.copytree(target, root, symlinks=True)
    links = root.parent / "links"
    links.mkdir()
    (links / "folder").symlink_to(root)
    for name in ("activate", "activate.fish", "activate.csh"):
        (links / f"absolute-{name}").symlink_to(root / "bin" / name)
        (links / f"relative-{name}").symlink_to(f"../{root.name}/bin/{name}")
        (links / f"chain-{name}").symlink_to(f"relative-{name}")
    return Moved(source=source, root=root, folder=folder)


def places_of(shell: str) -> list[str]:
    """Return where a shell's script can be: csh reads paths from lines."""
    return list(PLACES)[:2] if SHELLS[shell][0] is CSH else list(PLACES)


@pytest.mark.parametrize(
    ("shell", "place"), [(shell, place) for shell in SHELLS for place in places_of(shell)]
)
def test_every_way_of_sourcing(
    exported: tuple[Path, Path], shell: str, place: str, tmp_path: Path
) -> None:
    """The environment that holds the script is activated, and `deactivate` restores everything."""
    require(shell)
    moved = move(exported, tmp_path, PLACES[place])
    ways = SHELLS[shell][0].ways
    moved.check(shell, [moved.call(shell, name, way, RICH) for name, way in ways.items()])
