"""The environment and its interpreter, identified before anything is walked.

The interpreter is asked in a separate process with `-I -S -B`: isolated from the user's settings,
without `site` (so that no `.pth` file of the environment runs), and without writing bytecode next
to the standard library. Its answer begins with a random word, so that nothing else that is printed
can be mistaken for it.
"""

from __future__ import annotations

import filecmp
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..injected.postinstall import machine_of
from ..metadata.files import read_file
from ..metadata.installed import installed_distributions
from ..model.environment import Environment
from ..model.errors import EnvironmentProblem, InterpreterMissing, InterpreterProblem
from ..model.interpreter import Interpreter
from ..platforms.linux import detect as linux_detect
from ..platforms.macos import detect as macos_detect
from ..platforms.posix.stdlib import wheel_folder_in
from ..platforms.windows import detect as windows_detect
from .asking import answer_of
from .build_paths import prefix_aliases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import StrPath


_SITE_PACKAGES: Final = re.compile(r"python(\d+\.\d+t?)")
_LISTING_LIMIT: Final = 1 << 20
_CREATE: Final = "create it with `python -m venv`, virtualenv, uv or Hatch"


def read_environment(
    prefix: StrPath,
    *,
    ask: Callable[[Path], Interpreter] | None = None,
    may_be_elsewhere: bool = False,
) -> Environment:
    """Read a prepared environment; nothing in it is imported or written.

    Parameters:
        prefix: the folder that holds `pyvenv.cfg`, or an interpreter's own prefix.
        ask: how to get the facts about an interpreter; by default it is run or, if it cannot be,
            they are read from the tree.
        may_be_elsewhere: whether the interpreter may be missing, or unable to run on this machine;
            the necessary facts about it are then read from the tree for Linux, too.

    Raises:
        EnvironmentProblem: the folder is not an environment, is half deleted, has lost its
            interpreter, or contains packages of two Pythons.
    """
    requested = Path(os.path.abspath(prefix))
    given = environment_folder(requested)
    environment = _read(given, ask, may_be_elsewhere=may_be_elsewhere)
    if given == requested:
        return environment
    aliases = (str(given), *environment.aliases)
    return replace(environment, requested=requested, aliases=aliases)


def _read(
    given: Path, ask: Callable[[Path], Interpreter] | None, *, may_be_elsewhere: bool
) -> Environment:
    config = _read_config(given)
    if windows_detect.is_windows(given):
        return _read_windows_environment(given, config, ask)
    sites = _find_site_packages(given)
    aliases = prefix_aliases(given.resolve(), "bin")
    if ask is None and sys.platform != "darwin" and macos_detect.is_macos(given, config):
        aliases += macos_detect.prefix_aliases(given, config)
        answer = partial(macos_detect.interpreter_of, given, config, sites)
    else:
        answer = partial(
            _answer, given, config, sites, ask or ask_interpreter, may_be_elsewhere=may_be_elsewhere
        )
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(answer)  # what is installed can be read while Python starts
        distributions = tuple(installed_distributions(given.resolve(), sites))
        interpreter = answered.result()
    _check_one_python(given, sites, interpreter)
    bare = not (given / "pyvenv.cfg").exists() and linux_detect.is_installation(given)
    if bare:
        _check_own(given, interpreter)
    return Environment(
        prefix=given.resolve(),
        requested=given,
        config=config,
        interpreter=interpreter,
        site_packages=sites,
        distributions=distributions,
        interpreter_copies=frozenset(_copies_of(interpreter.executable, given.resolve(), "bin")),
        aliases=aliases,
        bare=bare,
    )


def _answer(
    prefix: Path,
    config: Mapping[str, str],
    sites: tuple[str, ...],
    ask: Callable[[Path], Interpreter],
    *,
    may_be_elsewhere: bool,
) -> Interpreter:
    try:
        return ask(_find_interpreter(prefix, sites[0].split("/")[1]))
    except InterpreterMissing:
        if not may_be_elsewhere or linux_detect.is_installation(prefix):
            raise
        executable = Path(os.path.realpath(prefix / "bin" / "python"))
        interpreter = linux_detect.interpreter_of(prefix, config, sites[0], executable)
        interpreter.check_supported(prefix)
        return interpreter


def _check_own(prefix: Path, interpreter: Interpreter) -> None:
    if interpreter.base_prefix != prefix.resolve():
        raise EnvironmentProblem(
            f"{prefix} has no pyvenv.cfg, and its interpreter's home is {interpreter.base_prefix}:"
            f" {_CREATE}"
        )


def environment_folder(prefix: Path) -> Path:
    """Return the folder of an environment, following a file that names it.

    PEP 832: the last line of a project's `.python-envs` is its default environment if there is no
    `.venv`. In the PEP's first drafts, a file named `.venv` held the path, and tools write such
    files.

    Raises:
        EnvironmentProblem: the file cannot be read, or does not name an environment.
    """
    listing = prefix.with_name(".python-envs")
    if prefix.name != ".venv" or prefix.is_dir():
        return prefix
    file, line = (prefix, 0) if prefix.is_file() else (listing, -1)
    if not file.is_file():
        return prefix
    try:
        lines = read_file(file, _LISTING_LIMIT).decode("utf-8").rstrip("\r\n").splitlines()
        named = lines[line].strip() if lines else ""
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise EnvironmentProblem(f"{file} cannot be read: {told}") from error
    folder = Path(os.path.normpath(file.parent / named))
    if not named or not (folder / "pyvenv.cfg").is_file():
        raise EnvironmentProblem(
            f"{file} names {named!r}, which is not a virtual environment: put the path of one into"
            " it, or name the environment's folder instead"
        )
    return folder


def _read_windows_environment(
    given: Path,
    config: Mapping[str, str],
    ask: Callable[[Path], Interpreter] | None,
) -> Environment:
    windows_detect.check_whole(given)
    if ask is None and os.name == "nt":
        ask = ask_interpreter
    scripts, sites = windows_detect.SCRIPTS, (windows_detect.SITE_PACKAGES,)
    python = given / scripts / windows_detect.PYTHON
    facts = windows_detect.interpreter_of(given, config) if ask is None else ask(python)
    return Environment(
        prefix=given.resolve(),
        requested=given,
        config=config,
        interpreter=facts,
        scripts=scripts,
        site_packages=sites,
        distributions=tuple(installed_distributions(given.resolve(), sites, scripts)),
        aliases=windows_detect.prefix_aliases(given, config),
    )


def _read_config(prefix: Path) -> dict[str, str]:
    if not prefix.exists():
        raise EnvironmentProblem(f"there is no environment at {prefix}: {_CREATE}")
    if not prefix.is_dir():
        raise EnvironmentProblem(f"{prefix} is a file, not an environment's folder")
    path = prefix / "pyvenv.cfg"
    try:
        lines = read_file(path).decode("utf-8").splitlines()
    except FileNotFoundError:
        if linux_detect.is_installation(prefix) or linux_detect.is_stack_layer(prefix):
            return {}
        within = prefix / ".venv"
        found = (within / "pyvenv.cfg").is_file()
        instead = f"did you mean {within}?" if found else _CREATE
        raise EnvironmentProblem(
            f"{prefix} is not a virtual environment (it has no pyvenv.cfg): {instead}"
        ) from None
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be read: {error.strerror}; repair or recreate the environment"
        ) from error
    except UnicodeDecodeError as error:
        raise EnvironmentProblem(f"{path} cannot be read: {error}") from error
    if any("\0" in line for line in lines):
        raise EnvironmentProblem(
            f"{path} is damaged (it contains a NUL character): recreate the environment"
        )
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _find_site_packages(prefix: Path) -> tuple[str, ...]:
    found: list[str] = []
    for lib in ("lib", "lib64"):
        folder = prefix / lib
        if folder.is_symlink() or not folder.is_dir():
            continue
        names = [name for name in os.listdir(folder) if _SITE_PACKAGES.fullmatch(name)]
        found += [
            f"{lib}/{name}/site-packages"
            for name in sorted(names)
            if (folder / name / "site-packages").is_dir()
        ]
    if not found and (prefix / "lib").is_symlink():
        raise EnvironmentProblem(
            f"{prefix}/lib is a link to {os.readlink(prefix / 'lib')}: replace the link with what"
            " it points to"
        )
    if not found and linux_detect.is_installation(prefix):
        raise EnvironmentProblem(
            f"{prefix} is an interpreter without a site-packages folder next to its standard"
            " library, such as a system's: create an environment with it, and pack that"
        )
    if not found:
        raise EnvironmentProblem(
            f"{prefix} is incomplete (it has no lib/python3.*/site-packages): remove it and"
            " create it again"
        )
    return tuple(found)


def _copies_of(executable: Path, prefix: Path, scripts: str) -> Iterator[str]:
    """Yield the arcnames of files in the scripts folder whose content is the interpreter's."""
    try:
        size = executable.stat().st_size
    except OSError:  # it is of another system
        return
    with os.scandir(prefix / scripts) as children:
        for child in children:
            if (
                child.is_file(follow_symlinks=False)
                and child.stat(follow_symlinks=False).st_size == size
                and os.access(child.path, os.R_OK)
                and filecmp.cmp(child.path, executable, shallow=False)
            ):
                yield f"{scripts}/{child.name}"


def _find_interpreter(prefix: Path, versioned: str) -> Path:
    python = prefix / "bin" / "python"
    if not python.exists():
        own = prefix / "bin" / versioned  # what CPython's `make install` creates
        if own.is_file() and linux_detect.is_installation(prefix):
            return own
        if python.is_symlink():
            raise InterpreterMissing(
                f"the interpreter of {prefix} is gone: bin/python points to"
                f" {os.path.realpath(python)}, which does not exist; recreate the environment"
                " with an existing interpreter"
            )
        raise EnvironmentProblem(
            f"{prefix} is incomplete (it has no bin/python): remove it and create it again"
        )
    return python


def _check_one_python(prefix: Path, sites: tuple[str, ...], interpreter: Interpreter) -> None:
    versions = list(dict.fromkeys(site.split("/")[1] for site in sites))
    if len(versions) > 1:
        raise EnvironmentProblem(
            f"{prefix} contains packages for several Python versions, {' and '.join(versions)}:"
            " remove it and create it again with only one"
        )
    if versions[0] != interpreter.executable_name:
        raise EnvironmentProblem(
            f"{prefix} contains packages for {versions[0]}, but its bin/python is"
            f" {interpreter.executable_name}: remove it and create it again"
        )


# Runs on CPython 3.6 and later, so that a version that is too old can report its number.
_QUESTIONS: Final = """
import json, os, platform, site, struct, sys, sysconfig
var = sysconfig.get_config_var
sys.prefix = sys.base_prefix
try:
    with open("/proc/self/maps") as maps:
        loaded = [line.split(None, 5)[5].strip() for line in maps if "/libpython" in line]
except OSError:
    loaded = []
base = getattr(sys, "_base_executable", None)
if sys.version_info < (3, 11) or not base:
    base = sys.executable
free_threaded = "t" if var("Py_GIL_DISABLED") else ""
# What venv --copies makes guesses its base: python3 of its folder, which may be another version,
# or have a GIL where this one has none.
own = "python%d.%d" % sys.version_info[:2] + free_threaded
named = os.path.basename(os.path.realpath(base))
is_own = named.startswith(own) and not named.startswith(own + "t")
beside = os.path.join(os.path.dirname(base), own)
if named.startswith("python3.") and not is_own and os.path.isfile(beside):
    base = beside
answer = json.dumps({
    "version": platform.python_version(),
    "minor": "%d.%d" % sys.version_info[:2],
    "implementation": sys.implementation.name,
    "abi": "cp%d%d%s%s" % (sys.version_info[:2]
                           + (free_threaded, "d" if hasattr(sys, "gettotalrefcount") else "")),
    "cache_tag": sys.implementation.cache_tag,
    "pointer_bits": struct.calcsize("P") * 8,
    "system": sys.platform,
    "machine": sysconfig.get_platform().split("-")[-1],
    "platform": sysconfig.get_platform(),
    "executable": os.path.realpath(base),
    "base_prefix": os.path.realpath(sys.base_prefix),
    "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
    "platlibdir": getattr(sys, "platlibdir", "lib"),
    "library": (loaded or [None])[0],
    "site_packages": [os.path.realpath(path) for path in site.getsitepackages([sys.base_prefix])],
    "include": os.path.realpath(sysconfig.get_path("include")),
    "wheel_folder": var("WHEEL_PKG_DIR"),
    "site_folders": [os.path.relpath(path, "/@") for path in site.getsitepackages(["/@"])],
    "scheme": (getattr(sysconfig, "get_default_scheme", None) or sysconfig._get_default_scheme)(),
})
"""
_TEXTS: Final = ("version", "minor", "implementation", "abi", "cache_tag", "system", "machine")
_PATHS: Final = ("executable", "base_prefix", "stdlib")
_NAMES: Final = ("platform", "platlibdir", "scheme")
_LISTS: Final = ("site_packages", "site_folders")
_PATHS_OR_NONE: Final = ("library", "include", "wheel_folder")


def ask_interpreter(executable: Path) -> Interpreter:
    """Ask an interpreter for its facts.

    Raises:
        EnvironmentProblem: it cannot be started, or is not CPython 3.9 or later.
    """
    facts = _ask(executable)
    if facts["wheel_folder"] is None:
        ensurepip = Path(facts["stdlib"], "ensurepip/__init__.py")
        facts["wheel_folder"] = wheel_folder_in(_text_of(ensurepip))
    paths = {key: Path(facts[key]) for key in (*_PATHS, *_PATHS_OR_NONE) if facts[key] is not None}
    lists = {
        "site_packages": tuple(dict.fromkeys(map(Path, facts["site_packages"]))),
        "site_folders": tuple(facts["site_folders"]),
    }
    interpreter = Interpreter(**{**facts, **paths, **lists, **_machine(facts)})
    interpreter.check_supported(executable)
    return interpreter


def _text_of(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _machine(facts: dict[str, Any]) -> dict[str, str]:
    """Return the interpreter's machine, which need not be the kernel's (i386 on x86_64).

    `sysconfig` reports the kernel's instead.
    """
    kernel = facts["machine"]
    machine = machine_of(facts["executable"], kernel) if facts["system"] == "linux" else kernel
    platform = facts["platform"].removesuffix(kernel) + machine
    return {"machine": machine, "platform": platform if machine != kernel else facts["platform"]}


def _ask(executable: Path) -> dict[str, Any]:
    facts = answer_of(executable, ("-I", "-S"), _QUESTIONS)
    if not _is_answer(facts):
        raise EnvironmentProblem(
            f"{executable} does not answer like a Python interpreter: repair or recreate the"
            " environment"
        )
    names = (*_TEXTS, *_NAMES, *_PATHS, *_PATHS_OR_NONE, *_LISTS, "pointer_bits")
    return {key: facts.get(key) for key in names}


def _is_answer(facts: Any) -> bool:
    """Whether these are the facts that were asked for, each of the right type."""
    if not isinstance(facts, dict) or not all(isinstance(facts.get(x), list) for x in _LISTS):
        return False
    texts = [facts.get(key) for key in (*_TEXTS, *_NAMES, *_PATHS)]
    texts += [facts.get(key) or "" for key in _PATHS_OR_NONE]
    texts += [text for key in _LISTS for text in facts[key]]
    return (
        all(isinstance(text, str) and "\0" not in text for text in texts)
        and re.fullmatch(r"\d{1,3}\.\d{1,3}", facts["minor"]) is not None
        and type(facts.get("pointer_bits")) is int
    )


def check_fixed_interpreter(
    path: Path,
    environment: Environment,
    ask: Callable[[Path], Interpreter] = ask_interpreter,
) -> str | None:
    """Compare a promised interpreter with the environment's, if this machine has it.

    Returns:
        A note for the user if it cannot be checked on this machine; otherwise `None`.

    Raises:
        InterpreterProblem: it does not run, or is of another version, ABI or platform.
    """
    if not os.path.lexists(path):
        return f"{path} is not on this machine, so it could not be checked"
    try:
        found = ask(path)
    except EnvironmentProblem as error:
        raise InterpreterProblem(f"the promised interpreter cannot be used: {error}") from error
    needed = environment.interpreter
    for what, has, wants in (
        ("is CPython", found.minor, needed.minor),
        ("has the ABI", found.abi, needed.abi),
        ("is for the platform", found.platform, needed.platform),
    ):
        if has != wants:
            raise InterpreterProblem(
                f"{path} {what} {has}, but {environment.requested} needs {wants}: name another"
                " interpreter, or create the environment with this one"
            )
    return None
