"""The header of the launchers, run for real by every shell found, bound over /bin/sh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.hiding import namespace
from support.machine import needs, require

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.posix.launchers import StartChecks, relocate_script, start_check

SHELLS: Final = ["dash", "bash", "busybox", "ksh93", "mksh", "zsh", "yash"]
PLACES: Final = {
    "plain": "plain",
    "nasty": "sp ace/-ü/q'uo\"te/$HOME/`x`/a -> b/back\\nslash",
    "long": "/".join("x" * 62 for _ in range(5)),
}
ARGUMENTS: Final = ["a b", "", "$x", "'", '"', "*", "\\n", "-c", "ü"]
NAME: Final = "my tool"
SCRIPT: Final = """\
#!/env/bin/python3.11 -E
# -*- coding: latin-1 -*-
'''Gr\xfcn.'''
from __future__ import annotations
import json, os, sys
state = {"executable": sys.executable, "arguments": sys.argv[1:], "pid": os.getpid(),
         "doc": __doc__, "file": os.path.realpath(sys.argv[0]),
         "isolated": sys.flags.ignore_environment,
         "leaked": [name for name in ("_s", "_p", "_l") if name in os.environ]}
print(json.dumps(state))
"""

# Runs in a mount namespace of its own, where it replaces /bin/sh.
DRIVER: Final = """\
import json, os, subprocess, sys
task = json.load(sys.stdin)
subprocess.run(["mount", "--bind", task["shell"], os.path.realpath("/bin/sh")], check=True)
for name, (argv, cwd, path) in task["calls"].items():
    environ = dict(task["environ"], PATH=path)
    run = subprocess.Popen(argv, cwd=cwd, env=environ, stdout=-1, stderr=-1)
    out, err = run.communicate()
    print(json.dumps([name, run.pid, run.returncode, os.fsdecode(out), os.fsdecode(err)]))
"""

Call = tuple[list[str], str, str]


def run_calls(shell: str, calls: dict[str, Call]) -> dict[str, tuple[int, int, str, str]]:
    """Run calls with a shell in place of /bin/sh."""
    require(shell)
    command, path = namespace() or (), shutil.which(shell) or shell
    environ = {"LC_ALL": "C.UTF-8", "PYTHONPATH": "/ignored"}
    task = {"shell": os.path.realpath(path), "calls": calls, "environ": environ}
    done = subprocess.run(
        [*command, sys.executable, "-c", DRIVER],
        input=json.dumps(task), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: tuple(rest) for name, *rest in map(json.loads, done.stdout.splitlines())}


def make_tree(root: Path) -> Path:
    """Make an environment with a launcher, an interpreter next to it, and links from elsewhere."""
    bin_folder = root / "env/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").symlink_to(Path(sys.executable).resolve())
    checks = StartChecks(connecting="python3.12")
    content = relocate_script(SCRIPT.encode("latin-1"), ["/env"], (), checks)
    assert content is not None
    script = bin_folder / NAME
    script.write_bytes(content)
    script.chmod(0o755)
    shutil.copy(script, bin_folder / "-dash")
    for folder in ("links", "far/ther", "-links"):
        (root / folder).mkdir(parents=True)
    (root / "links/absolute").symlink_to(script)
    (root / "links/relative").symlink_to(f"../env/bin/{NAME}")
    (root / "links/chain").symlink_to("../far/ther/chain")
    (root / "far/ther/chain").symlink_to(root / "links/relative")
    (root / "links/folder").symlink_to("../far/ther")
    (root / "far/ther/up").symlink_to(f"../../env/bin/{NAME}")
    (root / "-links/-link").symlink_to("-next")
    (root / "-links/-next").symlink_to("../links/relative")
    (root / "alias").symlink_to("env")
    return script


def ways(root: Path, script: Path) -> dict[str, Call]:
    """Return every way to call it: command, current folder and PATH."""
    here, bin_folder, system = str(root), str(script.parent), "/usr/bin:/bin"
    links = f"{root}/links"
    found = f"{bin_folder}:{system}"
    called: dict[str, tuple[list[str], str, str]] = {
        "absolute": ([str(script)], "/", system),
        "relative": ([f"env/bin/{NAME}"], here, system),
        "dot": ([f"./{NAME}"], bin_folder, system),
        "parent": ([f"../env/bin/{NAME}"], links, system),
        "by PATH": (["/usr/bin/env", NAME], "/", found),
        "by relative PATH": (["/usr/bin/env", NAME], here, f"env/bin:{system}"),
        "by empty element of PATH": (["/usr/bin/env", NAME], bin_folder, f":{system}"),
        "folder is a link": ([f"{root}/alias/bin/{NAME}"], "/", system),
        "absolute link": ([f"{links}/absolute"], "/", system),
        "relative link": ([f"{links}/relative"], "/", system),
        "link by relative path": (["links/relative"], here, system),
        "chain": ([f"{links}/chain"], "/", system),
        "link behind a linked folder": ([f"{links}/folder/up"], "/", system),
        "link by PATH": (["/usr/bin/env", "relative"], "/", f"{links}:{system}"),
        "link in this folder": (["./relative"], links, system),
        "sh, absolute": (["/bin/sh", str(script)], "/", system),
        "sh, relative": (["/bin/sh", f"env/bin/{NAME}"], here, system),
        "sh, name": (["/bin/sh", NAME], bin_folder, system),
        "sh, link": (["/bin/sh", "relative"], links, system),
        "sh -eu": (["/bin/sh", "-eu", f"{links}/chain"], "/", system),
        "no PATH": ([str(script)], "/", ""),
        "no PATH, relative": ([f"env/bin/{NAME}"], here, ""),
        "no PATH, sh, name": (["/bin/sh", NAME], bin_folder, ""),
        "no PATH, link": ([f"{links}/chain"], "/", ""),
        "dash before the name": ([f"{bin_folder}/-dash"], "/", system),
        "dash before the name, by PATH": (["/usr/bin/env", "--", "-dash"], "/", found),
        "dash before the folder": (["/bin/sh", "--", "-links/-link"], here, system),
    }
    return {way: ([*argv, *ARGUMENTS], cwd, path) for way, (argv, cwd, path) in called.items()}


def is_bare_yash(shell: str, way: str) -> bool:
    """Whether the shell has no `[`: as sh, yash has only builtins whose command is on PATH."""
    return shell == "yash" and way.startswith("no PATH")


@needs("namespaces")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shell", SHELLS)
def test_every_way_of_calling(shell: str, place: str, tmp_path: Path) -> None:
    """The interpreter next to the script replaces the shell, with its options and arguments."""
    root = tmp_path / PLACES[place]
    script = make_tree(root)
    calls = ways(root, script)
    if shell == "yash":
        del calls["no PATH, link"]  # see is_bare_yash(): it cannot recognise a link then
    failures = {}
    for way, (pid, code, out, err) in run_calls(shell, calls).items():
        state = json.loads(out) if code == 0 else {"executable": "/none/python"}
        beside = Path(state.pop("executable")).parent
        name = "-dash" if way.startswith("dash before the name") else NAME
        expected = {
            "arguments": ARGUMENTS,
            "pid": pid,
            "doc": "Grün.",
            "file": str(script.with_name(name)),
            "isolated": 1,
            "leaked": [],
        }
        quiet = not err or is_bare_yash(shell, way)
        if state != expected or not quiet or beside.resolve() != script.parent:
            failures[way] = (code, state, str(beside), err)
    assert failures == {}


@needs("namespaces")
@pytest.mark.parametrize("place", ["plain", "nasty"])
@pytest.mark.parametrize("shell", [s for s in SHELLS if s in {"bash", "ksh93", "zsh"}])
def test_name_that_the_shell_finds(shell: str, place: str, tmp_path: Path) -> None:
    """`sh name` runs the launcher if the shell itself looks for scripts on PATH."""
    script = make_tree(tmp_path / PLACES[place])
    argv = ["/bin/sh", NAME, *ARGUMENTS]
    calls: dict[str, Call] = {"": (argv, "/", f"{script.parent}:/usr/bin:/bin")}
    _, code, out, err = run_calls(shell, calls)[""]
    assert (code, err) == (0, "")
    assert json.loads(out)["arguments"] == ARGUMENTS


@needs("namespaces")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shell", SHELLS)
def test_no_interpreter(shell: str, place: str, tmp_path: Path) -> None:
    """Without an interpreter, one line says what is missing and what to do; the status is 127."""
    root = tmp_path / PLACES[place]
    script = make_tree(root)
    python = script.with_name("python")
    python.unlink()
    python.symlink_to("/nowhere/python3")
    calls: dict[str, Call] = {
        "absolute": ([str(script)], "/", "/usr/bin:/bin"),
        "link": ([f"{root}/links/absolute"], "/", "/usr/bin:/bin"),
        "sh -eu": (["/bin/sh", "-eu", str(script)], "/", "/usr/bin:/bin"),
    }
    if place != "nasty" and shell != "yash":  # echo, the last resort, may take "\\n" for a newline
        calls["no PATH"] = ([str(script)], "/", "")
    names = {"link": "absolute"}
    for way, (_, code, out, err) in run_calls(shell, calls).items():
        assert (way, code, out) == (way, 127, "")
        assert err == (
            f"{names.get(way, NAME)}: no interpreter beside this launcher ({python}):"
            ' run "python3.12 postinstall.py" in the unpacked folder first\n'
        )


TELLS = 'print("ld.so (Here GLIBC {0}-9) stable release version {0}.\\nCopyright, version 9.")'
NEEDED = "glibc 2.38 or later (bin/python3.13)"
STARTS: Final = {
    # loader (None: there is none), interpreter, message (None: it runs)
    "newer": (TELLS.format("2.38"), "fails", None),
    "newer, of a later series": (TELLS.format("2.40.9000"), "fails", None),
    "older": (TELLS.format("2.36"), "fails", f"needs {NEEDED}; this system has 2.36"),
    "older, and it starts": (TELLS.format("2.36"), "starts", None),
    "none": (None, "fails", f"needs {NEEDED}; this system has no LOADER, its loader"),
    "none, and it starts": (None, "starts", None),
    "of another libc": ("exit(127)", "fails", f"needs {NEEDED}; this system has HERE"),
    "of another libc, and it starts": ("exit(127)", "starts", None),
}


@needs("namespaces")
@pytest.mark.parametrize("minor", [38, None], ids=["version", "loader alone"])
@pytest.mark.parametrize("shell", SHELLS)
def test_an_interpreter_that_does_not_start(shell: str, minor: int | None, tmp_path: Path) -> None:
    """One sentence says what it needs; an interpreter that starts is never refused."""
    calls, expected = {}, {}
    for number, (loader, interpreter, told) in enumerate(STARTS.values()):
        if minor is None and loader is not None:
            told = None  # only the presence of a loader is checked
        script = tree_that_checks(tmp_path / str(number), loader, interpreter, minor)
        calls[str(number)] = ([str(script), "x"], "/", "/usr/bin:/bin")
        runs = (0, "ran x\n", "") if interpreter == "starts" else (1, "", "loader's lines\n")
        if told is not None:
            told = told.replace("LOADER", str(script.parent / "ld.so")).replace("HERE", own_glibc())
        expected[str(number)] = runs if told is None else (127, "", f"tool: {told}\n")
    found = {way: tuple(rest) for way, (_, *rest) in run_calls(shell, calls).items()}
    assert found == expected


def own_glibc() -> str:
    """Return the version that getconf reports if the loader does not; it must be below 2.38."""
    version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[1]
    if version >= "2.38":
        pytest.skip(f"this machine's glibc, {version}, is newer than the one that is needed")
    return version


def tree_that_checks(root: Path, loader: str | None, interpreter: str, minor: int | None) -> Path:
    """Make a launcher next to an interpreter that starts or not, and the loader that it checks."""
    root.mkdir()
    programs = {
        "python": "import sys; print('ran', *sys.argv[2:])" if interpreter == "starts" else FAILS,
        "ld.so": loader,
    }
    for name, text in programs.items():
        if text is not None:
            (root / name).write_text(f"#!{sys.executable} -I\n{text}\n")
            (root / name).chmod(0o755)
    checks = StartChecks(shell=start_check(str(root / "ld.so"), NEEDED, minor))
    content = relocate_script(b"#!/env/bin/python\npass\n", ["/env"], (), checks)
    assert content is not None
    assert b"ld.so" in content
    script = root / "tool"
    script.write_bytes(content)
    script.chmod(0o755)
    return script


FAILS = """exit("loader's lines")"""


@needs("namespaces")
@pytest.mark.parametrize("shell", SHELLS)
def test_programs_of_the_callers_path_are_not_run(shell: str, tmp_path: Path) -> None:
    """Links are followed by the system's readlink, and no text of PATH is run as a command."""
    script = make_tree(tmp_path)
    trap, odd = tmp_path / "trap", tmp_path / "'x';cd ..;touch sprung;"
    trap.mkdir()
    (trap / "readlink").write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    (trap / "readlink").chmod(0o755)
    odd.mkdir()
    shutil.copy(script, odd / "tool")
    calls: dict[str, Call] = {
        "link": ([str(tmp_path / "links/absolute")], "/", f"{trap}:/usr/bin:/bin"),
        "name": (["/bin/sh", "tool"], str(trap), f"{odd.name}:{odd}:/usr/bin:/bin"),
    }
    found = run_calls(shell, calls)
    assert found["link"][1] == 0
    assert list(tmp_path.rglob("sprung")) == []


def test_entry_point_by_any_shell_is_the_same_header() -> None:
    """The header that these tests run is also that of the launchers of entry points."""
    entry_point = EntryPoint(name="x", module="m", attr="f")
    made = relocate_script(b"#!/env/bin/python\n", ["/env"], [entry_point])
    rewritten = relocate_script(b"#!/env/bin/python\n", ["/env"])
    assert made is not None
    assert rewritten is not None
    assert made.startswith(rewritten)
