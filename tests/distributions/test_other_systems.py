"""Systems on which no bundle for glibc can start: users see only the launcher's sentence.

They are made from Debian's packages: one with musl's loader, like Alpine; two with glibc below
`/nix`, like NixOS, without a loader where programs expect one or with one that always refuses.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.environments import shared
from support.machine import needs
from support.packed_in_roots import APP, SOURCES, Packed, no_lines_of_the_loader
from support.roots import BARE, fetch, run_in_root, unpack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("roots", "gcc"), pytest.mark.distributions, pytest.mark.slow]

LOADER = "/lib64/ld-linux-x86-64.so.2"


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the roots."""

    def make(folder: Path) -> None:
        alpine = fetch(folder / "alpine.apt", "bookworm", ["musl", "busybox-static"])
        of_musl = [each for each in alpine if each.name.split("_")[0] in ("musl", "busybox-static")]
        unpack(of_musl, folder / "musl")
        bare = fetch(folder / "nix.apt", "bookworm", BARE)
        of_glibc = [each for each in bare if each.name.split("_")[0] in BARE]
        for name in ("glibc elsewhere", "a loader that says no"):
            root = unpack(of_glibc, folder / name)
            (root / LOADER.lstrip("/")).unlink()
            (root / "nix/store").mkdir(parents=True)
            (root / "usr/lib/x86_64-linux-gnu").rename(root / "nix/store/glibc")
        # A static program in place of the loader, as on NixOS.
        shutil.copy(root / "bin/busybox", root / LOADER.lstrip("/"))
        for name in ("alpine.apt", "nix.apt"):
            shutil.rmtree(folder / name)

    folder = shared(tmp_path_factory, "other-systems", make)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["musl", "glibc elsewhere", "a loader that says no"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_launcher_says_what_the_system_lacks(
    packed: dict[tuple[str, str], Packed], systems: dict[str, Path], source: str, name: str
) -> None:
    """Launchers and activation say it in one sentence, without a line of the kernel or a loader."""
    bundle, root = packed[source, "bundled"], systems[name]
    seen = {bundle.folder: APP}
    needed = "glibc " + ".".join(map(str, bundle.floor)) + " or later"
    done = run_in_root(root, [f"{APP}/bin/demo"], seen=seen)
    no_lines_of_the_loader(done)
    assert (done.returncode, done.stdout) == (127, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"demo: needs {needed} (")
    stub = name == "a loader that says no"
    end = "an older or another one" if stub else f"no {LOADER}, its loader"
    assert line.endswith(f"; this system has {end}")
    sourced = run_in_root(root, ["/bin/sh", "-c", f". {APP}/bin/activate"], seen=seen)
    assert f"does not start on this system: it needs {needed}\n" in sourced.stderr
