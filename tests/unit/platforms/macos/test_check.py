"""The rules for macOS, on entries and trees made by hand."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.binaries import fat, module
from support.fakes import INTERPRETER, SITE, environment, file, inputs, names, plan

from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.model.build_paths import BASE, ENVIRONMENT, BuildPath
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.platforms.macos.check import FINDER_FILES, name_problems
from hatch_pack_venv.platforms.macos.requirements import MacosFileRequirements, MacosRequirements

if TYPE_CHECKING:
    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.plan import PackPlan

APPLE = replace(
    INTERPRETER, system="darwin", machine="arm64", platform="macosx-14.0-arm64", library=None
)
MAC = environment(interpreter=APPLE)


def plan_for_mac(*entries: ScannedEntry, **changes: Any) -> PackPlan:
    floors = MacosFileRequirements.read(entries, HeaderReader())
    return plan(*entries, environment=MAC, inputs=inputs(floors=floors, **changes))


def needs_of(**files: bytes) -> MacosRequirements:
    entries = [file(f"{SITE}/{name}.so", content) for name, content in files.items()]
    return MacosFileRequirements.read(entries, HeaderReader()).of(entries)


def both(intel: tuple[int, ...], apple: tuple[int, ...]) -> bytes:
    return fat(
        ("x86_64", module(minos=intel, architecture="x86_64")), ("arm64", module(minos=apple))
    )


@pytest.mark.parametrize(
    ("files", "tag", "told"),
    [
        ({"a": module(minos=(11, 0)), "b": module(minos=(12, 3))}, "12_0_arm64", "12.3"),
        ({"a": both((10, 9), (11, 0)), "b": module(minos=(13, 0))}, "13_0_arm64", "13.0"),
        ({"a": both((10, 9), (11, 0)), "b": both((10, 13), (11, 0))}, "10_13_universal2", "10.13"),
        ({"a": both((10, 9), (12, 0))}, "12_0_universal2", "12.0"),
        ({"a": module(minos=(10, 14), architecture="x86_64")}, "10_14_x86_64", "10.14"),
        ({"a": b"\xcf\xfa\xed\xfe damaged"}, "14_0_arm64", None),
    ],
)
def test_the_floor_is_the_highest_and_gives_the_tag(
    files: dict[str, bytes], tag: str, told: str | None
) -> None:
    """It covers the processors common to all files; arm64's first release does not count."""
    needs = needs_of(**files)
    facts = needs.facts("macosx_14_0_arm64")
    assert facts["tag"] == f"macosx_{tag}"
    assert facts.get("macos", {}).get("version") == told


def test_the_plan_tells_the_floor_and_its_file() -> None:
    """The manifest's platform and the sentence for the user give the floor and its file."""
    packed = plan_for_mac(file(f"{SITE}/pkg/x.so", module(minos=(12, 3))))
    assert packed.head["platform"] == {
        "system": "darwin",
        "machine": "arm64",
        "tag": "macosx_12_0_arm64",
        "macos": {"version": "12.3", "file": f"{SITE}/pkg/x.so"},
    }
    assert packed.needs == ("macOS 12.3 or later (pkg/x.so)",)


@pytest.mark.parametrize(
    ("darwin", "has"), [("19.6.0", "10.15"), ("20.6.0", "11"), ("21.0.0", None), ("25.0.0", None)]
)
def test_a_launcher_ends_on_a_mac_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, darwin: str, has: str | None
) -> None:
    """The error is one sentence, by the kernel's release; minor releases since 11 do not count."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=darwin, sysname="Darwin"))
    text = needs_of(x=module(minos=(12, 3))).check()
    script = {"sys": sys, "__file__": "/app/bin/hello"}
    if has is None:
        exec(text, script)  # noqa: S102 - this is what a launcher does
        return
    with pytest.raises(SystemExit) as ended:
        exec(text, script)  # noqa: S102
    assert ended.value.code == f"hello: needs macOS 12.3 or later (x.so); this system has {has}"


def test_a_launcher_of_an_interpreter_that_needs_as_much_asks_nothing() -> None:
    """There is no check if the bundled interpreter already requires that release."""
    entries = [
        file("bin/python3.11", module(minos=(12, 0))),
        file(f"{SITE}/x.so", module(minos=(12, 0))),
    ]
    assert MacosFileRequirements.read(entries, HeaderReader()).of(entries).check() == ""


def test_what_the_finder_leaves_stays_out() -> None:
    """.DS_Store and AppleDouble files are left out on macOS unless `include-files` names them."""
    junk = [f"{SITE}/.DS_Store", f"{SITE}/pkg/._x.py", "._bin"]
    entries = [file(f"{SITE}/pkg/x.py"), *map(file, junk)]
    assert all(map(FINDER_FILES.fullmatch, junk))
    assert not set(junk) & set(names(plan_for_mac(*entries).entries))
    kept = plan_for_mac(*entries, selection=Selection(include=("._x.py",)))
    assert set(junk) & set(names(kept.entries)) == {f"{SITE}/pkg/._x.py"}
    assert set(junk) <= set(names(plan(*entries).entries))


def test_names_that_macos_takes_for_one_are_refused_together() -> None:
    """Names may differ in case or in how letters are composed; all groups are reported."""
    entries = [file(f"{SITE}/{name}") for name in ("README", "readme", "a\u0308.py", "\u00e4.py")]
    with pytest.raises(PlanError) as error:
        plan_for_mac(*entries)
    assert len(error.value.problems) == 2
    assert f"{SITE}/README and {SITE}/readme are the same name on macOS" in error.value.problems[0]
    plan(*entries)


def test_of_folders_that_collide_only_they_and_what_collides_in_them_are_told() -> None:
    """`Pkg/a` and `pkg/b` are one folder with two files."""
    told = name_problems(["Pkg", "Pkg/a", "pkg", "pkg/b"])
    assert [sentence.split(" are ")[0] for sentence in told] == ["Pkg and pkg"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (module("/build/env/lib/libx.dylib"), "loads /build/env/lib/libx.dylib, a path on this"),
        (module("@loader_path/.dylibs/gone.dylib"), "pkg/.dylibs/gone.dylib, which is not packed"),
    ],
)
def test_what_no_other_mac_can_load_is_refused(content: bytes, problem: str) -> None:
    """It is a path on the build machine, or a library next to the module that is not packed."""
    build_paths = (BuildPath(kind=ENVIRONMENT, path=b"/build/env"),)
    with pytest.raises(PlanError, match=problem):
        plan_for_mac(file(f"{SITE}/pkg/x.so", content), build_paths=build_paths)


def test_the_base_interpreters_library_is_told_where_the_target_may_have_it() -> None:
    """A framework is at the same path on every Mac that has it."""
    load = "/Library/Frameworks/Python.framework/Versions/3.11/Python"
    place = BuildPath(kind=BASE, path=b"/Library/Frameworks/Python.framework/Versions/3.11")
    entries = [file(f"{SITE}/x.so", module(load))]
    (note,) = plan_for_mac(*entries, build_paths=(place,)).notes
    assert note == f"{SITE}/x.so loads {load}, which the target must have"
    with pytest.raises(PlanError, match="a path on this machine"):
        plan_for_mac(*entries, build_paths=(place,), interpreter="bundled")


def test_files_that_no_mac_can_load_together_are_refused() -> None:
    """One for each processor: both are named."""
    with pytest.raises(PlanError, match=r"arm64: \S*/a.so, x86_64: \S*/b.so"):
        plan_for_mac(
            file(f"{SITE}/a.so", module()), file(f"{SITE}/b.so", module(architecture="x86_64"))
        )


def test_what_the_target_has_to_have_is_told() -> None:
    """Absolute library and search paths are noted; macOS's own and relative ones are fine."""
    entries = [
        file(
            f"{SITE}/pkg/x.so",
            module(
                "/opt/homebrew/lib/libx.dylib",
                "@rpath/y.dylib",
                rpaths=["/opt/lib", "@loader_path"],
            ),
        ),
        file(f"{SITE}/pkg/z.so", module("@loader_path/x.so", "/System/Library/Frameworks/F")),
    ]
    assert plan_for_mac(*entries).notes == (
        f"{SITE}/pkg/x.so loads /opt/homebrew/lib/libx.dylib, which the target must have",
        f"{SITE}/pkg/x.so searches /opt/lib for libraries (LC_RPATH), on the target as well",
    )


def test_a_file_without_a_signature_is_told_with_the_command_that_signs() -> None:
    """Macs with Apple silicon require one; Macs with Intel processors do not."""
    intel = module(architecture="x86_64", signed=False)
    entries = [
        file(f"{SITE}/a.so", fat(("x86_64", intel), ("arm64", module(signed=False)))),
        file(f"{SITE}/b.so", fat(("x86_64", intel), ("arm64", module()))),
    ]
    (note,) = plan_for_mac(*entries).notes
    assert f" refuse to load {SITE}/a.so without a signature: " in note
    assert note.endswith("codesign --force --sign - FILE")
