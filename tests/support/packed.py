"""Small archives of a real environment, to be read back."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hatch_pack_venv import PackOptions, pack
from support.wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip")


def make_packed(folder: Path, **options: Any) -> dict[str, Path]:
    """Pack an environment with one package in every format; return the archives by format."""
    environment = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (environment / "share" / "empty").mkdir(parents=True)
    (environment / "share" / "data").write_bytes(b"data\n" * 400)
    (environment / "share" / "alias").symlink_to("data")
    files = {
        "my_app/__init__.py": b"def main():\n    print('hello')\n",
        "my_app/big.bin": bytes(range(256)) * 400,
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
    }
    wheel = make_wheel(folder, files)
    table = {"interpreter": "target", "format": list(FORMATS), "wheels": [str(wheel)], **options}
    results = pack(environment, folder / "app", PackOptions.from_mapping(table))
    return dict(zip(FORMATS, (result.path for result in results), strict=True))
