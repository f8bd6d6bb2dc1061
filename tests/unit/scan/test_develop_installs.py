"""What `setup.py develop` leaves behind, recognised and copied like an installed distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fakes import SITE, environment, file, problem_of
from support.trees import write

from hatch_pack_venv.metadata.installed import installed_distributions
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.scan.editables import resolve_editables

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry
    from hatch_pack_venv.model.environment import Environment


def development(tmp_path: Path) -> tuple[Path, Path]:
    """Make what `setup.py develop` of setuptools 79 leaves, next to somebody else's line."""
    project, prefix = tmp_path / "project", tmp_path / "env"
    write(
        project,
        "setup.py",
        "src/my_app/__init__.py",
        **{
            "src/my_app.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: My_App\nVersion: 1.0\n"
            "\nbody\n",
            "src/my_app.egg-info/requires.txt": "six>=1\n\n[tests:python_version<'3']\nmock\n",
            "src/my_app.egg-info/entry_points.txt": "[console_scripts]\nmy-app = my_app:main\n",
            "bin/plain": "#!/usr/bin/env python\nprint(1)\n",
        },
    )
    head = f"#!{prefix}/bin/python\n# EASY-INSTALL-"
    write(
        prefix,
        **{
            f"{SITE}/My-App.egg-link": f"{project}/src\n../",
            f"{SITE}/easy-install.pth": f"./vendored.egg\n{project}/src\n",
            "bin/my-app": f"{head}ENTRY-SCRIPT: 'My-App','console_scripts','my-app'\nimport re\n",
            "bin/plain": f"{head}DEV-SCRIPT: 'My-App==1.0','plain'\n"
            f"__file__ = '{project}/bin/plain'\n",
            "bin/other": f"{head}DEV-SCRIPT: 'other==1.0','plain'\n",
        },
    )
    return project, prefix


def there(prefix: Path) -> Environment:
    """Return an environment on the disk, with its installed distributions."""
    installed = installed_distributions(prefix, (SITE,))
    return environment(*installed, prefix=prefix, requested=prefix)


def test_an_egg_link_is_a_distribution(tmp_path: Path) -> None:
    """Its metadata is read from the source tree; the link, line and scripts count as its own."""
    project, prefix = development(tmp_path)
    (found,) = installed_distributions(prefix, (SITE,))
    assert (found.key, found.version, found.editable_source) == ("my-app", "1.0", str(project))
    assert found.files == {f"{SITE}/My-App.egg-link", "bin/my-app", "bin/plain"}
    assert found.metadata_dir == f"{SITE}/My_App-1.0.dist-info"
    assert found.editable is not None
    assert found.editable.lines == {f"{project}/src"}
    assert [point.name for point in found.entry_points] == ["my-app"]
    assert found.requires == ("six>=1", "mock; (python_version<'3') and extra == \"tests\"")


def test_a_line_alone_is_a_distribution_if_metadata_are_there(tmp_path: Path) -> None:
    """Without the link, the folder's `.egg-info` counts; that of another environment does not."""
    _, prefix = development(tmp_path)
    (prefix / SITE / "My-App.egg-link").unlink()
    foreign = write(tmp_path / "other/site-packages", "x.egg-info/PKG-INFO")
    (prefix / SITE / "hand.pth").write_text(f"{foreign}\n")
    assert [each.key for each in installed_distributions(prefix, (SITE,))] == ["my-app"]


def test_a_developed_distribution_is_copied_like_an_installed_one(tmp_path: Path) -> None:
    """Metadata comes from the `.egg-info`, scripts are the real ones, and other lines stay."""
    project, prefix = development(tmp_path)
    resolved = resolve_editables(there(prefix), "copy")
    scanned: list[ScannedEntry] = [
        file(path.relative_to(prefix).as_posix(), path.read_bytes())
        for path in sorted(prefix.rglob("*"))
        if path.is_file()
    ]
    entries = {
        entry.arcname: bytes(entry.content)  # type: ignore[arg-type]
        for entry in resolved.applied(scanned)
        if isinstance(entry, FileEntry)
    }
    info = f"{SITE}/My_App-1.0.dist-info"
    assert f"{SITE}/My-App.egg-link" not in entries
    assert entries[f"{SITE}/easy-install.pth"] == b"./vendored.egg\n"
    assert entries[f"{SITE}/my_app/__init__.py"] == b""
    assert entries["bin/plain"] == f"#!{prefix}/bin/python\nprint(1)\n".encode()
    assert entries[f"{info}/METADATA"].decode() == (
        "Metadata-Version: 2.1\nName: My_App\nVersion: 1.0\nRequires-Dist: six>=1\n"
        "Requires-Dist: mock; (python_version<'3') and extra == \"tests\"\n\nbody\n"
    )
    listed = [row.split(b",")[0].decode() for row in entries[f"{info}/RECORD"].splitlines()]
    assert listed == [
        "../../../bin/my-app",
        "../../../bin/plain",
        *(f"My_App-1.0.dist-info/{each}" for each in ("INSTALLER", "METADATA", "entry_points.txt")),
        "my_app/__init__.py",
        "My_App-1.0.dist-info/RECORD",
    ]
    (project / "bin/plain").unlink()
    problem = problem_of(resolve_editables(there(prefix), "copy"))
    assert problem == f"{project}/bin/plain does not exist or cannot be read"


def test_metadata_in_the_source_tree_make_no_second_distribution(tmp_path: Path) -> None:
    """Metadata that an editable install left there, or that is also installed, counts once."""
    _, prefix = development(tmp_path)
    old = write(tmp_path / "project/src", **{"old.egg-info/PKG-INFO": "Name: old\nVersion: 1\n"})
    info = {"METADATA": "Name: my-app\nVersion: 2\n", "RECORD": "hook.pth,,\n"}
    write(prefix / SITE / "my_app-2.dist-info", **info)
    assert [each.key for each in installed_distributions(prefix, (SITE,))] == ["my-app", "old"]
    (prefix / SITE / "My-App.egg-link").unlink()
    (prefix / SITE / "easy-install.pth").rename(prefix / SITE / "hook.pth")
    (found,) = installed_distributions(prefix, (SITE,))
    assert found.editable is not None
    assert found.editable.lines == {str(old)}
