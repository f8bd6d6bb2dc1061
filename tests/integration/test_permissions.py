"""convert_symlinks as a user who may not read, look at or write everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.machine import needs
from support.trees import Scene, links_below, read, tree_state

if TYPE_CHECKING:
    from collections.abc import Iterator


LINK: Final = "data/link"


AS_NOBODY: Final = """
import os, sys
from hatch_pack_venv import PackVenvError, convert_symlinks
if os.fork() == 0:
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try:
        convert_symlinks(sys.argv[1])
    except PackVenvError as error:
        print(error)
    else:
        print("converted")
    sys.stdout.flush()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.fixture
def nobodys(scene: Scene) -> Iterator[Scene]:
    """Make an environment owned by an unprivileged user, in a folder that user can access."""
    with tempfile.TemporaryDirectory() as folder:
        shared = Scene(root=Path(folder).resolve() / "shared")
        shutil.copytree(scene.env, shared.env, symlinks=True)
        Path(folder).chmod(0o755)
        if os.geteuid() == 0:
            for path in [shared.root, *shared.root.rglob("*")]:
                os.chown(path, 65534, 65534, follow_symlinks=False)
        shared.link("bin/python3.11", "/bin/sh")
        yield shared


def convert_as_nobody(scene: Scene) -> str:
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(scene.env)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_roots_file_is_copied_for_a_normal_user(nobodys: Scene) -> None:
    """A file of root is copied, because hard links may be forbidden (fs.protected_hardlinks)."""
    link = nobodys.link(LINK, "/etc/passwd")
    assert convert_as_nobody(nobodys) == "converted"
    assert not link.is_symlink()
    assert read(link) == Path("/etc/passwd").read_bytes()
    assert link.stat().st_ino != Path("/etc/passwd").stat().st_ino
    assert link.stat().st_nlink == 1


def test_what_a_user_may_not_look_at_is_named(nobodys: Scene) -> None:
    """A link into an inaccessible folder is reported as such, not as dangling."""
    (nobodys.root / "closed").mkdir(mode=0)
    link = nobodys.link(LINK, nobodys.root / "closed/f")
    before = tree_state(nobodys.env)
    assert f"{link} leads to a place that this user cannot access" in convert_as_nobody(nobodys)
    assert tree_state(nobodys.env) == before


@needs("root")  # only root can create another user's file
def test_what_a_user_may_not_read_leaves_all_as_it_was(nobodys: Scene) -> None:
    """A target that cannot be copied stops everything before the first link is replaced."""
    secret = nobodys.root / "secret"
    secret.write_bytes(b"secret")
    secret.chmod(0)
    os.chown(secret, 0, 0)
    nobodys.link("data/a", nobodys.env / "data/f")
    nobodys.link("data/z", secret)
    before = links_below(nobodys.env)
    said = convert_as_nobody(nobodys)
    assert "Permission denied" in said
    assert "nothing was changed" in said
    assert links_below(nobodys.env) == before


def test_links_in_a_folder_that_cannot_be_written_are_left(nobodys: Scene) -> None:
    """If one folder is not writable, the links in all others are restored."""
    first = nobodys.link("a/first", nobodys.env / "data/f")
    nobodys.link("b/second", nobodys.root)
    nobodys.link("b/second", nobodys.env / "data/f")
    (nobodys.env / "b").chmod(0o555)
    before = links_below(nobodys.env)
    said = convert_as_nobody(nobodys)
    assert "Permission denied" in said, said
    assert links_below(nobodys.env) == before
    assert os.readlink(first) == str(nobodys.env / "data/f")
    (nobodys.env / "b").chmod(0o755)
