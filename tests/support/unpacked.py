"""An unpacked archive, made by hand, in which the shipped post-install script is run for real."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.interpreters import Python, find_pythons

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).parents[2] / "src/hatch_pack_venv/injected/postinstall.py"
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

EVERY = find_pythons()
PYTHONS = [python for python in EVERY if python.number >= (3, 8)]
PYTHON = next(python for python in PYTHONS if python.number >= (3, 11))
each_python = pytest.mark.parametrize("python", PYTHONS, ids=lambda python: python.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a run of the script."""

    status: int
    out: str
    err: str


class Tree:
    """An unpacked archive, made by hand."""

    def __init__(self, root: Path, python: Python, **changes: Any) -> None:
        self.root = root
        self.python = python
        self.site = root / f"lib/python{python.minor}/site-packages"
        (self.site / "marker").mkdir(parents=True)
        (self.site / "marker/__init__.py").write_text("PLACE = __file__\n")
        (root / "bin").mkdir()
        hello = root / "bin/hello"
        hello.write_text('#!/bin/sh\nexec "${0%/*}/python" -c "import marker; print(1)"\n')
        hello.chmod(0o755)
        shutil.copyfile(SCRIPT, root / "postinstall.py")
        self.write_manifest(manifest(python) | changes)

    def write_manifest(self, content: object) -> None:
        path = self.root / "share/venv/metadata/pack-venv.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")

    def run(self, *options: str, by: Path | str | None = None, wrapper: Sequence[str] = ()) -> Done:
        command = [*wrapper, str(by or self.python.path), str(self.root / "postinstall.py")]
        done = subprocess.run([*command, *options], capture_output=True, env=ENVIRON, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err
        return Done(status=done.returncode, out=out, err=err)

    def moved(self, target: Path) -> Tree:
        """Move the tree; nothing stays in the old place."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.root.rename(target)
        there = Tree.__new__(Tree)
        there.root, there.python = target, self.python
        there.site = target / self.site.relative_to(self.root)
        return there

    def snapshot(self) -> dict[str, tuple[object, ...]]:
        """Return all that a run could change: inode, time, and size or target of every name."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.root.rglob("*")):
            facts = path.lstat()
            text = os.readlink(path) if path.is_symlink() else facts.st_size
            found[str(path)] = (facts.st_ino, facts.st_mtime_ns, text)
        return found

    def ask(self, code: str) -> str:
        """Return what code prints in the environment's own interpreter."""
        command = [str(self.root / "bin/python"), "-I", "-B", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON, check=True)
        return done.stdout.rstrip("\n")

    def assert_connected(self, to: Path | None = None) -> None:
        """Check pyvenv.cfg, the links, and that the interpreter runs with its prefix."""
        base, name = to or self.python.path, f"python{self.python.minor}"
        links = {link: os.readlink(self.root / "bin" / link) for link in ("python", "python3")}
        assert links == {"python": name, "python3": name}
        assert os.readlink(self.root / "bin" / name) == str(base)
        config = (self.root / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
        assert f"home = {base.parent}" in config
        assert f"executable = {base}" in config
        assert self.ask("import sys; print(sys.prefix)") == str(self.root)
        assert self.ask("import marker; print(marker.PLACE)").startswith(str(self.site))

    def leftovers(self) -> list[Path]:
        return [path for path in self.root.rglob(".*") if path.name.endswith(".tmp")]

    def bytecode(self) -> list[Path]:
        return sorted((self.site / "marker").glob("__pycache__/*.pyc"))


def manifest(python: Python) -> dict[str, Any]:
    """Return the manifest of an archive for a Python of this machine."""
    site = f"lib/python{python.minor}/site-packages"
    return {
        "format_version": 1,
        "name": "greeter",
        "version": "1.2.0",
        "interpreter": "target",
        "python": {
            "version": python.version,
            "implementation": "cpython",
            "abi": "cp" + python.minor.replace(".", ""),
            "cache_tag": "cpython-" + python.minor.replace(".", ""),
            "pointer_bits": struct.calcsize("P") * 8,
        },
        "platform": {"system": sys.platform, "machine": platform.machine(), "tag": "any"},
        "layout": {
            "scripts": "bin",
            "site_packages": [site],
            "include_system_site_packages": False,
        },
    }


def unpacked_tree(tmp_path: Path) -> Tree:
    """Return an archive for the first suitable Python, unpacked and not connected."""
    return Tree(tmp_path / "app", PYTHON)
