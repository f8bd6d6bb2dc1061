"""Shells that source activation scripts, terminals, and processes that get signals."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.machine import require

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of sourcing the script, whose path is the first argument.

    Parameters:
        path, cwd: the script's path and the shell's current folder.
        before: commands that run before the shell's state is recorded.
        source: the command that sources the script, if not the dialect's.
        around: the text around the activation and everything after it.
    """

    path: str = "{bin}/{name}"
    cwd: str = "/"
    before: str = ""
    source: str = ""
    around: tuple[str, str] = ("", "")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Shells that read the same script.

    Parameters:
        script: the script's name.
        source: the command that sources the first argument.
        state: the definition of `state`, which records the shell's state in files below `$OUT`.
        path_states: the commands that make PATH empty and that unset it.
        another: the command that sources the script of the environment `$OTHER`.
        python: the command that runs `$CODE` in Python, with its output in a file below `$OUT`.
        attempt: the command that sources the first argument and reports whether it failed.
        expands: whether the prompt is expanded, so that special characters are replaced in it.
    """

    script: str
    source: str
    state: str
    ways: dict[str, Way]
    path_states: tuple[str, str]
    another: str
    python: str
    attempt: str
    expands: bool = True

    def write(self, folder: Path, way: Way) -> Path:
        """Write a file that records the shell's state before, during and after activation."""
        active = f"{way.source or self.source}\nstate active\ndeactivate\nstate after\n"
        begin, end = way.around
        text = f"{begin}\n" if begin == end == _INNER else f"{begin}\n{active}{end}\n"
        for name, content in {
            "script": f"{self.state}{way.before}\nstate before\n{text}",
            "inner": active,
            "outer": f"{self.source}\n",
            self.script: f"{self.source}\n",
        }.items():
            (folder / name).write_text(content)
        return folder / "script"

    def write_attempt(self, folder: Path) -> Path:
        """Write a file that records the shell's state before and after a failing activation."""
        path = folder / "attempt"
        path.write_text(f"{self.state}state before\n{self.attempt}\nstate after\n")
        return path


# csh expands aliases before it starts a subshell: what it runs there has to be in a file.
_INNER: Final = "(source $OUT:q/inner)"


PATHS: Final = {
    "absolute": Way(),
    "link to the folder": Way(path="{links}/folder/bin/{name}"),
    "link": Way(path="{links}/absolute-{name}"),
    "relative link": Way(path="./relative-{name}", cwd="{links}"),
    "chain of links": Way(path="{links}/chain-{name}"),
    "./activate": Way(path="./{name}", cwd="{bin}"),
    "bin/activate": Way(path="bin/{name}", cwd="{root}"),
    "../bin/activate": Way(path="../bin/{name}", cwd="{bin}"),
}


SH: Final = Dialect(
    script="activate",
    source='. "$1"',
    state="""\
state() {
    /usr/bin/env -0 >"$OUT/$1.env"
    (if [ -n "${BASH_VERSION-}" ]; then set -o posix; fi; set) >"$OUT/$1.set"
    /usr/bin/printf '%s.' "${PS1-unset}" >"$OUT/$1.prompt"
    /usr/bin/printf '%s\\n' "$-" "$PWD" >"$OUT/$1.shell"
    for x in deactivate _hpv_find _hpv_link _hpv_open; do
        command -v "$x" || :
    done >"$OUT/$1.functions"
}
if [ -n "${PROMPT_HERE-}" ]; then export PS1="$PROMPT_HERE"; fi  # bash drops it
""",
    ways={
        **PATHS,
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
        "loop that reads": Way(source='while read -r x; do . "$1"; break; done <"$1.fish"'),
        "CDPATH": Way(path="bin/activate", cwd="{root}", before="export CDPATH=/:/usr"),
        "PATH": Way(path="activate", before="PATH=$BIN:$PATH"),
        "PATH, not in this folder": Way(path="activate", cwd="{out}", before="PATH=$BIN:$PATH"),
    },
    path_states=("PATH=", "unset PATH"),
    another='. "$OTHER/bin/activate"',
    python='python -c "$CODE" >"$OUT/python"',
    attempt='. "$1" || echo failed',
)


FISH: Final = Dialect(
    script="activate.fish",
    source="source $argv[1]",
    state="""\
function state
    fish_prompt >$OUT/$argv[1].prompt
    /usr/bin/env -0 >$OUT/$argv[1].env
    set --global --long >$OUT/$argv[1].set
    functions --all --names >>$OUT/$argv[1].set
    pwd >$OUT/$argv[1].shell
    functions --all --names | string match -r '^deactivate$' >$OUT/$argv[1].functions
    true
end
function fish_prompt; printf '%s in %s> .' $status (pwd | string collect); end
""",
    ways={
        **PATHS,
        "twice": Way(source="source $argv[1]; source $argv[1]"),
        "function": Way(before="function f; source $argv[1]; end", source="f $argv[1]"),
        "block": Way(around=("begin", "end")),
        "file": Way(source='source "$OUT/outer" $argv[1]'),
        "file of the same name": Way(source='source "$OUT/activate.fish" $argv[1]'),
        "CDPATH": Way(path="bin/activate.fish", cwd="{root}", before="set -gx CDPATH / /usr"),
    },
    expands=False,
    path_states=("set -gx PATH", "set -e PATH"),
    another="source $OTHER/bin/activate.fish",
    python="python -c $CODE >$OUT/python",
    attempt="source $argv[1]; or echo failed",
)


CSH: Final = Dialect(
    script="activate.csh",
    source="source $argv[1]:q",
    state="""\
alias state '/usr/bin/env -0 > $OUT:q/\\!:1.env; set > $OUT:q/\\!:1.set; \
alias >> $OUT:q/\\!:1.set; /usr/bin/printf %s. "$prompt:q" > $OUT:q/\\!:1.prompt; \
/usr/bin/printf %s $cwd:q > $OUT:q/\\!:1.shell; \
alias | /usr/bin/sed -n "s/^deactivate.*/deactivate/p" > $OUT:q/\\!:1.functions'
set prompt = "%~> "
""",
    ways={
        **PATHS,
        "twice": Way(source="source $argv[1]:q; source $argv[1]:q"),
        "subshell": Way(around=(_INNER, _INNER)),
        "file": Way(source="source $OUT:q/outer"),
        "file of the same name": Way(source="source $OUT:q/activate.csh"),
        "cdpath": Way(path="bin/activate.csh", cwd="{root}", before="set cdpath = (/ /usr)"),
    },
    path_states=('setenv PATH ""', "unsetenv PATH"),
    another="source $OTHER:q/bin/activate.csh",
    python="python -c $CODE:q > $OUT:q/python",
    attempt="source $argv[1]:q; if ( $status ) echo failed",
)


SHELLS: Final = {
    "dash": (SH, ["dash"]),
    "bash": (SH, ["bash", "--norc"]),
    "bash --posix": (SH, ["bash", "--posix"]),
    "busybox": (SH, ["busybox", "sh"]),
    "ksh93": (SH, ["ksh93"]),
    "mksh": (SH, ["mksh"]),
    "yash": (SH, ["yash"]),
    "zsh": (SH, ["zsh", "-f"]),
    "zsh --emulate sh": (SH, ["zsh", "--emulate", "sh"]),
    "zsh, odd options": (SH, ["zsh", "-f", "-o", "noFUNCTION_ARGZERO", "-o", "KSH_ARRAYS"]),
    "fish": (FISH, ["fish", "--no-config"]),
    "tcsh": (CSH, ["tcsh", "-f"]),
}


def require_shell(shell: str) -> None:
    """Skip the test for a shell that this machine lacks."""
    require(SHELLS[shell][1][0])


# Variables that shells change on their own.
NOISE: Final = re.compile(
    r"'?\W'?|_|_AST_FEATURES|0|x|argv|BASH_\w+(%%)?|BASHPID|FUNCNAME|KSH_MATCH|LINENO|OPTIND|PIPESTATUS|PPID"
    r"|RANDOM|SECONDS|SHLVL|status|pipestatus|TTYIDLE|ZSH_\w+|zsh_eval_context|EPOCH\w+|\.sh\.\w+"
)


def _variables(dump: Path) -> list[str]:
    """Return the lines that `set` prints, without variables that change on their own."""
    lines = dump.read_text(errors="surrogateescape").splitlines()
    return sorted(line for line in lines if not NOISE.fullmatch(re.split("[=\t ]", line)[0]))


def _exported(dump: Path) -> dict[str, str]:
    lines = dump.read_bytes().decode("utf-8", "surrogateescape").split("\0")
    found = dict(line.split("=", 1) for line in lines if line)
    found.pop("IFS", None)  # busybox exports it after `IFS=… read` under `set -a`
    return {name: value for name, value in found.items() if not NOISE.fullmatch(name)}


def _difference(given: object, expected: object) -> object:
    """Return the difference between two values, briefly."""
    if isinstance(given, dict) and isinstance(expected, dict):
        given, expected = ([*map(str, value.items())] for value in (given, expected))
    if isinstance(given, list) and isinstance(expected, list):
        return [x for x in given if x not in expected], [x for x in expected if x not in given]
    return given, expected


def unrestored(out: Path) -> dict[str, object]:
    """Return what `deactivate` (or a refusal to activate) did not restore.

    Parameters:
        out: the folder in which the shell's states were recorded.
    """
    states = ("before", "after")
    checks: dict[str, list[object]] = {
        "exported": [_exported(out / f"{state}.env") for state in states],
        "variables": [_variables(out / f"{state}.set") for state in states],
    }
    for what in ("prompt", "shell", "functions"):
        checks[what] = [(out / f"{state}.{what}").read_text() for state in states]
    return {
        f"{what} after": _difference(after, before)
        for what, (before, after) in checks.items()
        if before != after
    }


def wrong_with(
    out: Path, root: Path, dialect: Dialect, prompt: str | None = None
) -> dict[str, object]:
    """Return what was wrong while an environment was active, and afterwards.

    Parameters:
        out: the folder in which the shell's states were recorded.
        root: the environment.
        prompt: the name in the prompt; by default the folder's.
    """
    before, active = (_exported(out / f"{state}.env") for state in ("before", "active"))
    prompt = prompt or root.name
    prompts = [(out / f"{state}.prompt").read_text() for state in ("before", "active")]
    shown = re.sub(r"[$`\\%!]", "_", prompt) if dialect.expands else prompt
    hidden = prompts[0] == "unset." or before.get("VIRTUAL_ENV_DISABLE_PROMPT")
    new_prompt = prompts[0] if hidden else f"({shown}) {prompts[0]}"
    path = f"{root}/bin:{before['PATH']}" if before.get("PATH") else f"{root}/bin"
    expected = {**before, "VIRTUAL_ENV": str(root), "VIRTUAL_ENV_PROMPT": prompt, "PATH": path}
    expected.pop("PYTHONHOME", None)
    if "PS1" in expected and dialect is SH:
        expected["PS1"] = new_prompt.removesuffix(".")
    if "set -fCa" in out.name:  # it exports all
        expected.update({n: v for n, v in active.items() if n.startswith(("_HPV_", "_OLD_"))})
    shell, functions = (
        [(out / f"{state}.{what}").read_text() for state in ("before", "active")]
        for what in ("shell", "functions")
    )
    checks = {
        "exported": (active, expected),
        "prompt": (prompts[1], new_prompt),
        "functions": (functions, ["", "deactivate\n"]),
        "options and folder": (shell[1], shell[0]),
    }
    wrong = {what: _difference(*pair) for what, pair in checks.items() if pair[0] != pair[1]}
    return {**wrong, **unrestored(out)}


def shown_on_a_terminal(command: Sequence[str | Path], columns: int = 80) -> tuple[str, str]:
    """Run with standard error on a pseudo terminal; return what it showed, and standard output.

    Parameters:
        columns: of the terminal; 0 for one that does not know its size.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:
        pass  # the other end is closed (EIO)
    os.close(ours)
    output, _ = process.communicate()
    assert process.returncode == 0
    return seen.decode(), output


def unmeasured() -> dict[str, str]:
    """Return the environment variables for a process that will be interrupted.

    Those of coverage are left out: its collector takes a lock, and a `KeyboardInterrupt` at that
    moment leaves the lock taken, so that the process waits for ever.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}


def opened_in(folder: Path) -> list[str]:
    """Return the files in a folder that processes have open, even if they were removed."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            found.append(os.readlink(path))
    return [name for name in found if name.startswith(f"{folder}{os.sep}")]
