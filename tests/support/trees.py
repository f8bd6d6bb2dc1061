"""Trees on disk: written by name, compared before and after; environments with links; wheels."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import sys
import tarfile
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.model.formats import CompressionFormat
from hatch_pack_venv.model.layers import Layers
from hatch_pack_venv.plan.build import build_plan
from hatch_pack_venv.scan.layers import read_layers
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.walk import scan
from hatch_pack_venv.write.archive import write_archives
from support.fakes import INTERPRETER, SITE, environment, inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_pack_venv.model.environment import Environment
    from hatch_pack_venv.model.interpreter import Interpreter
    from hatch_pack_venv.model.layers import Layer
    from hatch_pack_venv.model.plan import PackPlan

# CPython 3.11.3 and earlier cannot be asked to unpack safely (PEP 706).
HAS_FILTERS: Final = hasattr(tarfile, "data_filter")

State: TypeAlias = dict[str, tuple[object, ...]]


def write(root: Path, *paths: str, **contents: str) -> Path:
    """Write files: empty ones by path, others by path and content."""
    for path, content in {**dict.fromkeys(paths, ""), **contents}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return root


def extract(tar: tarfile.TarFile, folder: Path, by: Literal["data", "tar"] = "data") -> None:
    """Unpack an archive of the tests' own, through a filter if this Python has them."""
    arguments: dict[str, Any] = {"filter": by} if HAS_FILTERS else {}
    tar.extractall(folder, **arguments)  # noqa: S202


def tree_state(root: Path) -> State:
    """Return modes, times, link counts, inodes, link targets and hashes of a tree, by name."""
    found: State = {".": _facts(root)}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _facts(path)
    return found


def _facts(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content: object = None
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    return (status.st_mode, status.st_mtime_ns, status.st_nlink, status.st_ino, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An environment `env` with files, a sibling `env2`, and `out`, in one folder."""

    root: Path

    @property
    def env(self) -> Path:
        """Return the environment."""
        return self.root / "env"

    @property
    def out(self) -> Path:
        """Return the folder outside."""
        return self.root / "out"

    @classmethod
    def make(cls, root: Path) -> Scene:
        """Make everything except the links that a test is about."""
        scene = cls(root=root)
        for name, content in {
            "base/python3.11": b"\x7fELF interpreter",
            f"env/{SITE}/pkg.py": b"inside pkg",
            "env/data/f": b"inside f",
            "env/data/sub/g": b"inside g",
            "env/pyvenv.cfg": b"home = /base\n",
            "env2/f": b"sibling f",
            "f": b"above f",
            "out/f": b"outside f",
            "out/d/f": b"outside d/f",
            "out/d/e/g": b"outside d/e/g",
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (scene.env / "bin").mkdir()
        (scene.env / "lib64").symlink_to("lib")
        (scene.env / "bin/python3.11").symlink_to(root / "base/python3.11")
        (scene.env / "bin/python").symlink_to("python3.11")
        return scene

    def link(self, name: str, text: str | Path) -> Path:
        """Make a link in the environment."""
        path = self.env / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.symlink_to(text)
        return path

    def environment(self) -> Environment:
        """Read the environment without starting its interpreter."""
        return read_environment(self.env, ask=lambda _: INTERPRETER)

    def plan(self, *, external_links: bool = False) -> PackPlan:
        """Plan as the hook does in target mode, or as the seed API does with external links."""
        environment = self.environment()
        interpreter = "linked" if external_links else "target"
        how = inputs(interpreter=interpreter, external_links=external_links)
        return build_plan(scan(environment), environment=environment, inputs=how)

    def pack(self, format: str, *, external_links: bool) -> Path:
        """Pack into one format."""
        chosen = CompressionFormat.get_format(format)
        plan = self.plan(external_links=external_links)
        (result,) = write_archives(plan, self.root / "packed/app", [chosen])
        return result.path

    def unpack(self, archive: Path) -> Path:
        """Unpack in another place."""
        place = self.root / "unpacked"
        place.mkdir()
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(place)  # noqa: S202 - our own
        else:
            with tarfile.open(archive) as tarred:
                extract(tarred, place, "tar")
        return place / "app"

    def hide(self) -> None:
        """Hide everything that the environment could link to, and the environment itself."""
        hidden = self.root / "hidden"
        hidden.mkdir()
        for name in ("base", "env", "env2", "f", "out", "alias"):
            if os.path.lexists(self.root / name):
                (self.root / name).rename(hidden / name)

    def move_env(self) -> Path:
        """Move the environment elsewhere and hide everything that was next to it."""
        place = self.root / "elsewhere/deep/moved"
        place.parent.mkdir(parents=True)
        shutil.move(self.env, place)
        self.hide()
        return place


def read(path: Path) -> bytes | dict[str, bytes]:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.read_bytes()
    found = {}
    for folder, _, files in os.walk(path):
        for name in files:
            full = os.path.join(folder, name)
            with open(full, "rb") as stream:
                found[os.path.relpath(full, path)] = stream.read()
    assert found, f"nothing is at {path}"
    return found


def links_below(root: Path) -> dict[str, str]:
    """Return the links of a tree and their targets."""
    return {
        os.path.relpath(path, root): os.readlink(path)
        for folder, folders, files in os.walk(root)
        for name in [*folders, *files]
        if os.path.islink(path := os.path.join(folder, name))
    }


@contextmanager
def shallow_stack(more: int = 200) -> Iterator[None]:
    """Leave room on Python's stack for only `more` calls, so that small trees are too deep."""
    before, depth = sys.getrecursionlimit(), 0
    frame = sys._getframe()
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + more)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def make_wheel(
    folder: Path,
    files: dict[str, bytes],
    name: str = "my_app-2.0-py3-none-any.whl",
    metadata: bytes = b"",
) -> Path:
    """Write a wheel as a build backend does; `metadata` follows its name and version."""
    project, version, *_ = name.split("-")
    info = f"{project}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Name: {project}\nVersion: {version}\n".encode() + metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, content in files.items():
            wheel.writestr(zipfile.ZipInfo(path), content)  # without the time
    return folder / name


class LayerStack:
    """Folders that look like a runtime, two layers and an application."""

    def __init__(self, root: Path) -> None:
        self.root = root / "layers"
        for name in ("python", "base", "science", "app"):
            (self.root / name / SITE).mkdir(parents=True)
            (self.root / name / "bin").mkdir()
        self.write("python/bin/python3.11", "")
        self.install("base", "numbers_lib", "1.5")
        self.install("science", "plots", "2.0")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def install(self, layer: str, name: str, version: str) -> None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self.write(f"{layer}/{SITE}/{name}-{version}.dist-info/METADATA", metadata)

    @property
    def app(self) -> Environment:
        prefix = self.root / "app"
        return environment(prefix=prefix, requested=prefix)

    def find(self, **table: Any) -> Layers:
        options = PackOptions.from_mapping(
            {
                "interpreter": "target",
                "containing-dir": str(self.root),
                **{
                    key.replace("_", "-"): [str(self.root / each) for each in value]
                    if isinstance(value, list)
                    else str(self.root / value)
                    for key, value in table.items()
                },
            }
        )
        found = read_layers(self.app, options, stack_interpreter)
        assert found is not None
        return found

    def plan(self, layers: Layers | None = None) -> PackPlan:
        found = layers or Layers(containing=self.root)
        app = replace(self.app, containing=self.root)
        mode = "neighbour" if found.runtime else "target"
        made = inputs(layers=found, interpreter=mode)
        return build_plan(scan(app), environment=app, inputs=made)


def stack_interpreter(python: Path) -> Interpreter:
    """Answer as the environment's interpreter would, with the ABI that the file names."""
    if python.read_text() == "broken":
        raise EnvironmentProblem("it does not run")
    return replace(INTERPRETER, abi=python.read_text() or INTERPRETER.abi)


def layer_of(stack: LayerStack, name: str = "base") -> Layer:
    (found,) = stack.find(base_runtime="python", layers=[name]).layers
    return found


def lasting_state(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the state of a tree, except for what may change and change back in folders."""
    return {
        name: (mode, inode, content)
        if isinstance(mode, int) and stat.S_ISDIR(mode)
        else (mode, mtime, links, inode, content)
        for name, (mode, mtime, links, inode, content) in tree_state(root).items()
    }


def remove_large_files(root: Path) -> None:
    """Remove files of at least a quarter of a mebibyte, if possible, and nothing mounted."""
    device = root.stat().st_dev
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if os.lstat(f"{folder}/{name}").st_dev == device]
        for path in (f"{folder}/{name}" for name in names):
            with suppress(OSError):
                if os.lstat(path).st_size >= 1 << 18:
                    os.unlink(path)
