"""convert_symlinks on real environments, full disks and in processes that are interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import make_environment, run
from support.interpreters import newest_of_each
from support.machine import needs
from support.shells import unmeasured
from support.trees import Scene, links_below

from hatch_pack_venv import convert_symlinks
from hatch_pack_venv.write import atomic as replacing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make an environment with a link of each kind that can be converted."""
    scene = Scene.make(tmp_path)
    scene.link("a-inside", scene.env / "data/f")
    scene.link("b-file", scene.out / "f")
    scene.link("c-tree", scene.out / "d")
    scene.link("d-inside", scene.env / "data/sub")
    return scene


# Prints the error, if there is one.
CONVERT: Final = """
import sys, hatch_pack_venv
try:
    hatch_pack_venv.convert_symlinks(sys.argv[1])
except hatch_pack_venv.PackVenvError as error:
    print(error)
"""


ON_A_FULL_DISK: Final = """
set -eu
mount -t tmpfs -o size=1m none "$1"
cp -a "$2/." "$1"
cd "$1"
find . -printf '%p %y %l\\n' | sort > "$3"
"$4" -c "$5" "$1"
find . -printf '%p %y %l\\n' | sort
"""


def leftovers(scene: Scene) -> list[Path]:
    return list(scene.root.rglob(".pack-venv-*"))


@needs("namespaces")
def test_a_full_disk_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    """Copies that do not fit are noticed before the first link is replaced."""
    prefix = hiding.namespace()
    assert prefix is not None, "mount namespaces are not allowed here"
    (scene.out / "d/big").write_bytes(b"x" * 2_000_000)
    small, listing = tmp_path / "small", tmp_path / "listing"
    small.mkdir()
    arguments: list[str | Path] = [small, scene.env, listing, sys.executable, CONVERT]
    done = run(*prefix, "sh", "-c", ON_A_FULL_DISK, "sh", *arguments)
    problem, _, rest = done.partition("\n")
    assert "No space left on device" in problem
    assert "nothing was changed" in problem
    assert rest == listing.read_text()


WATCHER: Final = """
import os, sys
link, missing = sys.argv[1], 0
print("watching", flush=True)
while os.path.exists(sys.argv[2]):
    missing += not os.path.lexists(link)
print(missing)
"""


def test_another_process_always_finds_something(scene: Scene) -> None:
    """While links to a file and to a folder are converted again and again, no name is missing."""
    flag = scene.root / "running"
    flag.touch()
    names = ["a-inside", "b-file", "c-tree"]
    texts = {name: os.readlink(scene.env / name) for name in names}
    watchers = [
        subprocess.Popen(
            [sys.executable, "-c", WATCHER, str(scene.env / name), str(flag)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for watcher in watchers:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "watching\n"
    end = time.monotonic() + 2
    while time.monotonic() < end:
        convert_symlinks(scene.env)
        for name, text in texts.items():
            aside = scene.root / "aside"
            aside.symlink_to(text)
            if (scene.env / name).is_dir() and not (scene.env / name).is_symlink():
                assert replacing.exchange(aside, scene.env / name)
                shutil.rmtree(aside)
            else:
                aside.replace(scene.env / name)
    flag.unlink()
    assert [watcher.communicate()[0] for watcher in watchers] == ["0\n"] * len(names)


def test_ctrl_c_leaves_links_or_what_they_led_to(scene: Scene) -> None:
    """A real SIGINT at any moment: all are converted, or none, and no temporary name is left."""
    for number in range(300):
        scene.link(f"many/{number}", scene.env / "data/f")
        scene.link(f"trees/{number}", scene.out / "d")
    program = (
        "import sys, hatch_pack_venv\n"
        "print('now', flush=True)\n"
        "hatch_pack_venv.convert_symlinks(sys.argv[1])\n"
    )
    outcomes = set()
    for delay in (0.02, 0.1, 0.2, 0.4, 5.0):
        before = links_below(scene.env)
        with subprocess.Popen(
            [sys.executable, "-c", program, str(scene.env)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=unmeasured(),
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            status = process.wait()
        after = links_below(scene.env)
        assert leftovers(scene) == []
        outcomes.add(status == 0)
        if status == 0:
            assert not [text for text in after.values() if text.startswith("/")]
            break
        # If the signal came just before the end, all were already converted.
        assert after == before or not [text for text in after.values() if text.startswith("/")]
    assert outcomes == {True, False}


def test_a_real_environment_stays_an_environment(tmp_path: Path) -> None:
    """A converted environment runs as before, with the same prefix and standard library."""
    python = newest_of_each()[-1]
    environment = make_environment(tmp_path / "env", python, by="uv")
    question: list[str | Path] = [
        environment / "bin/python",
        "-c",
        "import sys, json; print(sys.prefix, sys.base_prefix, json.__file__)",
    ]
    before = run(*question)
    relative, external = convert_symlinks(environment)
    assert relative == []
    assert [target for _, target in external] == [python.path]
    assert not any(text.startswith("/") for text in links_below(environment).values())
    assert run(*question) == before


@needs("namespaces")
def test_an_environment_that_cannot_be_written_is_told(scene: Scene) -> None:
    """A read-only mount is one sentence."""
    done = hiding.run_hidden(
        [sys.executable, "-c", CONVERT, scene.env], hide=[], read_only=[scene.env]
    )
    assert done.stdout.strip() == (
        f"{scene.env} cannot be written: Read-only file system; nothing was changed"
    )
