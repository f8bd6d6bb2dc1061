"""An environment, its interpreter, and the state of a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from support.binaries import DT_RUNPATH, make_elf
from support.fakes import INTERPRETER, SITE

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.interpreter import Interpreter


_INFO: Final = f"{SITE}/demo-1.0.dist-info"
_FILES: Final[dict[str, bytes]] = {
    f"{_INFO}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    f"{_INFO}/RECORD": b"demo/__init__.py,,\ndemo/x.so,,\ndemo-1.0.dist-info/METADATA,,\n",
    f"{_INFO}/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n",
    f"{SITE}/demo/__init__.py": b"def main():\n    print()\n",
    f"{SITE}/demo.pth": b"../x\n",
    "bin/demo": b"#!/x/env/bin/python\nimport demo\n",
    "share/jupyter/kernels/x/kernel.json": b'{"argv": ["x"]}',
    "share/data": b"data\n" * 8000,
    "share/large": Random(1).randbytes(60_000) + bytes(1_200_000),  # noqa: S311 - several blocks
    "pyvenv.cfg": b"home = /opt/python/bin\nversion = 3.11.7\n",
}


_BASE_FILES: Final = (
    *("bin/python3.11", "lib/python3.11/os.py"),
    *("lib/python3.11/sysconfig.py", "lib/python3.11/encodings/__init__.py"),
)


def interpreter_in(base: Path) -> Interpreter:
    """Return what a CPython installation, of which some files exist, reports about itself."""
    return replace(
        INTERPRETER,
        executable=base / "bin/python3.11",
        base_prefix=base,
        stdlib=base / "lib/python3.11",
    )


def make_scene(root: Path) -> None:
    """Lay out an environment and the installation that it was made from."""
    base = root / "base"
    files = {f"env/{name}": content for name, content in _FILES.items()}
    files[f"env/{SITE}/demo/x.so"] = make_elf((DT_RUNPATH, f"{base}/lib"))
    files |= {f"base/{name}": b"pass\n" for name in _BASE_FILES}
    files["base/bin/python3.11"] = make_elf()
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (base / "bin/python3.11").chmod(0o755)
    (root / "env/bin/python").symlink_to(base / "bin/python3.11")
    (root / "env/share/link").symlink_to("data")


def state(folder: Path) -> dict[str, Any]:
    """Return everything below a folder: kinds, modes, contents and links."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found
