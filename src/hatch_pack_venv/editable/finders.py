"""The modules that build backends write to make a source tree importable, read and never run.

setuptools, meson-python, scikit-build-core and the `editables` library (hatchling, pdm-backend)
each write a module that a `.pth` file imports; what it redirects stands in it as literals. Read off
setuptools 79 and 84, meson-python 0.14 and 0.22, scikit-build-core 0.8 and 1.1, editables 0.6.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODULE_SUFFIXES: Final = (".py", ".so", ".pyd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """A file or folder of a source tree that an editable install makes importable.

    Parameters:
        name: its path below site-packages; empty for a folder of `sys.path`, of which counts what
            is importable.
    """

    name: str
    path: Path


class UnknownFinderError(Exception):
    """A finder says nothing of what it redirects, or what it needs is not there: its text."""


def read_finder(module: Path) -> list[Exposed] | None:
    """Return what a module redirects; `None` if it is none of the known finders.

    Raises:
        UnknownFinderError: it is one, but what it needs cannot be read.
    """
    try:
        tree = ast.parse(module.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    found: list[Exposed] = []
    known = False
    for reader in (_setuptools, _editables, _scikit_build, _meson):
        part = reader(tree)
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
        found += [Exposed(name=_folder(name), path=Path(path)) for path in paths]
    return found


def _package_or_module(name: str, path: str) -> Iterator[Exposed]:
    """Find what a path without a suffix stands for: a folder, or a module beside it."""
    folder, stem = os.path.split(path)
    if os.path.isdir(path):
        yield Exposed(name=_folder(name), path=Path(path))
        return
    above = posixpath.dirname(_folder(name))
    candidates = os.listdir(folder) if os.path.isdir(folder) else []
    modules = [
        each for each in candidates if each.split(".")[0] == stem and each.endswith(MODULE_SUFFIXES)
    ]
    if not modules:
        raise UnknownFinderError(f"{path} does not exist")
    for module in sorted(modules):
        yield Exposed(name=posixpath.join(above, module), path=Path(folder, module))


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

    What was built lies in site-packages, relative to the module, unless the build folder is kept.
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
                    Exposed(name=_folder(name), path=Path(path))
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
        plan: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UnknownFinderError(f"its build folder {build} holds no install plan") from None
    for kind, targets in plan.items():
        for source, target in targets.items():
            root, _, name = target["destination"].partition("/")
            if root not in ("{py_platlib}", "{py_purelib}"):
                continue
            if kind == "install_subdirs" or os.path.isdir(source):
                yield from _subfolder(Path(source), name, target)
            elif os.path.exists(source):
                yield Exposed(name=name, path=Path(source))
            else:
                raise UnknownFinderError(f"{source} is not built")


def _subfolder(source: Path, name: str, target: Mapping[str, Any]) -> Iterator[Exposed]:
    left_out = {os.path.normpath(each) for each in target.get("exclude_files", [])}
    pruned = {os.path.normpath(each) for each in target.get("exclude_dirs", [])}
    for folder, folders, files in os.walk(source):
        below = os.path.relpath(folder, source)
        folders[:] = sorted(
            each for each in folders if os.path.normpath(f"{below}/{each}") not in pruned
        )
        for each in sorted(files):
            relative = os.path.normpath(f"{below}/{each}")
            if relative not in left_out:
                yield Exposed(name=f"{name}/{relative}", path=source / relative)


def _module(name: str, path: str) -> Exposed:
    """Expose a module's file; of a package, which its `__init__` stands for, the folder."""
    folder, file = os.path.split(path)
    if file.startswith("__init__."):
        return Exposed(name=_folder(name), path=Path(folder))
    return Exposed(name=posixpath.join(posixpath.dirname(_folder(name)), file), path=Path(path))


def _folder(name: str) -> str:
    return name.replace(".", "/")


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
