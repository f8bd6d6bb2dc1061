"""Which compiled libraries are bundled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.binaries import compile_library, rpath, runpath
from support.fakes import SITE, distribution, environment
from support.machine import needs

from hatch_pack_venv.binary.elf import ElfFile
from hatch_pack_venv.platforms.linux.bundle import describe_drivers, describe_missing
from hatch_pack_venv.platforms.linux.libraries import (
    Libraries,
    Loader,
    collect_libraries,
    libraries_of_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = needs("gcc")


def collect(tmp_path: Path, *needed: Path, asked_for: tuple[str, ...] = ()) -> Libraries:
    """Collect the libraries that a packed module needs."""
    flags = ["-Wl,--no-as-needed", *map(str, needed)]
    module = compile_library(tmp_path / "env/lib/module.so", *flags)
    file = ElfFile.from_path(module)
    assert file is not None
    folders = [str(tmp_path / "system"), str(tmp_path / "env/own"), "/lib64"]
    return collect_libraries(
        [("lib/module.so", file)],
        above=[],
        prefix=tmp_path / "env",
        asked_for=asked_for,
        loader=Loader(cache=tmp_path / "none", folders=folders),
    )


def paths(libraries: Libraries) -> dict[str, Path]:
    return {name: file.path for name, file in libraries.found.items()}


def test_what_is_needed_comes_along_with_what_that_needs(tmp_path: Path) -> None:
    """Dependencies of libraries are found too, each once and under the name that is needed."""
    inner = compile_library(tmp_path / "system/libinner.so.2")
    outer = compile_library(
        tmp_path / "system/libouter.so.1", "-Wl,--no-as-needed", str(inner), "-lm"
    )
    found = paths(collect(tmp_path, outer, inner))
    assert found == {"libinner.so.2": inner, "libouter.so.1": outer}


def test_what_the_environment_holds_is_not_taken_again(tmp_path: Path) -> None:
    """A library that the loader finds in the environment is packed already."""
    own = compile_library(tmp_path / "env/own/libown.so.1")
    assert collect(tmp_path, own).found == {}


@pytest.mark.parametrize(
    ("name", "key"), [("libreadline.so.8", "readline"), ("libgdbm.so.6", "gdbm")]
)
def test_gpl_libraries_come_along_only_if_asked_for(tmp_path: Path, name: str, key: str) -> None:
    """Unless requested, readline and gdbm are left to the target, and their users are recorded."""
    library = compile_library(tmp_path / "system" / name)
    left = collect(tmp_path, library)
    assert left.found == {}
    assert left.left == {name: frozenset({"lib/module.so"})}
    asked = collect(tmp_path, library, asked_for=(key,))
    assert paths(asked) == {name: library}
    assert asked.left == {}


def test_drivers_are_one_note() -> None:
    """One line names all drivers and counts the modules that need them (Qt's plugins need many)."""
    assert [*describe_drivers({})] == []
    users = {"libGL.so.1": {"a/gui.so"}, "libwayland-client.so.0": {"b/shell.so", "a/gui.so"}}
    assert [*describe_drivers(users)] == [
        "libGL.so.1, libwayland-client.so.0 are not packed; the target must have them for a/gui.so"
        " and 1 more (graphics drivers)"
    ]
    (note,) = describe_drivers({"libGL.so.1": {"a/gui.so"}})
    assert note.startswith("libGL.so.1 is not packed; the target must have it for a/gui.so (")


@pytest.mark.parametrize("name", ["libcuda.so.1", "libGL.so.1", "libEGL.so.1", "libnvidia-ml.so.1"])
def test_drivers_are_left_to_the_target(tmp_path: Path, name: str) -> None:
    """What must match the target's graphics card never comes along."""
    left = collect(tmp_path, compile_library(tmp_path / "system" / name))
    assert left.found == {}
    assert list(left.left) == [name]


def test_what_only_the_library_path_finds_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that is only in LD_LIBRARY_PATH is packed; without the variable it is missing."""
    answer = compile_library(tmp_path / "apps/libanswer.so.1")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    missing = collect(tmp_path, answer)
    assert (missing.found, dict(missing.missing)) == (
        {},
        {"libanswer.so.1": frozenset({"lib/module.so"})},
    )
    monkeypatch.setenv("LD_LIBRARY_PATH", f"relative:{tmp_path}/apps")
    found = collect(tmp_path, answer)
    assert (paths(found), dict(found.missing)) == ({"libanswer.so.1": answer}, {})


def test_a_library_that_is_packed_elsewhere_is_not_described_as_missing(tmp_path: Path) -> None:
    """Packages load their own libraries by path before the modules that need them."""
    wheel = compile_library(tmp_path / "other/libwheel.so.1")
    module = compile_library(tmp_path / "env/lib/module.so", "-Wl,--no-as-needed", str(wheel))
    files = [ElfFile.from_path(path) for path in (module, wheel)]
    objects = [("lib/module.so", files[0]), ("pkg.libs/libwheel.so.1", files[1])]
    loader = Loader(cache=tmp_path / "none", folders=["/lib64"], library_path="")
    given = [(name, file) for name, file in objects if file is not None]
    found = collect_libraries(given, above=[], prefix=tmp_path / "env", loader=loader)
    assert dict(found.missing) == {}


@pytest.mark.parametrize("name", ["libdrm-b0291a67.so.2.4.0", "libgbm.so.1"])
def test_a_wheel_s_own_copy_of_a_driver_s_library_is_not_left_to_the_target(
    tmp_path: Path, name: str
) -> None:
    """It is packed and found in the environment, whatever its name."""
    own = compile_library(tmp_path / "env/own" / name)
    assert collect(tmp_path, own).left == {}
    system = compile_library(tmp_path / "system/libdrm.so.2")
    assert list(collect(tmp_path, system).left) == ["libdrm.so.2"]


@pytest.mark.parametrize("flags", [rpath, runpath])
def test_another_library_than_at_home_is_told(
    tmp_path: Path, flags: Callable[[str], tuple[str, str]]
) -> None:
    """A different library in LD_LIBRARY_PATH is recorded: it wins over DT_RUNPATH, not DT_RPATH."""
    system = compile_library(tmp_path / "system/libanswer.so.1")
    other = compile_library(tmp_path / "apps/libanswer.so.1")
    path = flags(str(tmp_path / "system"))
    module = compile_library(tmp_path / "env/m.so", "-Wl,--no-as-needed", str(system), *path)
    file = ElfFile.from_path(module)
    assert file is not None
    loader = Loader(cache=tmp_path / "none", folders=["/lib64"], library_path=str(other.parent))
    found = collect_libraries([("m.so", file)], above=[], prefix=tmp_path / "env", loader=loader)
    assert paths(found) == {"libanswer.so.1": system}
    assert dict(found.others) == ({} if flags is rpath else {"libanswer.so.1": other})
    bare = collect(tmp_path, system)
    assert dict(bare.others) == {}


@pytest.mark.parametrize(
    "name",
    [
        *("libdrm.so.2", "libdrm_intel.so.1", "libgbm.so.1", "libva.so.2", "libva-drm.so.2"),
        *("libwayland-client.so.0", "libwayland-egl.so.1", "libxshmfence.so.1"),
        *("libxcb-dri2.so.0", "libxcb-dri3.so.0", "libxcb-glx.so.0", "libxcb-present.so.0"),
    ],
)
def test_what_drivers_are_linked_with_is_the_target_s(tmp_path: Path, name: str) -> None:
    """They are left to the target like OpenGL: an older copy could keep its driver from loading."""
    assert list(collect(tmp_path, compile_library(tmp_path / "system" / name)).left) == [name]


@pytest.mark.parametrize(
    ("tag", "told"),
    [("cp312-cp312-manylinux_2_17_x86_64", False), ("cp312-cp312-linux_x86_64", True)],
)
def test_what_wheels_from_an_index_lack_is_optional(
    tmp_path: Path, tag: str, *, told: bool
) -> None:
    """Missing libraries are reported for locally built modules, but not for index wheels."""
    wheel = distribution("numba", f"{SITE}/omppool.so")
    (tmp_path / wheel.metadata_dir).mkdir(parents=True)
    (tmp_path / wheel.metadata_dir / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    lacking = Libraries(missing={"libgomp.so.1.0.0": frozenset({f"{SITE}/omppool.so"})})
    notes = [*describe_missing(lacking, environment(wheel, prefix=tmp_path))]
    assert [note.partition(" and is needed by ")[0] for note in notes] == (
        ["libgomp.so.1.0.0 was not found"] if told else []
    )
    assert len([*describe_missing(lacking, environment(prefix=tmp_path))]) == 1


def test_what_the_target_has_to_have(tmp_path: Path) -> None:
    """Libraries that are packed, in a layer, part of glibc or missing here too are not listed."""
    system = compile_library(tmp_path / "system/libsystem.so.1")
    private = compile_library(tmp_path / "opt/libprivate.so.2")
    own = compile_library(tmp_path / "env/own/libown.so.1")
    wheel = compile_library(tmp_path / "env/wheel/libwheel.so.3")
    layer = compile_library(tmp_path / "layer/liblayer.so.1")
    lost = compile_library(tmp_path / "lost/liblost.so.1")
    needed = map(str, (system, private, own, wheel, layer, lost))
    folders = runpath(f"{tmp_path}/opt:$ORIGIN/own:{tmp_path}/layer")
    module = compile_library(tmp_path / "env/m.so", "-Wl,--no-as-needed", *needed, "-lm", *folders)
    lost.unlink()
    objects = [(path.name, ElfFile.from_path(path)) for path in (module, wheel)]
    found = libraries_of_target(
        [(name, file) for name, file in objects if file is not None],
        above=[],
        inside=[tmp_path / "env", tmp_path / "layer"],
        loader=Loader(cache=tmp_path / "none", folders=[str(tmp_path / "system"), "/lib64"]),
    )
    assert found == [
        {"name": "libprivate.so.2", "file": "m.so", "folder": str(tmp_path / "opt")},
        {"name": "libsystem.so.1", "file": "m.so"},
    ]
