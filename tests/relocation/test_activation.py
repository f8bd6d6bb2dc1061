"""Activation scripts of a moved environment, sourced for real by every shell found."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support import hiding
from support.environments import make_environment, run
from support.interpreters import newest_of_each

from hatch_pack_venv import PackOptions
from hatch_pack_venv.packing import export

pytestmark = pytest.mark.skipif(
    hiding.namespace() is None, reason="mount namespaces are not allowed here"
)

POSIX: Final = {
    "dash": ["dash"],
    "bash": ["bash", "--norc"],
    "bash --posix": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "ksh93": ["ksh93"],
    "mksh": ["mksh"],
    "yash": ["yash"],
    "zsh": ["zsh", "-f"],
    "zsh --emulate sh": ["zsh", "--emulate", "sh"],
    "zsh, odd options": ["zsh", "-f", "-o", "noFUNCTION_ARGZERO", "-o", "KSH_ARRAYS"],
}
PLACES: Final = {
    "plain": "plain",
    "nasty": "sp ace/-ü/q'uo\"te/$HOME/`x`/a -> b/back\\nslash/50%n!!/app$(x)`x` %n!",
    "line feeds": "line\nfeed/app\n",
}
SYSTEM: Final = "/usr/bin:/bin"
BARE: Final = {"PATH": SYSTEM, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
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

# What a POSIX shell holds, as files below $OUT.
STATE: Final = """\
state() {
    /usr/bin/env -0 >"$OUT/$1.env"
    (if [ -n "${BASH_VERSION-}" ]; then set -o posix; fi; set) >"$OUT/$1.set"
    /usr/bin/printf '%s.' "${PS1-unset}" >"$OUT/$1.ps1"
    /usr/bin/printf '%s\\n' "$-" "$PWD" >"$OUT/$1.shell"
    for x in deactivate _hpv_find _hpv_link _hpv_open; do
        command -v "$x" || :
    done >"$OUT/$1.functions"
}
"""

Call = tuple[str, list[str], str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An environment that was packed, connected and moved, and what it was made from."""

    source: Path
    root: Path

    @property
    def bin(self) -> Path:
        """Give the folder of the scripts."""
        return self.root / "bin"


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


def move(exported: tuple[Path, Path], root: Path) -> Moved:
    """Put a copy of the export somewhere else, with links to it."""
    source, target = exported
    shutil.copytree(target, root, symlinks=True)
    links = root.parent / "links"
    links.mkdir()
    (links / "folder").symlink_to(root)
    (links / "file").symlink_to(root / "bin/activate")
    (links / "relative").symlink_to(f"../{root.name}/bin/activate")
    (links / "chain").symlink_to("relative")
    return Moved(source=source, root=root)


def run_calls(
    moved: Moved, calls: list[Call], folder: Path, hide: tuple[Path, ...] = ()
) -> dict[str, tuple[int, str, str]]:
    """Run commands where the environment that was packed does not exist."""
    task = folder / "task.json"
    task.write_text(json.dumps(calls))
    done = hiding.run_hidden(
        [sys.executable, "-c", DRIVER, task], hide=[moved.source.parent, *hide], env=BARE
    )
    assert done.returncode == 0, done.stderr
    return {name: tuple(rest) for name, *rest in map(json.loads, done.stdout.splitlines())}


def require(shell: str) -> None:
    """Skip, by name, for a shell that this machine does not have."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of sourcing the script, whose path is `$1`.

    Parameters:
        before: what the shell does before its state is noted.
        path, cwd: the script's path and where the shell is.
        around: what stands around the activation and all that follows.
    """

    path: str = "{bin}/activate"
    cwd: str = "/"
    before: str = ""
    source: str = '. "$1"'
    around: tuple[str, str] = ("", "")

    def script(self) -> str:
        """Return a script that notes the shell's state before, while and after activation."""
        lines = [STATE, self.before, "state before", self.around[0], self.source]
        return "\n".join([*lines, "state active", "deactivate", "state after", self.around[1]])


WAYS: Final = {
    "absolute": Way(),
    "set -eu": Way(before="set -eu"),
    "set -eux": Way(before="exec 2>/dev/null; set -eux"),
    "set -fCa": Way(before="set -fCa"),
    "odd IFS": Way(before="IFS=/adimn"),
    "twice": Way(source='. "$1"; . "$1"'),
    "subshell": Way(around=("(", ")")),
    "command substitution": Way(around=("x=$(", ")")),
    "background": Way(around=("{", "} & wait $!")),
    "function": Way(before='f() { . "$1"; }', source='f "$1"'),
    "all in a function": Way(around=("f() {", '}; f "$1"')),
    "file": Way(source='. "$OUT/outer"'),
    "file of the same name": Way(source='. "$OUT/activate"'),
    "loop that reads": Way(source='while read -r x; do . "$1"; break; done <"$1.fish"; unset x'),
    "link to the folder": Way(path="{links}/folder/bin/activate"),
    "link": Way(path="{links}/file"),
    "relative link": Way(path="./relative", cwd="{links}"),
    "chain of links": Way(path="{links}/chain"),
    "./activate": Way(path="./activate", cwd="{bin}"),
    "bin/activate": Way(path="bin/activate", cwd="{root}"),
    "../bin/activate": Way(path="../bin/activate", cwd="{bin}"),
    "CDPATH": Way(path="bin/activate", cwd="{root}", before="export CDPATH=/:/usr"),
    "PATH": Way(path="activate", before="PATH=$BIN:$PATH"),
    "PATH, another in this folder": Way(path="activate", cwd="{out}", before="PATH=$BIN:$PATH"),
}

# Variables that shells change by themselves.
NOISE: Final = re.compile(
    r"'?\W'?|_|0|x|argv|BASH_\w+(%%)?|BASHPID|FUNCNAME|KSH_MATCH|LINENO|OPTIND|PIPESTATUS|PPID"
    r"|RANDOM|SECONDS|SHLVL|status|pipestatus|TTYIDLE|ZSH_\w+|zsh_eval_context|EPOCH\w+|\.sh\.\w+"
)


def variables(dump: Path) -> list[str]:
    """Return the lines of what `set` says, without what changes by itself."""
    lines = dump.read_text(errors="surrogateescape").splitlines()
    return sorted(line for line in lines if not NOISE.fullmatch(line.partition("=")[0]))


def environ(dump: Path) -> dict[str, str]:
    """Return the exported variables."""
    lines = dump.read_bytes().decode("utf-8", "surrogateescape").split("\0")
    found = dict(line.split("=", 1) for line in lines if line)
    found.pop("IFS", None)  # busybox exports it after `IFS=… read` under `set -a`
    return {name: value for name, value in found.items() if not NOISE.fullmatch(name)}


def prompt_name(name: str) -> str:
    """Return how the prompt shows a name: what shells expand is replaced."""
    return re.sub(r"[$`\\%!]", "_", name)


def difference(is_: object, should_be: object) -> object:
    """Return what tells two values apart, briefly."""
    if isinstance(is_, dict) and isinstance(should_be, dict):
        is_, should_be = ([*map(str, value.items())] for value in (is_, should_be))
    if isinstance(is_, list) and isinstance(should_be, list):
        return [x for x in is_ if x not in should_be], [x for x in should_be if x not in is_]
    return is_, should_be


def wrong_with(out: Path, root: Path) -> dict[str, object]:
    """Return what was not as it should be while and after the environment was active."""
    before, active, after = (environ(out / f"{name}.env") for name in ("before", "active", "after"))
    expected = {
        **{k: v for k, v in before.items() if k != "PYTHONHOME"},
        "VIRTUAL_ENV": str(root),
        "VIRTUAL_ENV_PROMPT": root.name,
        "PATH": f"{root}/bin:{before['PATH']}",
    }
    ps1 = {name: (out / f"{name}.ps1").read_text() for name in ("before", "active", "after")}
    had_prompt = ps1["before"] != "unset."
    expected_ps1 = f"({prompt_name(root.name)}) {ps1['before']}" if had_prompt else "unset."
    if "PS1" in expected:
        expected["PS1"] = expected_ps1.removesuffix(".")
    helpers = {n: v for n, v in active.items() if n.startswith(("_HPV_", "_OLD_VIRTUAL_"))}
    shell = [(out / f"{name}.shell").read_text() for name in ("before", "active", "after")]
    functions = [(out / f"{name}.functions").read_text() for name in ("active", "after")]
    checks = {
        "functions": (functions, ["deactivate\n", ""]),
        "active": (active, {**expected, **(helpers if "set -fCa" in out.name else {})}),
        "prompt": (ps1["active"], expected_ps1),
        "after": (after, before),
        "prompt after": (ps1["after"], ps1["before"]),
        "all variables after": (variables(out / "after.set"), variables(out / "before.set")),
        "options and folder": (shell[1:], shell[:1] * 2),
    }
    return {what: difference(*pair) for what, pair in checks.items() if pair[0] != pair[1]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shell", POSIX)
def test_every_way_of_sourcing(
    exported: tuple[Path, Path], shell: str, place: str, tmp_path: Path
) -> None:
    """The environment that holds the script is activated, and `deactivate` restores everything."""
    require(POSIX[shell][0])
    moved = move(exported, tmp_path / PLACES[place])
    calls: list[Call] = []
    for name, way in WAYS.items():
        out = tmp_path / "out" / name.replace("/", "|")
        out.mkdir(parents=True)
        (out / "outer").write_text('. "$1"\n')
        (out / "activate").write_text('. "$1"\n')
        (out / "script").write_text(way.script())
        places = {
            "bin": moved.bin, "root": moved.root, "links": moved.root.parent / "links", "out": out
        }  # fmt: skip
        path, cwd = way.path.format(**places), way.cwd.format(**places)
        variables = {**RICH, "OUT": str(out), "BIN": str(moved.bin)}
        calls.append((name, [*POSIX[shell], str(out / "script"), path], cwd, variables))
    wrong: dict[str, object] = {}
    for name, (code, stdout, stderr) in run_calls(moved, calls, tmp_path).items():
        told = (code, stdout, stderr)
        problems = (
            wrong_with(tmp_path / "out" / name.replace("/", "|"), moved.root) if code == 0 else told
        )
        if problems or told != (0, "", ""):
            wrong[name] = (told, problems)
    assert not wrong, "\n".join(map(str, wrong.items()))
