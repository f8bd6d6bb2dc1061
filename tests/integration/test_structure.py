"""The shape of the code, and its lint, format and types."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hatch_pack_venv

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "hatch_pack_venv"

# Each layer may import those before it and its own; design: README, "Design".
LAYERS = [
    {"errors", "entries", "injected", "signals"},
    {
        "scripts.activation",
        "formats",
        "links",
        "scripts.launchers",
        "scripts.bodies",
        "metadata",
        "normalise",
        "interpreter",
        "releasing.occasions",
        "binaries.elf",
        "binaries.patching",
        "replacing",
        "spellings",
        "editable.finders",
        "scripts.data_files",
        "binaries.dynamic_section",
        "bytecode_worker",
        "bundling.stripping",
        "bundling.trim",
        "bundling.vendoring",
        "bundling.owners",
        "bundling.tcl",
        "archived.members",
        "command.arguments",
        "releasing.hatch_environments",
        "releasing.reservations",
        "configuration.presets",
        "archived.file_kinds",
        "old_metadata",
        "binaries.wants",
        "binaries.seldom",
        "binaries.launcher_checks",
        "macos.macho",
        "macos.names",
        "macos.floors",
        "macos.findings",
        "binaries.headers",
        "binaries.floors",
        "names",
        "windows.names",
        "windows.path_budget",
        "windows.pe",
        "windows.home",
        "windows.floors",
        "windows.distlib_launchers",
        "windows.uv_trampolines",
        "windows.launchers",
        "windows.environment",
        "windows.rules",
    },
    {
        "conversion",
        "records",
        "copies",
        "editable.installs",
        "bundling.loader",
        "bundling.relinking",
        "bundling.standard_library",
    },
    {"distributions", "bundling.libraries", "sizes"},
    {"required.origins"},
    {"macos.environment"},
    {"systems"},
    {
        "environment",
        "manifest",
        "output",
        "archived.reading",
        "archived.tar_reading",
        "configuration.values",
    },
    {"places", "releasing.cleaning"},
    {"layers.neighbours", "layers.archives"},
    {
        "selection",
        "wheels",
        "bundling.runtime",
        "bundling.system_packages",
        "required.requirements",
        "required.closure",
        "required.checking",
        "required.lock",
        "editable.sources",
        "binaries.search_paths",
        "layers.dynlib",
        "leaks",
        "promise",
    },
    {"editable.copies", "required.behind", "folders", "recipe", "relocation"},
    {"required.needs"},
    {"sinks.pool", "sinks.blocks", "sinks.deflate", "sinks.zip_records", "sinks.tar_headers"},
    {"sinks.xz", "sinks.hashed", "content"},
    {"sinks.compressors"},
    {"macos.plan"},
    {
        "plan",
        "bundling.bundle",
        "macos.runtime",
        "windows.runtime",
        "sinks",
        "sinks.tar",
        "sinks.zip",
        "sinks.directory",
    },
    {"writing", "windows.plan"},
    {"archives", "command.progress", "bytecode", "archived.listing", "command.preview"},
    {"releasing.uploads"},
    {"configuration.keys", "configuration.rules"},
    {"options", "planning", "seed", "archived.contents"},
    {"packing"},
    {"archived.connection", "releasing.releases"},
    {"archived.verify", "archived.inspection"},
    {"command.display", "command.display_preview"},
    {"__init__"},
    {"hooks", "cli"},
    {"__main__"},
]
LAYER_OF = {module: number for number, layer in enumerate(LAYERS) for module in layer}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.startswith("injected."):
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    # Of most folders `__init__.py` holds only what they are for.
    return {name: tree for name, tree in found.items() if len(tree.body) > 1}


def own_imports(name: str, tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports at run time."""
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in typing_only:
            depth = name.count(".") + (1 if (PACKAGE / name).is_dir() else 0)
            assert node.level <= depth + 1
            inside = ".".join([*name.split(".")[: depth - node.level + 1], node.module or ""])
            module = inside.strip(".")
            for alias in node.names:
                name_below = f"{module}.{alias.name}".lstrip(".")
                found.add(name_below if name_below in LAYER_OF else module or "__init__")
    return found


def test_every_module_has_its_layer() -> None:
    """A new module is put into the picture."""
    assert set(modules()) <= LAYER_OF.keys()


def test_imports_go_one_way() -> None:
    """No module imports one of a later layer when it runs."""
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules().items()
        for imported in own_imports(name, tree)
        if LAYER_OF[imported] > LAYER_OF[name]
    ]
    assert wrong == []


def test_only_the_hooks_import_hatchling() -> None:
    """The core does not know its front end."""
    users = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hatchling"))
        or (isinstance(node, ast.Import) and node.names[0].name.startswith("hatchling"))
    }
    assert users == {"hooks"}


def test_only_the_command_prints_or_exits() -> None:
    """`print` and `sys.exit` stand in one module."""
    users = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit")
    }
    assert users <= {"cli"}


def test_the_public_names_are_sorted_and_there() -> None:
    """`__all__` lists what the documentation promises."""
    assert hatch_pack_venv.__all__ == sorted(hatch_pack_venv.__all__)
    for name in hatch_pack_venv.__all__:
        assert hasattr(hatch_pack_venv, name)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=["lint", "format", "types"],
)
def test_the_code_is_clean(command: list[str]) -> None:
    """Lint, format check and strict typing find nothing."""
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_most_runs_can_do_without_is_not_imported() -> None:
    """A command starts in half the time without what reads interpreters, wheels and archives."""
    program = "import sys, hatch_pack_venv.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"elftools", "installer", "pathspec", "tqdm"}
    assert "hatch_pack_venv.read.verify" not in done.stdout.split()
