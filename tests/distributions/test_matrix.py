"""Environments of each distribution's own Python, packed there and run on all others."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.machine import needs
from support.packed_in_roots import APP, SOURCES, Packed, no_lines_of_the_loader
from support.roots import SUITES, glibc_of, run_in_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs("roots", "gcc"), pytest.mark.distributions, pytest.mark.slow]


def places() -> Iterator[str]:
    """Yield the names of all roots."""
    for suite in SUITES:
        yield from (suite, f"{suite}, bare")


@pytest.mark.parametrize("there", list(places()))
@pytest.mark.parametrize("source", SOURCES)
def test_a_bundle_runs_or_says_why_not(
    packed: dict[tuple[str, str], Packed], roots: dict[str, Path], source: str, there: str
) -> None:
    """Everything runs where glibc is new enough; elsewhere one sentence says what is needed."""
    bundle, root = packed[source, "bundled"], roots[there]
    seen = {bundle.folder: APP}
    has = glibc_of(root)
    done = run_in_root(root, [f"{APP}/bin/demo"], seen=seen)
    no_lines_of_the_loader(done)
    check = [f"{APP}/bin/python", f"{APP}/postinstall.py", "--check"]
    if has >= bundle.floor:
        assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
        checked = run_in_root(root, check, seen=seen)
        assert (checked.returncode, checked.stderr) == (0, "")
        return
    needed = ".".join(map(str, bundle.floor))
    assert done.returncode in (1, 127)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"demo: needs glibc {needed} or later ("), line
    own = "an older or another one" if has < (2, 33) and "bare" in there else None
    assert line.endswith(own or "; this system has " + ".".join(map(str, has))), line
    if run_in_root(root, [f"{APP}/bin/python", "-ISc", ""], seen=seen).returncode != 0:
        sourced = run_in_root(root, ["/bin/sh", "-c", f". {APP}/bin/activate"], seen=seen)
        assert (
            f"does not start on this system: it needs glibc {needed} or later\n" in sourced.stderr
        )
    if "bare" not in there:
        checked = run_in_root(root, ["/usr/bin/python3", *check[1:]], seen=seen)
        no_lines_of_the_loader(checked)
        assert checked.returncode == 1
        assert f"The archive needs glibc {needed} or later" in checked.stderr


@pytest.mark.parametrize("there", SOURCES)
@pytest.mark.parametrize("source", SOURCES)
def test_an_archive_for_the_targets_python_connects_or_says_why_not(
    packed: dict[tuple[str, str], Packed], roots: dict[str, Path], source: str, there: str
) -> None:
    """The same minor version runs everything; another is refused, naming the version needed."""
    archive = packed[source, "target"]
    suite, python = SOURCES[there]
    root = roots[suite]
    place = f"/root/of {source}, by {python}"
    shutil.copytree(archive.folder, root / place.lstrip("/"), symlinks=True)
    script = f"{place}/postinstall.py"
    connected = run_in_root(root, [f"/usr/bin/{python}", script, "--no-compile"])
    no_lines_of_the_loader(connected)
    if packed[there, "target"].minor != archive.minor:
        assert connected.returncode == 1
        assert f"The archive needs Python {archive.minor}, but " in connected.stderr
        return
    assert (connected.returncode, connected.stderr) == (0, "")
    done = run_in_root(root, [f"{place}/bin/demo"])
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
    checked = run_in_root(root, [f"{place}/bin/python", script, "--check"])
    assert (checked.returncode, checked.stderr) == (0, "")
