"""Editable installs, recognised by the files they leave in an environment.

Every style leaves something in site-packages: a line of a `.pth` file that adds a folder to
`sys.path` or imports a finder, a link to a package (`flit install --symlink`), or an `.egg-link`.
`direct_url.json` (PEP 610) identifies most of them; those installed from an editable wheel file, or
by `setup.py develop`, have none.
"""

from __future__ import annotations

import ast
import itertools
import os
import posixpath
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from ..model.distribution import Editable, Exposed, InstalledDistribution
from ..model.errors import is_failure
from .files import parse_json, read_file, read_json, read_text, walk
from .path_files import path_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
_LISTED: Final = 10
_IMPORT: Final = re.compile(r"import[ \t]+(\w+)")
_START: Final = re.compile(r"(\w+):\w+")  # a `.start` file's line (PEP 829)


def recognise(
    prefix: Path, site: str, recorded: Iterable[str], direct_url: str | None
) -> Editable | None:
    """Return how a distribution is editable; `None` if it is not.

    Parameters:
        site: arcname of its site-packages folder.
        recorded: arcnames of the files that its RECORD lists.
        direct_url: the text of its `direct_url.json`.
    """
    declared = _declared_source(direct_url)
    found = _HookReader(prefix, site, frozenset(recorded), declared).read()
    if declared is None and not found.hooks:
        return None
    if not found.exposed and not found.problem:
        found = replace(found, problem="it is not known how it is made importable")
    return replace(found, source=declared or str(_project_of(found.exposed)))


def developed(prefix: Path, site: str, owned: Iterable[str]) -> Iterator[tuple[Path, Editable]]:
    """Yield what `setup.py develop` installed, with the metadata folders in the source trees.

    It writes an `.egg-link` and a line of `easy-install.pth`; RECORD files list neither.

    Parameters:
        owned: lines of `.pth` files that belong to other editable installs.
    """
    links = {path: _linked_folder(path) for path in _ending(prefix / site, ".egg-link")}
    lines = {
        line
        for path in _ending(prefix / site, ".pth")
        for line in set(path_lines(_text(path)))
        if _is_foreign(prefix, site, line)
    } - set(owned)
    for folder in sorted({*filter(None, links.values()), *map(Path, lines)}):
        if folder.name in ("site-packages", "dist-packages"):
            continue  # another environment, with a line that somebody wrote by hand
        for metadata in filter(Path.is_dir, _ending(folder, ".egg-info")):
            hooks = [p for p, linked in links.items() if linked == folder and _names(p, metadata)]
            exposed = (Exposed(name="", path=folder),)
            editable = Editable(
                source=str(_project_of(exposed)),
                hooks=frozenset(path.relative_to(prefix).as_posix() for path in hooks),
                lines=frozenset(line for line in lines if Path(line) == folder),
                exposed=exposed,
                metadata=metadata,
            )
            yield metadata, editable


def refusals(distributions: Iterable[InstalledDistribution]) -> list[str]:
    """Return the sentences that refuse editable installs and name the ways out: one for several."""
    found = [(each.name, each.editable) for each in distributions if each.editable is not None]
    if len(found) == 1:
        return [refusal(*found[0])]
    problems = [refusal(*each) for each in found if each[1].problem is not None]
    found = [each for each in found if each[1].problem is None]
    if len(found) < 2:
        return [*problems, *(refusal(*each) for each in found)]
    names = [f"{name} ({editable.source})" for name, editable in found[:_LISTED]]
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return [
        *problems,
        f"{len(found)} distributions are installed in editable mode, from sources that will not"
        f" exist on the target: {', '.join(names)}{more}: install them as regular packages, name"
        ' their wheels in `wheels`, set `editables` to "copy" or "exclude", or pack only what the'
        ' project requires with distributions = "required"',
    ]


def refusal(name: str, editable: Editable) -> str:
    """Return the sentence that refuses an editable install and names the ways out."""
    said = (
        f"{name} is installed in editable mode from {editable.source}, which will not exist on the"
        " target"
    )
    instead = "install it as a regular package, name its wheel in `wheels`"
    if editable.problem is not None:
        said += f", and cannot be copied because {editable.problem}"
        return f'{said}: {instead}, or set `editables` to "exclude"'
    return f'{said}: {instead}, or set `editables` to "copy" or "exclude"'


class _HookReader:
    """Reads the hooks among the files of one distribution."""

    def __init__(
        self, prefix: Path, site: str, recorded: frozenset[str], declared: str | None
    ) -> None:
        self.prefix = prefix
        self.site = site
        self.recorded = recorded
        self.declared = declared
        self.hooks: set[str] = set()
        self.lines: set[str] = set()
        self.exposed: list[Exposed] = []
        self.problem: str | None = None

    def read(self) -> Editable:
        """Return what was found, without a source."""
        for arcname in sorted(n for n in self.recorded if n.rpartition("/")[0] == self.site):
            if arcname.endswith(".pth"):
                text = _text(self.prefix / arcname)
                self._finders(arcname, _IMPORT.findall(text))
                self._folders(arcname, list(dict.fromkeys(path_lines(text))))
            elif arcname.endswith(".start"):
                self._finders(arcname, _START.findall(_text(self.prefix / arcname)))
            else:
                self._link(arcname)
        return Editable(
            source="",
            hooks=frozenset(self.hooks),
            lines=frozenset(self.lines),
            exposed=tuple(dict.fromkeys(self.exposed)),
            problem=self.problem,
        )

    def _finders(self, arcname: str, modules: list[str]) -> None:
        for module in dict.fromkeys(modules):
            finder = f"{self.site}/{module}.py"
            if finder not in self.recorded:
                continue
            try:
                exposed = read_finder(self.prefix / finder)
            except UnknownFinderError as error:
                exposed, self.problem = [], str(error)
            if exposed is not None:
                self.exposed += exposed
                self.hooks |= {arcname, finder}

    def _folders(self, arcname: str, lines: list[str]) -> None:
        for line in lines:
            path = Path(os.path.normpath(self.prefix / self.site / line))
            own = path.is_relative_to(self.prefix / self.site)
            # A declared source may be inside the environment, in pip's `src`.
            if _is_foreign(self.prefix, self.site, line) or (self.declared and not own):
                self.exposed.append(Exposed(name="", path=path))
                self.hooks.add(arcname)
                self.lines.add(line)

    def _link(self, arcname: str) -> None:
        path = self.prefix / arcname
        if self.declared and os.path.islink(path):
            real = Path(os.path.realpath(path))
            if real.is_relative_to(os.path.realpath(self.declared)):
                self.exposed.append(Exposed(name=posixpath.basename(arcname), path=real))
                self.hooks.add(arcname)


def _ending(folder: Path, suffix: str) -> list[Path]:
    """Return the paths in a folder that have a suffix, in order; none if it cannot be listed."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        if is_failure(error):
            raise
        return []
    return [folder / name for name in sorted(names) if name.endswith(suffix)]


def _declared_source(direct_url: str | None) -> str | None:
    try:
        facts: Any = parse_json(direct_url or "{}")
        if not facts.get("dir_info", {}).get("editable", False):
            return None
        url = str(facts["url"])
        source = unquote(urlsplit(url).path) if url.startswith("file:") else url
    except (ValueError, AttributeError, KeyError):
        return None
    return None if "\0" in source else source


def _project_of(exposed: tuple[Exposed, ...]) -> Path | None:
    """Return the nearest folder, from the exposed path upwards, that looks like a project's."""
    if not exposed:
        return None
    first = exposed[0].path
    for folder in (first, *first.parents):
        if any(os.path.isfile(folder / name) for name in PROJECT_FILES):
            return folder
    return first


def _linked_folder(egg_link: Path) -> Path | None:
    lines = path_lines(_text(egg_link))
    return Path(os.path.normpath(lines[0].strip())) if lines else None


def _names(egg_link: Path, metadata: Path) -> bool:
    stems = (re.sub(r"[-_.]+", "-", path.stem).lower() for path in (egg_link, metadata))
    return len(set(stems)) == 1


def _is_foreign(prefix: Path, site: str, line: str) -> bool:
    real = Path(os.path.realpath(prefix / site / line))
    return not real.is_relative_to(prefix)


def _text(path: Path) -> str:
    """Return a file's text; empty if it cannot be read, which the scan reports."""
    try:
        return read_text(path) or ""
    except OSError as error:
        if is_failure(error):
            raise
        return ""


MODULE_SUFFIXES: Final = (".py", ".so", ".pyd")


class UnknownFinderError(Exception):
    """A finder does not say what it redirects, or what it needs is missing; the text says which."""


_FINDER_LIMIT: Final = 1 << 20  # bytes
# What `ast` raises for text that is not Python, or is nested more deeply than its stack allows.
_NO_LITERAL: Final = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def read_finder(module: Path) -> list[Exposed] | None:
    """Return what a module redirects; `None` if it is none of the known finders.

    Raises:
        UnknownFinderError: it is one, but what it needs cannot be read.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # the compiler's, about others' code
            tree = ast.parse(read_file(module, _FINDER_LIMIT))
    except (OSError, *_NO_LITERAL):
        return None
    found: list[Exposed] = []
    known = False
    for reader in (_setuptools, _editables, _scikit_build, _meson):
        try:
            part = reader(tree)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            message = f"the import finder {module} does not have the expected structure"
            raise UnknownFinderError(message) from error
        if part is not None:
            known = True
            found += part
    return found if known else None


def _setuptools(tree: ast.Module) -> list[Exposed] | None:
    """Read `MAPPING` and `NAMESPACES` of `__editable___NAME_finder.py`."""
    values: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                values[name] = _literal(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                values[name] = _literal(value)
    mapping, namespaces = values.get("MAPPING"), values.get("NAMESPACES", {})
    if not isinstance(mapping, dict) or not isinstance(namespaces, dict):
        return None
    found = [each for name, path in mapping.items() for each in _package_or_module(name, path)]
    for name, paths in namespaces.items():
        found += [Exposed(name=_folder(name), path=_path(path)) for path in paths]
    return found


def _path(path: Any) -> Path:
    """Return a path that a finder names.

    Raises:
        ValueError, TypeError: it is not a path.
    """
    if "\0" in path:
        message = "a path contains a NUL"
        raise ValueError(message)
    return Path(path)


def _package_or_module(name: str, path: str) -> Iterator[Exposed]:
    """Yield what a path without a suffix refers to: a package's folder or a module's files."""
    folder, stem = os.path.split(path)
    if os.path.isdir(path):
        yield Exposed(name=_folder(name), path=_path(path))
        return
    above = posixpath.dirname(_folder(name))
    candidates = os.listdir(folder) if os.path.isdir(folder) else []
    modules = [
        each for each in candidates if each.split(".")[0] == stem and each.endswith(MODULE_SUFFIXES)
    ]
    if not modules:
        raise UnknownFinderError(f"{path} does not exist")
    for module in sorted(modules):
        yield Exposed(name=posixpath.join(above, module), path=_path(folder) / module)


def _editables(tree: ast.Module) -> list[Exposed] | None:
    """Read the calls of `map_module` in `_editable_impl_NAME.py`."""
    calls = [
        [_literal(argument) for argument in call.args]
        for call in _calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "map_module"
    ]
    return [_module(name, path) for name, path in calls] if calls else None


def _scikit_build(tree: ast.Module) -> list[Exposed] | None:
    """Read the call of `install` with its mappings of modules to files and packages to folders.

    Built files are in site-packages, with relative paths, unless the build folder is kept.
    """
    for call in _calls(tree):
        if not isinstance(call.func, ast.Name):
            continue
        arguments = [_literal(argument) for argument in call.args]
        if call.func.id == "install_inplace":
            return []  # its search paths are lines of the `.pth` file too
        if call.func.id == "install" and [type(each) for each in arguments[:2]] == [dict, dict]:
            files = {**arguments[0], **arguments[1]}
            folders = arguments[2] if isinstance(arguments[2], dict) else {}
            return [
                *(_module(name, path) for name, path in files.items() if os.path.isabs(path)),
                *(
                    Exposed(name=_folder(name), path=_path(path))
                    for name, paths in folders.items()
                    for path in paths
                    if os.path.isabs(path)
                ),
            ]
    return None


def _meson(tree: ast.Module) -> list[Exposed] | None:
    """Read meson's install plan in the build folder that `_NAME_editable_loader.py` names."""
    for call in _calls(tree):
        if isinstance(call.func, ast.Name) and call.func.id in ("install", "MesonpyMetaFinder"):
            arguments = [_literal(argument) for argument in call.args]
            for names, path in itertools.pairwise(arguments):
                if isinstance(names, set) and isinstance(path, str):
                    return list(_install_plan(Path(path)))
    return None


def _install_plan(build: Path) -> Iterator[Exposed]:
    path = build / "meson-info" / "intro-install_plan.json"
    try:
        plan: Mapping[str, Mapping[str, Any]] = read_json(path)
    except (OSError, ValueError):
        raise UnknownFinderError(f"its build folder {build} contains no install plan") from None
    for kind, targets in plan.items():
        for source, target in targets.items():
            root, _, name = target["destination"].partition("/")
            if root not in ("{py_platlib}", "{py_purelib}"):
                continue
            if kind == "install_subdirs" or os.path.isdir(source):
                yield from _subfolder(Path(source), name, target)
            elif os.path.exists(source):
                yield Exposed(name=name, path=_path(source))
            else:
                raise UnknownFinderError(f"{source} has not been built")


def _subfolder(source: Path, name: str, target: Mapping[str, Any]) -> Iterator[Exposed]:
    left_out = {os.path.normpath(each) for each in target.get("exclude_files", [])}
    pruned = {os.path.normpath(each) for each in target.get("exclude_dirs", [])}
    for folder, folders, files in walk(source):
        below = os.path.relpath(folder, source)
        folders[:] = sorted(
            each for each in folders if os.path.normpath(f"{below}/{each}") not in pruned
        )
        for each in sorted(files):
            relative = os.path.normpath(f"{below}/{each}")
            if relative not in left_out:
                yield Exposed(name=f"{name}/{relative}", path=source / relative)


def _module(name: str, path: str) -> Exposed:
    """Expose a module's file, or the folder of a package if the file is its `__init__`."""
    folder, file = os.path.split(path)
    if file.startswith("__init__."):
        return Exposed(name=_folder(name), path=_path(folder))
    return Exposed(name=posixpath.join(posixpath.dirname(_folder(name)), file), path=_path(path))


def _folder(name: str) -> str:
    return name.replace(".", "/")


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except _NO_LITERAL:
        return None
