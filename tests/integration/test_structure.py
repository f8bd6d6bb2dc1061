"""The shape of the code: its packages, imports and public names; lint, format and types."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from support.environments import tool
from support.projects import ROOT

import hatch_pack_venv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE: Final = ROOT / "src" / "hatch_pack_venv"
NAME: Final = PACKAGE.name

# Modules whose folder is not a layer of its own, and which may use a front end or a terminal.
KNOW_HATCHLING: Final = {f"{NAME}.hooks"}
PRINT: Final = {f"{NAME}.cli.main", f"{NAME}.cli.output"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module's syntax tree by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports, type imports and those in functions included."""
    package = (
        name if (PACKAGE.parent / name.replace(".", "/")).is_dir() else name.rpartition(".")[0]
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parts if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield below if below in modules() else base


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other: strongly connected components."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = [start]
        while todo:
            todo += (new := graph[todo.pop()] - seen)
            seen |= new
        reached[start] = seen
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
        if name in reached[name]
    }
    return sorted(map(sorted, groups))


def test_no_module_imports_itself_through_others() -> None:
    """There are no import cycles, not even through imports for type checking."""
    graph = {
        name: {found for found in imports(name, tree) if found in modules()} - {name, NAME}
        for name, tree in modules().items()
    }
    assert circles({"a": {"b"}, "b": {"a", "c"}, "c": set()}) == [["a", "b"]]
    assert circles(graph) == []


def test_only_the_hatch_classes_import_hatchling() -> None:
    """The core does not know its front end: hatchling is imported by hooks.py and hatch/."""
    users = {
        name
        for name, tree in modules().items()
        for imported in imports(name, tree)
        if imported.partition(".")[0] == "hatchling"
    }
    assert users
    assert {name for name in users if not name.startswith(f"{NAME}.hatch.")} <= KNOW_HATCHLING


def test_only_the_command_prints_or_exits() -> None:
    """`print` and `sys.exit` are called by the command alone; what archives ship is not ours."""
    users = {
        name
        for name, tree in modules().items()
        if not name.startswith(f"{NAME}.injected")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit")
    }
    assert users == PRINT


def test_the_public_names_are_sorted_and_exist() -> None:
    """`__all__` is sorted and lists existing names."""
    assert hatch_pack_venv.__all__ == sorted(hatch_pack_venv.__all__)
    for name in hatch_pack_venv.__all__:
        assert hasattr(hatch_pack_venv, name)


def test_modules_are_few_and_short() -> None:
    """Fewer than 180 files, none over 500 lines but the script that archives ship."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) < 180
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = {str(path.relative_to(PACKAGE)) for path, count in lines.items() if count > 500}
    assert long <= {"injected/postinstall.py"}


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=["lint", "format", "types", "layers"],
)
def test_the_code_is_clean(command: list[str]) -> None:
    """Lint, format check, strict typing and the import contracts of pyproject.toml find nothing."""
    program, *arguments = command
    result = subprocess.run(
        [tool(program), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def loaded_by(statement: str) -> set[str]:
    """Return the modules that are loaded after a statement, by a process of its own."""
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_of_itself() -> None:
    """Importing the package loads none of its modules, as not every build packs."""
    loaded = loaded_by(f"import {NAME}")
    assert {name for name in loaded if name.startswith(f"{NAME}.")} == set()


def test_a_command_starts_without_what_packs() -> None:
    """`pack-venv --help` needs the options and the values, and no third party's code."""
    loaded = loaded_by(f"import {NAME}.cli.main")
    others = {"elftools", "hatchling", "installer", "pathspec", "tqdm", "zlib_ng", "deflate"}
    assert not {name.partition(".")[0] for name in loaded} & others
    floors = {name.split(".")[1] for name in loaded if name.startswith(f"{NAME}.")}
    assert not floors & {"binary", "metadata", "plan", "platforms", "read", "requirements", "scan"}
    assert f"{NAME}.write.sinks" not in loaded
