"""Activation scripts of a moved environment, sourced for real by every shell found."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import make_environment, run
from support.interpreters import bundlable, newest_of_each
from support.machine import needs
from support.shells import CSH, SHELLS, Way, require_shell, unrestored, wrong_with

from hatch_pack_venv import PackOptions, export_venv
from hatch_pack_venv.api.pack import export
from hatch_pack_venv.platforms.posix.activation import activation_scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = needs("namespaces")

NASTY: Final = "sp ace/-ü/q'uo\"te/$HOME/`x`/a -> b/back\\nslash/50%n!!/app$(x)`x` %n!*"
PLACES: Final = {"plain": "plain/app", "nasty": NASTY, "line feeds": "line\nfeed\n/a\np"}
BARE: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
RICH: Final = {
    **BARE,
    "PYTHONHOME": "/some where",
    "VIRTUAL_ENV": "/before",
    "VIRTUAL_ENV_PROMPT": "",
    "PS1": "$ ",
    "PROMPT_HERE": "$ ",
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
        source: the environment that it was made from.
        folder: holds the tasks of the shells, and their states.
    """

    source: Path
    root: Path
    folder: Path

    def call(self, shell: str, name: str, way: Way, variables: dict[str, str]) -> Call:
        """Write the task of a shell, and return the call that runs it."""
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
        """Return the folder in which a call records the shell's states."""
        return self.folder / "out" / name.replace("/", "|")

    def run(self, calls: list[Call], hide: Sequence[Path] = ()) -> dict[str, Outcome]:
        """Run commands while some folders, by default the original environment's, are hidden."""
        task = self.folder / "task.json"
        task.write_text(json.dumps(calls))
        command: list[str | Path] = [sys.executable, "-c", DRIVER, task]
        done = hiding.run_hidden(command, hide=hide or [self.source.parent], env=BARE)
        assert done.returncode == 0, done.stderr
        return {name: tuple(rest) for name, *rest in map(json.loads, done.stdout.splitlines())}

    def check(self, shell: str, calls: list[Call], prompt: str | None = None) -> None:
        """Run what `call` returned, and check what the shells recorded."""
        wrong: list[tuple[str, object]] = []
        for name, outcome in self.run(calls).items():
            if outcome != (0, "", ""):
                wrong.append((name, outcome))
            elif found := wrong_with(self.out(name), self.root, SHELLS[shell][0], prompt):
                wrong.append((name, found))
        assert not wrong, "\n".join(map(str, wrong))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make an environment, export it and connect the export; return both folders."""
    folder = tmp_path_factory.mktemp("activation")
    python = newest_of_each()[-1]
    source = make_environment(folder / "source/.venv", python, by="venv --without-pip")
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
    """Return the places that a shell supports: csh reads paths line by line."""
    return list(PLACES)[:2] if SHELLS[shell][0] is CSH else list(PLACES)


@pytest.mark.parametrize(
    ("shell", "place"), [(shell, place) for shell in SHELLS for place in places_of(shell)]
)
def test_every_way_of_sourcing(
    exported: tuple[Path, Path], shell: str, place: str, tmp_path: Path
) -> None:
    """The environment that holds the script is activated, and `deactivate` restores everything."""
    require_shell(shell)
    moved = move(exported, tmp_path, PLACES[place])
    ways = SHELLS[shell][0].ways
    moved.check(shell, [moved.call(shell, name, way, RICH) for name, way in ways.items()])


@pytest.mark.parametrize("shell", SHELLS)
def test_what_was_not_set_is_not_set_after(
    exported: tuple[Path, Path], shell: str, tmp_path: Path
) -> None:
    """`deactivate` restores everything if the variables, or PATH, were empty or unset."""
    require_shell(shell)
    moved = move(exported, tmp_path)
    no_path = dict(zip(("PATH empty", "PATH unset"), SHELLS[shell][0].path_states, strict=True))
    empty = {"PYTHONHOME": "", "VIRTUAL_ENV": "", "VIRTUAL_ENV_PROMPT": "", "PS1": ""}
    quiet = {"VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    calls = [moved.call(shell, name, Way(before=text), BARE) for name, text in no_path.items()]
    calls += [
        moved.call(shell, "nothing", Way(), BARE),
        moved.call(shell, "empty", Way(), {**BARE, **empty}),
        moved.call(shell, "no prompt", Way(), {**RICH, **quiet}),
    ]
    moved.check(shell, calls)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_place_it_came_from_is_there(
    exported: tuple[Path, Path], shell: str, tmp_path: Path
) -> None:
    """After or before the original, the environment activated last runs and the first is left."""
    require_shell(shell)
    moved = move(exported, tmp_path)
    dialect = SHELLS[shell][0]
    code = "import sys; print(sys.prefix)"
    prompt = {"PS1": "$ ", "PROMPT_HERE": "$ "}  # venv's script exports PS1
    variables = {**BARE, **prompt, "OTHER": str(moved.source), "CODE": code}
    orders = {
        "over": [dialect.another, dialect.source],
        "under": [dialect.source, dialect.another],
    }
    calls = [
        moved.call(shell, name, Way(source="\n".join([*order, dialect.python])), variables)
        for name, order in orders.items()
    ]
    outcomes = moved.run(calls, hide=[tmp_path / "nothing"])
    assert outcomes == {"over": (0, "", ""), "under": (0, "", "")}
    assert leftovers(wrong_with(moved.out("over"), moved.root, dialect)) == {}
    assert leftovers(unrestored(moved.out("under"))) == {}
    for name, root in {"over": moved.root, "under": moved.source}.items():
        assert (moved.out(name) / "python").read_text() == f"{root}\n"


def leftovers(found: dict[str, object]) -> dict[str, object]:
    """Return what is wrong, except for the shell variables that venv's scripts leave behind.

    They define their `deactivate` before they call the earlier one, which is thereby lost.
    """
    what = "variables after"
    match found.get(what):
        case ([*lines], []) if all(
            str(line).lower().startswith(("_hpv_", "pydoc\t")) for line in lines
        ):
            return {name: value for name, value in found.items() if name != what}
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_the_prompt_of_the_configuration(
    exported: tuple[Path, Path], shell: str, tmp_path: Path
) -> None:
    """A `prompt` in pyvenv.cfg, quoted or not, is shown and never run as code."""
    require_shell(shell)
    moved = move(exported, tmp_path)
    config = moved.root / "pyvenv.cfg"
    text = config.read_text()
    for number, (value, prompt) in enumerate(
        [("'a = $(b) `c` %d'", "a = $(b) `c` %d"), ('"it\'s"', "it's"), ("two words", "two words")]
    ):
        config.write_text(f"{text}prompt = {value}\n")
        moved.check(shell, [moved.call(shell, f"{number}", Way(), RICH)], prompt)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_place_that_path_cannot_name(
    exported: tuple[Path, Path], shell: str, tmp_path: Path
) -> None:
    """Below a folder with a colon in its name the script says so, fails and changes nothing."""
    require_shell(shell)
    moved = move(exported, tmp_path, "one:two/app")
    told = attempt(moved, shell)
    assert told.startswith(f"{SHELLS[shell][0].script}: ")
    assert "colon" in told
    assert "nothing was changed" in told


@pytest.mark.parametrize("shell", ["dash", "busybox", "mksh", "yash", "tcsh"])
def test_a_shell_that_cannot_tell_where_the_file_lies(
    exported: tuple[Path, Path], shell: str, tmp_path: Path
) -> None:
    """A script that neither the shell nor /proc can locate says so, fails and changes nothing."""
    require_shell(shell)
    moved = move(exported, tmp_path)
    told = attempt(moved, shell, hide=[moved.source.parent, Path("/proc")])
    assert told.startswith(f"{SHELLS[shell][0].script}: cannot tell where this file lies")


def attempt(moved: Moved, shell: str, hide: Sequence[Path] = ()) -> str:
    """Source a script that refuses, and return its message."""
    dialect, command = SHELLS[shell]
    out = moved.out("attempt")
    out.mkdir(parents=True)
    script = f"{moved.root}/bin/{dialect.script}"
    variables = {**RICH, "OUT": str(out), "HOME": str(out)}
    argv = [*command, str(dialect.write_attempt(out)), script]
    code, said, told = moved.run([("attempt", argv, "/", variables)], hide)["attempt"]
    assert (code, said) == (0, "failed\n"), told
    assert unrestored(out) == {}
    return told


@needs("nu")
@pytest.mark.parametrize("place", PLACES)
def test_nushell(exported: tuple[Path, Path], place: str, tmp_path: Path) -> None:
    """The overlay activates the environment of the script; hiding it restores everything."""
    moved = move(exported, tmp_path, PLACES[place])
    config = moved.root / "pyvenv.cfg"
    config.write_text(config.read_text() + "prompt = 'a $(b)'\n")
    script = tmp_path / "script.nu"
    script.write_text(
        """\
def state [] {
    let names = [PATH VIRTUAL_ENV VIRTUAL_ENV_PROMPT PYTHONHOME]
    let prompt = do $env.PROMPT_COMMAND
    let values = $names | each { |name| $env | get --optional $name | default "unset" }
    print ($values | append $prompt | to json --raw)
}
$env.PROMPT_COMMAND = {|| "> " }
state
overlay use SCRIPT
state
^python -c "import sys, json; print(json.dumps(sys.prefix))"
deactivate
state
""".replace("SCRIPT", json.dumps(f"{moved.root}/bin/activate.nu", ensure_ascii=False))
    )
    argv = [str(shutil.which("nu")), "--no-config-file", str(script)]
    calls: list[Call] = [("nu", argv, "/", {**RICH, "HOME": str(tmp_path)})]
    code, said, told = moved.run(calls)["nu"]
    assert (code, told) == (0, ""), told
    before, active, prefix, after = map(json.loads, said.splitlines())
    system, root = BARE["PATH"].split(":"), str(moved.root)
    assert before == after == [system, "/before", "", "/some where", "> "]
    assert active == [[f"{root}/bin", *system], root, "a $(b)", "unset", "(a $(b)) > "]
    assert prefix == root


ACTIVATE_THIS: Final = """\
import json, os, runpy, sys
sys.path.insert(0, "/first")
before = [sys.prefix, sys.path[:], dict(os.environ)]
try:
    runpy.run_path(sys.argv[1])
except RuntimeError as error:
    print(json.dumps([str(error), before == [sys.prefix, sys.path, dict(os.environ)]]))
    sys.exit()
import marker
names = ["PATH", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME"]
print(json.dumps([
    sys.prefix, sys.exec_prefix, [os.environ.get(name) for name in names], marker.__file__,
    [path for path in sys.path if path not in before[1]], sys.path[-len(before[1]):] == before[1],
]))
"""


@pytest.mark.parametrize("place", ["plain", "nasty"])
def test_activate_this(exported: tuple[Path, Path], place: str, tmp_path: Path) -> None:
    """A running Python gets the packages, first on its path, and the variables for its children."""
    moved = move(exported, tmp_path, PLACES[place])
    newest = newest_of_each()[-1]
    site = moved.root / f"lib/python{newest.minor}/site-packages"
    (site / "marker.py").touch()
    (site / "more.pth").write_text("more\n")
    (site / "more").mkdir()
    variables = {k: v for k, v in RICH.items() if k != "PYTHONHOME"}
    argv = [str(newest.path), "-S", "-c", ACTIVATE_THIS, f"{moved.root}/bin/activate_this.py"]
    code, said, told = moved.run([("it", argv, "/", variables)])["it"]
    assert (code, told) == (0, "")
    root = str(moved.root)
    assert json.loads(said) == [
        root,
        root,
        [f"{root}/bin:{BARE['PATH']}", root, moved.root.name, None],
        str(site / "marker.py"),
        [str(site), str(site / "more")],
        True,
    ]


def test_activate_this_refuses(exported: tuple[Path, Path], tmp_path: Path) -> None:
    """For another Python, or below a folder with a colon, it says so and changes nothing."""
    newest, *others = reversed(newest_of_each())
    for python, place, expected in [
        *[(other, "another/app", "the environment is for another Python than") for other in others],
        (newest, "one:two/app", "PATH cannot name a folder with ':'"),
    ]:
        moved = move(exported, tmp_path / python.version, place)
        argv = [str(python.path), "-c", ACTIVATE_THIS, f"{moved.root}/bin/activate_this.py"]
        message, unchanged = json.loads(moved.run([("it", argv, "/", BARE)])["it"][1])
        assert expected in message
        assert unchanged


@needs("shared CPython")
def test_a_bundled_interpreter_is_what_an_activated_shell_runs(tmp_path: Path) -> None:
    """With everything that it was made from hidden, `python` is the bundle's own."""
    python = bundlable()[-1]
    source = make_environment(tmp_path / "source/.venv", python, by="venv --without-pip")
    root = tmp_path / "moved to/app"
    export(source, root, PackOptions.from_mapping({}))
    moved = Moved(source=source, root=root, folder=tmp_path)
    found = [shell for shell in SHELLS if shutil.which(SHELLS[shell][1][0])]
    variables = {**RICH, "CODE": "import sys, ssl; print(sys.prefix, sys.base_prefix)"}
    calls = [
        moved.call(shell, shell, Way(source=f"{dialect.source}\n{dialect.python}"), variables)
        for shell, (dialect, _) in SHELLS.items()
        if shell in found
    ]
    outcomes = moved.run(calls, hide=[source.parent, python.prefix])
    assert outcomes == dict.fromkeys(found, (0, "", ""))
    assert {(moved.out(x) / "python").read_text() for x in found} == {f"{root} {root}\n"}


def test_the_seed_api_ships_them(exported: tuple[Path, Path], tmp_path: Path) -> None:
    """`export_venv` writes the same activation scripts as `export`."""
    source, target = exported
    root = export_venv(source, tmp_path / "seed")
    for entry in activation_scripts("bin"):
        assert (root / entry.arcname).read_bytes() == entry.content
        assert (target / entry.arcname).read_bytes() == entry.content


def test_an_interpreter_that_does_not_start_is_told_of(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    """Every shell is activated, and reports which glibc the archive needs."""
    moved = move(exported, tmp_path)
    python = moved.root / "bin/python"
    python.unlink()
    python.write_text("#!/bin/sh\necho 'version GLIBC_2.38 not found' >&2\nexit 1\n")
    python.chmod(0o755)
    manifest = moved.root / "share/venv/metadata/pack-venv.json"
    data = json.loads(manifest.read_text())
    data["platform"]["glibc"] = {"version": "2.38", "file": "bin/python3.13"}
    files = data.pop("files")
    manifest.write_text(json.dumps({**data, "files": files}, indent=1))
    found = [shell for shell in SHELLS if shutil.which(SHELLS[shell][1][0])]
    ways = {shell: Way(source=dialect.source) for shell, (dialect, _) in SHELLS.items()}
    outcomes = moved.run([moved.call(shell, shell, ways[shell], RICH) for shell in found])
    told = f"activate: {python} does not start on this system: it needs glibc 2.38 or later\n"
    assert outcomes == dict.fromkeys(found, (0, "", told))
