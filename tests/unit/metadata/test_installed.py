"""Distributions without RECORD: which files are theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fakes import SITE

from hatch_pack_venv.metadata.installed import installed_distributions

if TYPE_CHECKING:
    from pathlib import Path

PKG_INFO = "Metadata-Version: 1.0\nName: old\nVersion: 1.0\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / SITE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files_of(root: Path) -> list[str]:
    (found,) = installed_distributions(root, (SITE,))
    return sorted(name.removeprefix(f"{SITE}/") for name in found.files)


def test_what_pip_listed_is_known(tmp_path: Path) -> None:
    """`installed-files.txt` names files by their way from the metadata; none leads outside."""
    listed = "../old/__init__.py\n../../../../bin/old\nPKG-INFO\n../../../../../etc/passwd\n"
    info = {"old-1.0.egg-info/PKG-INFO": PKG_INFO, "old-1.0.egg-info/installed-files.txt": listed}
    write(tmp_path, {**info, "old/__init__.py": "", "old/other.py": ""})
    assert files_of(tmp_path) == ["bin/old", "old-1.0.egg-info/PKG-INFO", "old/__init__.py"]


def test_regular_packages_and_modules_are_known_by_their_names(tmp_path: Path) -> None:
    """`top_level.txt` tells them; a folder without `__init__.py` may be others' too."""
    info = {
        "old-1.0.dist-info/METADATA": PKG_INFO,
        "old-1.0.dist-info/top_level.txt": "old\n_old\nspace\n",
    }
    there = {
        "old/__init__.py": "",
        "old/sub/data.txt": "",
        "_old.cpython-311-x86_64-linux-gnu.so": "",
        "space/mine.py": "",
        "older.py": "",
    }
    write(tmp_path, {**info, **there})
    assert files_of(tmp_path) == [
        "_old.cpython-311-x86_64-linux-gnu.so",
        "old-1.0.dist-info/METADATA",
        "old-1.0.dist-info/top_level.txt",
        "old/__init__.py",
        "old/sub/data.txt",
    ]


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """Without either list, or with metadata that are one file, no file is known."""
    write(tmp_path, {"old-1.0.egg-info": PKG_INFO, "old.py": "", "old/__init__.py": ""})
    assert files_of(tmp_path) == []
