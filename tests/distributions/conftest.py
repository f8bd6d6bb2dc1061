"""Roots of the releases, and the environments packed in them."""

from __future__ import annotations

import shutil
import sysconfig
from typing import TYPE_CHECKING

import pytest
from support.environments import run, shared
from support.packed_in_roots import NATIVE, SOURCES, Packed, facts_of, make_environment
from support.roots import BARE, SUITES, WITH_PYTHON, fetch, pack_in_root, unpack

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a root of each suite, and one with nothing but its glibc and busybox."""

    def make(folder: Path) -> None:
        for suite in SUITES:
            pythons = [f"{python}-venv" for of, python in SOURCES.values() if of == suite]
            packages = fetch(folder / f"{suite}.apt", suite, [*WITH_PYTHON, *pythons])
            bare = [each for each in packages if each.name.split("_")[0] in BARE]
            unpack(packages, folder / suite)
            unpack(bare, folder / f"{suite}, bare")
            shutil.rmtree(folder / f"{suite}.apt")

    folder = shared(tmp_path_factory, "roots", make)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile a module for every CPython since 3.9."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "native.c").write_text(NATIVE)
    include = sysconfig.get_path("include")
    flags = ["-shared", "-fPIC", f"-I{include}"]
    run("gcc", *flags, folder / "native.c", "-o", folder / "_native.abi3.so")
    return folder / "_native.abi3.so"


@pytest.fixture(scope="session")
def packed(
    roots: dict[str, Path], native: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Packed]:
    """Pack an environment of each Python, on its own release, in both modes."""

    def make(folder: Path) -> None:
        for name, (suite, python) in SOURCES.items():
            environment = make_environment(roots[suite], python, native)
            for mode in ("bundled", "target"):
                target = f"/host{folder}/{name}, {mode}"
                arguments = ("export", environment, target, "--interpreter", mode)
                done = pack_in_root(roots[suite], *arguments)
                assert done.returncode == 0, (name, mode, done.stderr)

    folder = shared(tmp_path_factory, "packed-in-roots", make)
    names = [(name, mode) for name in SOURCES for mode in ("bundled", "target")]
    return {name: facts_of(folder / ", ".join(name)) for name in names}
