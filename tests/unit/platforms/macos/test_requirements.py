"""The macOS version and architecture that packed files need."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.binaries import fat, module
from support.fakes import INTERPRETER, SITE, environment, file, plan, recipe

from hatch_pack_venv.platforms.macos.requirements import MacosFileRequirements, MacosRequirements

if TYPE_CHECKING:
    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.plan import PackPlan


APPLE = replace(
    INTERPRETER, system="darwin", machine="arm64", platform="macosx-14.0-arm64", library=None
)


MAC = environment(interpreter=APPLE)


def plan_for_mac(*entries: ScannedEntry, **changes: Any) -> PackPlan:
    floors = MacosFileRequirements.of_macos(entries)
    return plan(*entries, environment=MAC, recipe=recipe(floors=floors, **changes))


def needs_of(**files: bytes) -> MacosRequirements:
    entries = [file(f"{SITE}/{name}.so", content) for name, content in files.items()]
    return MacosFileRequirements.of_macos(entries).of(entries)


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
    """For the processors that all files have in common; arm64's first release says nothing."""
    needs = needs_of(**files)
    facts = needs.facts("macosx_14_0_arm64")
    assert facts["tag"] == f"macosx_{tag}"
    assert facts.get("macos", {}).get("version") == told


def test_the_plan_tells_the_floor_and_its_file() -> None:
    """Tag, machine, the manifest's platform and the sentence for the user."""
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
    """In one sentence, by the kernel's release; minor releases of 11 and later do not count."""
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
    """Where the bundled interpreter is for that release already, nothing is looked at."""
    entries = [
        file("bin/python3.11", module(minos=(12, 0))),
        file(f"{SITE}/x.so", module(minos=(12, 0))),
    ]
    assert MacosFileRequirements.of_macos(entries).of(entries).check() == ""
