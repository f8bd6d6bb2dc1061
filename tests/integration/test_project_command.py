"""The command in a configured project's folder packs what `hatch build` packs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.projects import PYPROJECT, TABLE, build, make_project

from hatch_pack_venv.cli.main import main
from hatch_pack_venv.config.project_table import ProjectTable
from hatch_pack_venv.model.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def root(tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project, and go there."""
    root = make_project(tmp_path / "project", environment)
    monkeypatch.chdir(root)
    return root


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("words", [["pack"], ["pack", ".venv"]])
def test_pack_writes_what_the_build_writes(
    root: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]
) -> None:
    """With and without PREFIX: the same archive, byte for byte, in the same place."""
    build(root)
    (archive,) = (root / "dist-venv").glob("*.tar.gz")
    before = archive.read_bytes()
    archive.unlink()
    (result,) = told(capsys, *words)
    assert result["path"] == str(archive)
    assert archive.read_bytes() == before


def test_the_dry_run_tells_what_the_build_will_pack(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive's name, its content and the project's wheel are those of the build."""
    found = told(capsys, "pack", "--dry-run")
    assert not (root / "dist-venv").exists()
    build(root)
    (archive,) = (root / "dist-venv").glob("*.tar.gz")
    assert found["archives"] == [str(archive)]
    facts = json.loads(archive.with_name(f"{archive.name}.json").read_text())
    assert found["entry_count"] == facts["entry_count"]
    assert found["size"] == facts["unpacked_size"]
    assert {"name": "my-app", "version": "1.0"} in found["manifest"]["distributions"]


def test_options_override_the_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-o, its suffix and other options override the table; other keys still apply."""
    (result,) = told(capsys, "pack", "-o", root / "out" / "x.tar", "--install-target", "top")
    assert result["path"] == str(root / "out" / "x.tar")
    with tarfile.open(result["path"]) as tar:
        assert tar.getnames()[0] == "top"
        assert "top/postinstall.py" in tar.getnames()  # interpreter = "target"


def test_export_writes_what_the_build_packs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The project's table applies to exports too, except its formats; options override it."""
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('format = "tar.gz"', 'format = "zip"'))
    build(root)
    (archive,) = (root / "dist-venv").glob("*.zip")
    facts = json.loads(archive.with_name(f"{archive.name}.json").read_text())
    (result,) = told(capsys, "export", ".venv", root / "out")
    assert result["content_digest"] == facts["content_digest"]
    assert result["entry_count"] == facts["entry_count"]
    (other,) = told(capsys, "export", ".venv", root / "without", "--record-files", "exclude")
    assert other["entry_count"] < result["entry_count"]
    (alone,) = told(
        capsys, "export", ".venv", root / "alone", "--no-project", "--interpreter", "target"
    )
    assert not [*(root / "alone").glob("lib/*/site-packages/my_app*")]
    assert alone["content_digest"] != result["content_digest"]


def test_a_wrong_key_of_the_table_is_a_problem_of_the_file(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported by its TOML path, with exit status 1; a wrong option is a usage error (2)."""
    (root / "pyproject.toml").write_text(PYPROJECT + TABLE + 'check = "wran"\n')
    assert run("pack") == 1
    said = capsys.readouterr().err
    assert "tool.hatch.build.hooks.pack-venv.check must be 'error' or 'warn'" in said
    assert "did you mean 'warn'?" in said
    assert run("pack", "--check", "of") == 2
    assert "--check: 'of' is not 'error' or 'warn' or 'off'; did you mean off?" in (
        capsys.readouterr().err
    )


@pytest.mark.usefixtures("root")
def test_other_environments_are_not_the_projects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table does not apply to one elsewhere, nor with --no-project."""
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    found = told(capsys, "pack", other, "--dry-run", "--interpreter", "target")
    assert found["archives"] == ["other.tar.xz"]
    found = told(capsys, "pack", "--no-project", "--dry-run", "--interpreter", "target")
    assert found["archives"] == ["project.tar.xz"]


def test_a_broken_file_is_told_with_the_way_around_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command's message suggests --no-project; a build's does not."""
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    (root / "pyproject.toml").write_text("[project\n")
    for command in (["pack", other, "--dry-run"], ["export", other, tmp_path / "out"]):
        assert run(*command) == 1
        said = capsys.readouterr().err
        assert f"the configuration cannot be read: {root / 'pyproject.toml'}: Expected" in said
        assert "; correct it, or ignore the project in this directory with --no-project" in said
    assert not (tmp_path / "out").exists()
    told(capsys, "pack", other, "--no-project", "--dry-run", "--interpreter", "target")
    with pytest.raises(OptionsError) as caught:
        ProjectTable.find(root)
    assert "--no-project" not in str(caught.value)


def test_a_wheel_of_the_project_is_taken_instead_of_built(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """If the project's wheel cannot be built, the message suggests --wheel, which is then used."""
    build(root, directory=str(tmp_path / "wheels"))
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(f"{text}\n[tool.hatch.build.hooks.no-such-plugin]\n")
    assert run("pack", "--dry-run") == 1
    said = capsys.readouterr().err
    assert "cannot be built by the Python that runs pack-venv: " in said
    assert "no-such-plugin" in said
    assert "--wheel FILE" in said
    found = told(capsys, "pack", "--dry-run", "--wheel", wheel)
    assert {"name": "my-app", "version": "1.0"} in found["manifest"]["distributions"]


def test_what_is_no_archive_of_ours_is_not_replaced(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command without --force and a build replace only archives of ours."""
    assert run("pack", "-o", "x.tar") == 0
    assert run("pack", "-o", "x.tar") == 0
    Path("x.tar").write_bytes(b"mine")
    capsys.readouterr()
    assert run("pack", "-o", "x.tar") == 1
    assert "x.tar would be replaced, but no .json next to it shows" in capsys.readouterr().err
    assert Path("x.tar").read_bytes() == b"mine"
    assert run("pack", "-o", "x.tar", "--force") == 0
    for name in ("y.tar.json", "z.tar.cdx.json"):
        Path(name).write_text("{}")
        assert run("pack", "-o", name.partition(".tar")[0] + ".tar") == 1
        assert Path(name).read_text() == "{}"
    assert not os.path.exists("y.tar")
    assert not os.path.exists("z.tar")
    build(root)
    (archive,) = (root / "dist-venv").glob("*.tar.gz")
    archive.write_bytes(b"mine")
    with pytest.raises(SystemExit):
        build(root)
    assert archive.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("keep = ['greeter']", "hooks.pack-venv.keep only applies with distributions = 'required'"),
        ("entry-point = 'greet'", "hooks.pack-venv.entry-point only applies to the formats"),
    ],
)
def test_keys_that_do_not_fit_together_are_told_in_words_of_the_file(
    root: Path, capsys: pytest.CaptureFixture[str], keys: str, said: str
) -> None:
    """The message names keys, not options."""
    with (root / "pyproject.toml").open("a") as file:
        file.write(f"{keys}\n")
    assert run("pack") == 1
    told = capsys.readouterr().err
    assert said in told
    assert "--" not in told


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("words", "said"),
    [(["--provenance", "true"], "--provenance writes"), (["--sbom", "beside"], "--sbom beside")],
)
def test_nothing_lies_beside_a_folder(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Options for files next to an archive are refused for an export."""
    assert run("export", ".venv", "out", *words) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()
