"""Installed distributions, with and without RECORD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fakes import SITE

from hatch_pack_venv.metadata.installed import installed_distributions

if TYPE_CHECKING:
    from pathlib import Path
import pytest

from hatch_pack_venv.model.errors import EnvironmentProblem

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
    """`installed-files.txt` names files relative to the metadata; those outside are ignored."""
    listed = "../old/__init__.py\n../../../../bin/old\nPKG-INFO\n../../../../../etc/passwd\n"
    info = {"old-1.0.egg-info/PKG-INFO": PKG_INFO, "old-1.0.egg-info/installed-files.txt": listed}
    write(tmp_path, {**info, "old/__init__.py": "", "old/other.py": ""})
    assert files_of(tmp_path) == ["bin/old", "old-1.0.egg-info/PKG-INFO", "old/__init__.py"]


def test_regular_packages_and_modules_are_known_by_their_names(tmp_path: Path) -> None:
    """`top_level.txt` lists them; a folder without `__init__.py` is skipped: it may be shared."""
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


def install(prefix: Path, name: str, **files: str) -> Path:
    folder = prefix / SITE / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, text in files.items():
        (folder / file.replace("_txt", ".txt").replace("_json", ".json")).write_text(text)
    return folder


def test_distributions_are_read_and_never_imported(prefix: Path) -> None:
    """Name, version, files, entry points and editable sources come from the metadata."""
    install(
        prefix,
        "My_Tool",
        RECORD=f"my/a.py,,\n../../../bin/tool,,\n{prefix}/share/x,,\n/etc/elsewhere,,\n",
        entry_points_txt="[console_scripts]\ntool = my.a:main\n[other]\nx = y\n",
        direct_url_json='{"url": "file:///home/me/my%20tool", "dir_info": {"editable": true}}',
    )
    (found,) = installed_distributions(prefix, (SITE,))
    assert (found.name, found.key, found.version) == ("My_Tool", "my-tool", "1.0")
    assert found.files == {f"{SITE}/my/a.py", "bin/tool", "share/x"}
    assert [(point.name, point.module, point.attr) for point in found.entry_points] == [
        ("tool", "my.a", "main")
    ]
    assert found.editable_source == "/home/me/my tool"
    assert found.metadata_dir == f"{SITE}/My_Tool-1.0.dist-info"


def test_a_description_is_no_metadata(prefix: Path) -> None:
    """Core metadata end at the first empty line; what follows may look like more of them."""
    headers = "Name: tool\nVersion: 1.0\nRequires-Python: >=3.9\nRequires-Dist: real\n"
    described = f"{headers}\nRequires-Dist: told\n\nProvides-Extra: told\nRequires-Python: <3\n"
    (install(prefix, "tool") / "METADATA").write_text(described)
    (found,) = installed_distributions(prefix, (SITE,))
    assert found.requires == ("real",)
    assert found.requires_python == ">=3.9"
    assert found.extras == ()


def test_leftovers_of_installers_are_passed_over_or_named(prefix: Path) -> None:
    """pip's `~ame` folders are ignored; metadata without a name give an error that names them."""
    install(prefix, "~ool")
    assert list(installed_distributions(prefix, (SITE,))) == []
    (prefix / SITE / "half-1.0.dist-info").mkdir()
    (prefix / SITE / "half-1.0.dist-info" / "METADATA").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"half-1\.0\.dist-info has no name or version"):
        list(installed_distributions(prefix, (SITE,)))
