"""What an environment imports from elsewhere: its layers, and folders outside that it sees.

A layer is read like an environment, from its files; nothing of it is run but the base runtime's
interpreter, which is asked for its facts. The environment's own start-up code is run where only
that can tell what it adds to `sys.path`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from packaging.utils import canonicalize_name

from ..metadata.files import read_json
from ..metadata.installed import installed_distributions
from ..metadata.path_files import path_lines
from ..model import manifest
from ..model.entries import FileEntry
from ..model.errors import EnvironmentProblem, PlanError
from ..model.layers import Layer, Layers, LibraryFolder
from .asking import answer_of
from .probe import ask_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Set

    from ..config.options import PackOptions
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment
    from ..model.interpreter import Interpreter


def read_layers(
    environment: Environment,
    options: PackOptions,
    ask: Callable[[Path], Interpreter] = ask_interpreter,
) -> Layers | None:
    """Read the layers that the options name; `None` if they name no containing folder.

    Parameters:
        ask: how to get the facts of the base runtime's interpreter.

    Raises:
        PlanError: lists every layer that is missing, lies elsewhere or does not fit.
    """
    if options.containing_dir is None:
        return None
    reader = _Reader(environment, options.containing_dir, ask)
    layers = reader.read(options)
    if reader.problems:
        raise PlanError(f"the layers of {environment.requested} are not right", reader.problems)
    return layers


class _Reader:
    def __init__(
        self, environment: Environment, containing: Path, ask: Callable[[Path], Interpreter]
    ) -> None:
        self.environment = environment
        self.ask = ask
        self.containing = containing.resolve()
        self.problems: list[str] = []

    def read(self, options: PackOptions) -> Layers:
        prefix, given = self.environment.prefix, options.containing_dir
        if not prefix.is_relative_to(self.containing) or prefix == self.containing:
            self.problems.append(
                f"containing-dir ({given}) does not hold the environment: name the folder that"
                " holds it and its layers"
            )
            return Layers(containing=self.containing)
        runtime = None
        if options.base_runtime is not None:
            runtime = self._layer("base-runtime", options.base_runtime)
            runtime = None if runtime is None else self._with_interpreter(runtime)
        read = [self._layer("layers", layer) for layer in options.layers]
        layers = tuple(layer for layer in read if layer is not None)
        for layer in layers:
            if not layer.site_packages:
                name = self.environment.interpreter.executable_name
                self.problems.append(
                    f"layers names {layer.path}, which holds no packages of {name} as the"
                    " environment does: make it with the same Python"
                )
        found_layers = Layers(containing=self.containing, runtime=runtime, layers=layers)
        folders = [self._library_folder(folder, found_layers) for folder in options.dynlib_dirs]
        return replace(found_layers, dynlib=tuple(each for each in folders if each is not None))

    def _layer(self, key: str, given: Path) -> Layer | None:
        path = given.resolve()
        if not path.is_dir():
            self.problems.append(f"{key} names {given}, where no folder is: make it first")
        elif not path.is_relative_to(self.containing) or path == self.containing:
            self.problems.append(
                f"{key} names {given}, which does not lie in containing-dir ({self.containing})"
            )
        elif path.is_relative_to(self.environment.prefix) or self.environment.prefix.is_relative_to(
            path
        ):
            self.problems.append(
                f"{key} names {given}, which is no layer of the environment: one holds the other"
            )
        else:
            return self._read(path)
        return None

    def _read(self, path: Path) -> Layer | None:
        relative = os.path.relpath(path, self.environment.prefix)
        name = self.environment.interpreter.executable_name
        sites = tuple(
            f"{lib}/{name}/site-packages"
            for lib in ("lib", "lib64")
            if not (path / lib).is_symlink() and (path / lib / name / "site-packages").is_dir()
        )
        try:
            distributions = tuple(installed_distributions(path, sites))
        except EnvironmentProblem as error:
            self.problems.append(str(error))
            return None
        return Layer(
            path=path,
            relative=relative,
            python_version=self.environment.interpreter.minor,
            site_packages=sites,
            distributions=distributions,
        )

    def _with_interpreter(self, runtime: Layer) -> Layer:
        """Ask the base runtime's interpreter for its facts, and return it with its version."""
        wanted = self.environment.interpreter
        python = runtime.path / self.environment.scripts / wanted.executable_name
        if not python.is_file():
            self.problems.append(
                f"base-runtime names {runtime.path}, which has no"
                f" {self.environment.scripts}/{wanted.executable_name}: the environment is of"
                f" CPython {wanted.minor}, and so must its base runtime be"
            )
            return runtime
        try:
            found = self.ask(python)
        except EnvironmentProblem as error:
            self.problems.append(f"base-runtime: {error}")
            return runtime
        for what, has, wants in (
            ("the ABI", found.abi, wanted.abi),
            ("the platform", found.platform, wanted.platform),
        ):
            if has != wants:
                self.problems.append(
                    f"base-runtime names {runtime.path}, which is of {what} {has}; the environment"
                    f" is of {wants}"
                )
        return replace(runtime, python_version=found.version)

    def _library_folder(self, given: Path, layers: Layers) -> LibraryFolder | None:
        path = given.resolve()
        for layer in layers.below:
            if path.is_relative_to(layer.path) and path != layer.path:
                inside = path.relative_to(layer.path).as_posix()
                return LibraryFolder(owner=layer, inside=inside)
        self.problems.append(
            f"dynlib-dirs names {given}, which lies in none of the layers nor in the base runtime:"
            " name its layer in layers"
        )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is told of one archive.

    Parameters:
        versions: of the distributions it holds, by normalised name.
    """

    digest: str
    versions: Mapping[str, str]

    @classmethod
    def from_head(cls, digest: Any, head: Any) -> Self | None:
        """Read a manifest's head; `None` if it is none."""
        try:
            versions: dict[str, str] = {
                canonicalize_name(each["name"]): str(each["version"])
                for each in head["distributions"]
            }
        except (KeyError, TypeError):
            return None
        return cls(digest=digest, versions=versions) if isinstance(digest, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerArchives:
    """Finds the content digests of layers.

    Parameters:
        folder: where archives are written, with their `.json` files; `None` if there is none.
    """

    folder: Path | None

    def of(self, layer: Layer, relied_on: Set[str]) -> tuple[Layer, list[str]]:
        """Return a layer with its digest, and what a user may want to know.

        A folder that was unpacked or exported holds its own manifest. Else an archive counts whose
        top folder has the layer's name, if it holds what is relied on, and nothing in another
        version than the layer does now.
        """
        own = _read_json(layer.path / manifest.ARCNAME)
        record = _Record.from_head(own.get("content_digest"), own)
        if record is not None:
            return replace(layer, content_digest=record.digest), []
        packed = [*self._packed(layer.name)]
        installed = {each.key: each.version for each in layer.distributions}
        fitting = {
            each.digest
            for each in packed
            if all(each.versions.get(key, version) == version for key, version in installed.items())
            and relied_on & installed.keys() <= each.versions.keys()
        }
        if len(fitting) == 1:
            return replace(layer, content_digest=fitting.pop()), []
        if not packed:
            return layer, []
        which = "several archives" if fitting else "an archive"
        why = "of different contents" if fitting else "that does not hold what the folder holds now"
        return layer, [
            f"{self.folder} holds {which} of the layer {layer.name} {why}, so that no"
            " content digest was recorded: remove old ones, or pack it again first"
        ]

    def _packed(self, name: str) -> Iterator[_Record]:
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json")):
            facts = _read_json(path)
            if facts.get("install_target") == name:
                record = _Record.from_head(facts.get("content_digest"), facts.get("manifest"))
                if record is not None:
                    yield record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path, manifest.SIZE_LIMIT)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# Files of this kind that add nothing to sys.path, and that most environments have.
_HARMLESS: Final = re.compile(
    r"_virtualenv\.pth|distutils-precedence\.pth|a1_coverage\.pth|.*-nspkg\.pth|__editable__.*"
)
_STARTUP: Final = (".pth", "/sitecustomize.py")
_CODE_LINE: Final = re.compile(rb"(?m)^import[ \t]")
_SEARCH_PATH: Final = "import json, os, sys; answer = json.dumps(sys.path)"


def startup_code(environment: Environment, scanned: Iterable[ScannedEntry]) -> dict[str, bytes]:
    """Return the files that may change `sys.path` by code when the interpreter starts.

    These are `.pth` files with lines of code and `sitecustomize.py`; known ones and those of
    editable installs are left out.
    """
    hooks = {name for each in environment.distributions if each.editable for name in each.files}
    found = {}
    for entry in [each for each in scanned if each.arcname.endswith(_STARTUP)]:
        folder, _, name = entry.arcname.rpartition("/")
        if folder not in environment.site_packages or entry.arcname in hooks:
            continue
        content = entry.content if isinstance(entry, FileEntry) else None
        if not isinstance(content, bytes) or _HARMLESS.fullmatch(name):
            continue
        if name == "sitecustomize.py" or (name.endswith(".pth") and _CODE_LINE.search(content)):
            found[entry.arcname] = content
    return found


def plain_folders(environment: Environment, scanned: Iterable[ScannedEntry]) -> set[str]:
    """Return the folders that plain lines of `.pth` files add to `sys.path`."""
    found = set()
    for entry in scanned:
        folder, _, name = entry.arcname.rpartition("/")
        content = entry.content if isinstance(entry, FileEntry) else None
        if folder in environment.site_packages and name.endswith(".pth"):
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
            here = environment.prefix / folder
            found |= {os.path.normpath(here / line) for line in path_lines(text)}
    return found


def ask_search_path(environment: Environment) -> list[str]:
    """Return `sys.path` as the environment's interpreter has it, with its start-up code run.

    It is empty if the interpreter does not answer: its start-up code may need what is not there.
    """
    # The user's own packages count where the environment sees them.
    mode = "-E" if environment.include_system_site_packages else "-I"
    python = environment.prefix / environment.scripts / "python"
    try:
        found = answer_of(python, (mode,), _SEARCH_PATH)
    except EnvironmentProblem:
        return []
    paths = found if isinstance(found, list) else []
    return [path for path in paths if isinstance(path, str) and path]


def folders_outside(search_path: Iterable[str], environment: Environment) -> list[str]:
    """Return the folders of a search path that hold something and lie outside of what is packed.

    Inside are the environment, its layers, the standard library and, if the environment sees them,
    the base interpreter's own packages. Editable installs are handled elsewhere.
    """
    facts = environment.interpreter
    known = [environment.prefix, facts.stdlib]
    known += facts.site_packages if environment.include_system_site_packages else ()
    known += [] if environment.containing is None else [environment.containing]
    editables = [each.editable for each in environment.distributions if each.editable]
    known += [Path(os.path.realpath(each.source)) for each in editables]
    known += [Path(os.path.realpath(line)) for each in editables for line in each.lines]
    found = {}
    for folder in search_path:
        real = Path(os.path.realpath(folder))
        if not any(real.is_relative_to(each) for each in known) and _holds_something(real):
            found[folder] = real
    return list(found)


def _holds_something(folder: Path) -> bool:
    try:
        return any(name != "__pycache__" for name in os.listdir(folder))
    except OSError:
        return False


def describe_outside(
    folders: Iterable[str], code: Mapping[str, bytes]
) -> tuple[list[str], list[str]]:
    """Return errors and notes on folders outside that start-up code adds to `sys.path`.

    It is an error if a file names the folder, as for a plain line of a `.pth` file.
    """
    problems, notes = [], []
    for folder in folders:
        named = [name for name, content in code.items() if os.fsencode(folder) in content]
        if named:
            problems.append(
                f"{named[0]} adds {folder} to sys.path by code, which will not exist on the"
                " target: install what is there as a regular package, or exclude the file"
            )
        else:
            notes.append(
                f"{folder} is on the environment's sys.path and stays out of the archive: install"
                " what is needed of it into the environment"
            )
    return problems, notes
