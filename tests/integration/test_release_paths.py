"""What lands where: reserved paths, refusals, cleaning, the unpacked sdist, uploads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from support.environments import tool
from support.projects import PYPROJECT, TABLE, build, files, make_project
from support.trees import make_wheel

from hatch_pack_venv.hatch.target import PackVenvBuilder

PACKED = ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]


WHEEL_TABLE = TABLE.replace("build.hooks", "build.targets.wheel.hooks")


TARGET_TABLE = TABLE.replace("build.hooks", "build.targets")


def configure(root: Path, text: str) -> None:
    (root / "pyproject.toml").write_text(PYPROJECT + text)


def told(
    capfd: pytest.CaptureFixture[str], root: Path, *arguments: Any, **keywords: Any
) -> tuple[int, str]:
    """Build and return the exit status with the message."""
    capfd.readouterr()
    try:
        build(root, *arguments, **keywords)
    except SystemExit as end:
        return int(end.code or 0), capfd.readouterr().err
    return 0, capfd.readouterr().err


def members(sdist: str) -> list[str]:
    with tarfile.open(sdist) as tar:
        return sorted(tar.getnames())


# What neither an sdist nor a wheel may include


@pytest.mark.parametrize(
    "only",
    ["", 'only-include = ["."]\n', 'force-include = { out = "all", envs = "more" }\n'],
    ids=["patterns", "only-include", "force-include"],
)
def test_a_global_hook_reserves_both_folders(tmp_path: Path, environment: Path, only: str) -> None:
    """Sdist and wheel are the same after packing, even where a target lists what it takes."""
    table = "[tool.hatch.build]\n" + only + TABLE
    table += 'source = "envs/release"\noutput-directory = "out/archives"\n'
    root = make_project(tmp_path / "project", environment, table)
    for folder in ("out", "envs"):
        (root / folder).mkdir()
        (root / folder / "kept.txt").write_text("kept")
    shutil.copytree(environment, root / "envs" / "release", symlinks=True)
    kept = []
    for _ in range(2):
        (sdist,) = build(root, SdistBuilder)
        (wheel,) = build(root)
        assert files(root, "out/archives") == PACKED
        kept.append((members(sdist), sorted(zipfile.ZipFile(wheel).namelist())))
    assert kept[0] == kept[1]
    below = re.compile(r"release|archives|pyvenv|dist-venv")
    assert not any(below.search(name) for names in kept[0] for name in names)
    assert "force" not in only or any(name.endswith("all/kept.txt") for name in kept[0][1])


@pytest.mark.parametrize(
    ("table", "builder", "target"),
    [(WHEEL_TABLE, None, "sdist"), (TARGET_TABLE, PackVenvBuilder, "sdist")],
    ids=["wheel hook", "target"],
)
def test_what_an_sdist_would_take_stops_the_build(
    project: Path, table: str, builder: Any, target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message is the table and the line to add; with these the build goes through, twice."""
    configure(project, table)
    arguments = [builder] if builder else []
    directory = str(project / "dist-venv") if builder else str(project / "dist")
    code, message = told(capfd, project, *arguments, directory=directory)
    assert code == 1
    assert message == (
        f"pack-venv: the {target} would include /dist-venv: set in"
        ' [tool.hatch.build.targets.sdist] of pyproject.toml: exclude = ["/dist-venv"]\n'
    )
    assert files(project, "dist-venv") == []
    configure(project, f'[tool.hatch.build.targets.sdist]\nexclude = ["/dist-venv"]\n{table}')
    sdists = []
    for _ in range(2):
        sdists += build(project, SdistBuilder)
        assert told(capfd, project, *arguments, directory=directory)[0] == 0
        sdists.append(str(members(sdists.pop())))
    assert files(project, "dist-venv") == PACKED
    assert sdists[0] == sdists[1]


def test_what_an_sdist_would_take_is_found_without_a_format_too(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """If no format is configured, the environment's default is assumed."""
    configure(project, '[tool.hatch.build.targets.pack-venv]\ninterpreter = "target"\n')
    code, message = told(capfd, project, PackVenvBuilder, directory=str(project / "dist-venv"))
    assert code == 1
    assert "the sdist would include /dist-venv: set in" in message
    assert files(project, "dist-venv") == []


def test_the_target_looks_after_the_wheel_too(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """For a wheel that would include the whole project, the message has the line for the wheel."""
    text = PYPROJECT.replace('packages = ["my_app"]', 'only-include = ["."]')
    exclude = '[tool.hatch.build.targets.sdist]\nexclude = ["/dist-venv"]\n'
    (project / "pyproject.toml").write_text(text + exclude + TARGET_TABLE)
    code, message = told(capfd, project, PackVenvBuilder, directory=None)
    assert code == 1
    assert message == (
        "pack-venv: the wheel would include /dist-venv: set in [tool.hatch.build.targets.wheel] of"
        ' pyproject.toml: exclude = ["/dist-venv"]\n'
    )
    text = text.replace('only-include = ["."]', 'only-include = ["."]\nexclude = ["/dist-venv"]')
    (project / "pyproject.toml").write_text(text + exclude + TARGET_TABLE)
    assert told(capfd, project, PackVenvBuilder, directory=None)[0] == 0


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (
            '[tool.hatch.build.targets.sdist]\nexclude = ["/docs"]\n',
            '[tool.hatch.build.targets.sdist] of pyproject.toml: exclude = ["/docs", "/dist-venv"]',
        ),
        (
            '[tool.hatch.build]\nexclude = ["*.log"]\n',
            '[tool.hatch.build] of pyproject.toml: exclude = ["*.log", "/dist-venv"]',
        ),
    ],
)
def test_the_line_to_add_keeps_what_is_there(
    project: Path, before: str, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message extends an existing list and keeps its items."""
    configure(project, before + WHEEL_TABLE)
    assert line in told(capfd, project)[1]


def test_a_hatch_toml_is_named_where_it_configures_builds(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its `build` table replaces the one of pyproject.toml, and has another path."""
    table = "[build.targets.wheel]\npackages = ['my_app']\n[build.targets.wheel.hooks.pack-venv]\n"
    (project / "hatch.toml").write_text(table)
    assert told(capfd, project) == (
        1,
        "pack-venv: the sdist would include /dist-venv: set in [build.targets.sdist] of hatch.toml:"
        ' exclude = ["/dist-venv"]\n',
    )
    exclude = "[build.targets.sdist]\nexclude = ['/dist-venv']\n"
    (project / "hatch.toml").write_text(exclude + table + "lnks = 1\n")
    assert "build.targets.wheel.hooks.pack-venv.lnks" in told(capfd, project)[1]
    assert "tool.hatch" not in told(capfd, project)[1]
    (project / "hatch.toml").write_text(exclude + table)
    assert told(capfd, project)[0] == 0
    assert len(files(project, "dist-venv")) == 3


def test_version_control_ignores_the_archives(project: Path) -> None:
    """In a Git repository their folder gets a `.gitignore`, which goes with the last of them."""
    (project / ".git").mkdir()
    build(project)
    assert files(project, "dist-venv") == [".gitignore", *PACKED]
    assert (project / "dist-venv" / ".gitignore").read_text() == "*\n"
    build(project, clean_only=True)
    assert not (project / "dist-venv").exists()
    (project / "dist-venv").mkdir()
    (project / "dist-venv" / "notes.txt").write_text("kept in version control")
    build(project)
    assert sorted(files(project, "dist-venv")) == ["notes.txt", *PACKED]


def test_a_pattern_names_a_wheel(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A pattern that matches no wheel or several is one error, and nothing is written."""
    configure(project, TABLE + 'wheels = ["../wheels/lib-*.whl"]\n')
    folder = tmp_path / "wheels"
    code, message = told(capfd, project)
    assert code == 1
    assert message == (
        f"pack-venv: no wheel matches {project}/../wheels/lib-*.whl: build it first\n"
    )
    folder.mkdir()
    names = [f"lib-{version}-py3-none-any.whl" for version in (1, 2)]
    made = [make_wheel(folder, {"lib.py": b""}, name) for name in names]
    code, message = told(capfd, project)
    assert code == 1
    assert "2 wheels match" in message
    assert all(wheel.name in message for wheel in made)
    assert files(project, "dist-venv") == []
    made[0].unlink()
    assert told(capfd, project)[0] == 0
    (archive,) = (project / "dist-venv").glob("*.tar.gz")
    assert any(name.endswith("/lib-2.dist-info/METADATA") for name in members(str(archive)))


def test_the_environment_is_named_too(
    project: Path, environment: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An environment that hatchling does not leave out by its name is in the line."""
    (project / "env").symlink_to(environment)
    configure(project, WHEEL_TABLE + 'source = "env"\n')
    assert 'exclude = ["/dist-venv", "/env"]' in told(capfd, project)[1]


SDIST = "[tool.hatch.build.targets.sdist]\n"


IN_SDIST = "[tool.hatch.build.targets.sdist] of pyproject.toml: "


FORCED = "from which no pattern can exclude /dist-venv: name only what is needed from it"


EXCLUDING = 'exclude = ["/dist-venv", "/env"]\n'


@pytest.mark.parametrize(
    ("sdist", "refusal"),
    [
        ('include = ["*.gz"]\n', IN_SDIST + 'exclude = ["/dist-venv"]'),
        ('include = ["/my-app-*.json"]\n', None),
        ('include = ["my-app-*.json"]\n', IN_SDIST + 'exclude = ["/dist-venv"]'),
        ('include = ["*.fish"]\n', IN_SDIST + 'exclude = ["/env"]'),
        ('include = ["/my_app"]\n', None),
        ("only-packages = true\n", None),
        ('only-include = ["my_app"]\n', None),
        ('only-include = ["my_app", "env"]\n', IN_SDIST + 'exclude = ["/env"]'),
        (
            'artifacts = ["*.json"]\nexclude = ["/dist-venv", "/env"]\n',
            IN_SDIST + 'artifacts = ["*.json", "!/dist-venv/**"]',
        ),
        ('artifacts = ["*.json", "!/dist-venv/**"]\nexclude = ["/dist-venv", "/env"]\n', None),
        (EXCLUDING + 'force-include = { "." = "all" }\n', f"force-include names '.', {FORCED}"),
        (
            EXCLUDING + 'force-include = { "dist-venv" = "all" }\n',
            f"force-include names 'dist-venv', {FORCED}",
        ),
        (EXCLUDING + 'force-include = { "env/pyvenv.cfg" = "its.cfg" }\n', None),
    ],
)
def test_an_sdist_is_judged_by_all_that_chooses_its_files(
    project: Path,
    environment: Path,
    sdist: str,
    refusal: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """If hatchling would include the archives or the environment, the message says what to set.

    If it is not refused, the sdist built after packing contains neither.
    """
    shutil.copytree(environment, project / "env", symlinks=True)
    configure(project, SDIST + sdist + WHEEL_TABLE + 'source = "env"\n')
    code, message = told(capfd, project)
    assert (code, refusal is not None and refusal in message) == (int(refusal is not None),) * 2
    if refusal is None:
        (made,) = build(project, SdistBuilder)
        assert files(project, "dist-venv") == PACKED
        assert not [name for name in members(made) if re.search("dist-venv|my-app-|activate", name)]


def test_what_version_control_ignores_needs_no_line(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """hatchling reads `.gitignore`, even that in the repository's root."""
    configure(project, WHEEL_TABLE)
    (project.parent / ".git").mkdir()
    (project.parent / ".gitignore").write_text("dist-venv/\n")
    assert told(capfd, project)[0] == 0


def test_the_projects_folder_takes_no_archives(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`output-directory = "."` is refused: nothing could keep the archives out of an sdist."""
    configure(project, TABLE + 'output-directory = "."\n')
    code, message = told(capfd, project)
    assert code == 1
    assert "hooks.pack-venv.output-directory must be a separate folder" in message


# When archives are packed


def test_an_unpacked_sdist_is_packed_on_request(
    project: Path,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With HATCH_PACK_VENV_SOURCE, archives go next to the folder that receives the wheel."""
    unpacked = tmp_path / "unpacked"
    (project / ".venv").unlink()
    shutil.copytree(project, unpacked)
    (unpacked / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: my-app\nVersion: 1.0\n")
    directory = str(project / "dist")
    message = told(capfd, unpacked, directory=directory)[1]
    assert "run `hatch build -t pack-venv` in the project, or set HATCH_PACK_VENV_SOURCE" in message
    assert message.count("\n") == 1
    monkeypatch.setenv("HATCH_PACK_VENV_SOURCE", str(environment))
    build(unpacked, directory=directory)
    assert files(project, "dist-venv") == PACKED
    assert not (unpacked / "dist-venv").exists()


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_hooks_only_packs_nothing_and_needs_nothing(
    project: Path, how: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`hatch build --ext` works before there is an environment."""
    (project / ".venv").unlink()
    if how == "argument":
        monkeypatch.setattr("sys.argv", ["hatchling", "build", "--hooks-only"])
    else:
        monkeypatch.setenv("HATCH_BUILD_HOOKS_ONLY", "1")
    code, message = told(capfd, project, hooks_only=True)
    assert code == 0
    assert "nothing packed, because only the hooks run" in message


@pytest.mark.parametrize(
    ("variables", "packs"),
    [
        ({}, False),
        ({"HATCH_BUILD_HOOKS_ENABLE": "1"}, True),
        ({"HATCH_BUILD_HOOK_ENABLE_PACK-VENV": "1"}, True),
        ({"HATCH_BUILD_HOOKS_ENABLE": "1", "HATCH_BUILD_NO_HOOKS": "1"}, False),
    ],
)
def test_a_hook_that_is_off_by_default(
    project: Path, variables: dict[str, str], packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hatchling's variables turn it on and off, even the one with a hyphen in its name."""
    configure(project, TABLE + "enable-by-default = false\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    build(project)
    assert bool(files(project, "dist-venv")) is packs


def test_an_active_environment_is_never_packed(
    project: Path,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """VIRTUAL_ENV and CONDA_PREFIX do not stand in for a missing source."""
    (project / ".venv").unlink()
    monkeypatch.setenv("VIRTUAL_ENV", str(environment))
    monkeypatch.setenv("CONDA_PREFIX", str(environment))
    code, message = told(capfd, project)
    assert code == 1
    assert f"there is no environment at {project}/.venv" in message


def test_the_target_without_a_table_is_the_hook_on_request(project: Path) -> None:
    """`hatch build -t pack-venv` reads the hook's table where it has none of its own."""
    build(project, PackVenvBuilder, directory=None)
    assert files(project, "dist-venv") == PACKED


@pytest.mark.parametrize("before", ["", TABLE.replace("tar.gz", "zip")])
def test_the_target_reads_the_hook_of_wheels(project: Path, before: str) -> None:
    """A hook's table for wheels is read in place of the general one, its output folder too."""
    exclude = "[tool.hatch.build.targets.sdist]\nexclude = ['/out']\n"
    configure(project, f"{before}{WHEEL_TABLE}output-directory = 'out'\n{exclude}")
    build(project, PackVenvBuilder, directory=None)
    assert files(project, "out") == PACKED
    assert not (project / "dist-venv").exists()


def test_the_target_reads_the_hook_in_a_hatch_toml(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """There too it is the target that packs, and not the hook of the wheel that it builds."""
    table = "[build.targets.wheel]\npackages = ['my_app']\n[build.hooks.pack-venv]\n"
    (project / "hatch.toml").write_text(table + "format = 'tar.gz'\n")
    capfd.readouterr()
    build(project, PackVenvBuilder, directory=None)
    assert "".join(capfd.readouterr()).count("  sha256   ") == 1
    assert files(project, "dist-venv") == PACKED


def test_the_target_leaves_nothing_after_a_mistake(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder that hatchling made for the archive is gone again."""
    (project / ".venv").unlink()
    assert told(capfd, project, PackVenvBuilder, directory=None)[0] == 1
    assert sorted(path.name for path in project.iterdir()) == ["my_app", "pyproject.toml"]


FOLLOWING = """\
import json
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Following(BuildHookInterface):
    def finalize(self, version, build_data, artifact_path):
        with open("told.json", "w") as file:
            json.dump(build_data.get("pack_venv_archives"), file)
"""


@pytest.mark.parametrize("form", ["hook", "target"])
def test_following_hooks_learn_the_archives_paths(
    project: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`build_data["pack_venv_archives"]` lists every archive, for the hook and for the target."""
    text = TABLE.replace('"tar.gz"', '["tar.gz", "zip"]')
    configure(project, text + "[tool.hatch.build.hooks.custom]\n")
    (project / "hatch_build.py").write_text(FOLLOWING)
    monkeypatch.chdir(project)
    if form == "hook":
        build(project)
    else:
        build(project, PackVenvBuilder, directory=None)
    paths = [Path(path) for path in json.loads((project / "told.json").read_text())]
    assert [path.suffix for path in paths] == [".gz", ".zip"]
    assert all(path.is_file() and path.parent == project / "dist-venv" for path in paths)


def test_the_build_directory_of_the_project_is_followed(project: Path) -> None:
    """`tool.hatch.build.directory` moves the wheel, not the archives."""
    configure(project, '[tool.hatch.build]\ndirectory = "build/packages"\n' + TABLE)
    build(project, directory=None)
    assert files(project, "build/packages") == ["my_app-1.0-py3-none-any.whl"]
    assert files(project, "dist-venv") == PACKED
    assert not (project / "dist").exists()


def test_a_source_outside_of_the_project(tmp_path: Path, environment: Path) -> None:
    """A project below the repository's root packs the environment at the root."""
    (tmp_path / ".venv").symlink_to(environment)
    root = make_project(tmp_path / "packages" / "app", environment, TABLE)
    (root / ".venv").unlink()
    configure(root, TABLE + 'source = "../../.venv"\n')
    build(root)
    assert files(root, "dist-venv") == PACKED


# Uploads


@pytest.mark.parametrize(
    ("output", "format", "reason"),
    [
        ("dist", "tar.gz", "No PKG-INFO in archive or PKG-INFO missing 'Metadata-Version'"),
        ("dist", "tar.zst", "Unknown distribution format: 'my-app-1.0-"),
        ("dist/archives", "tar.gz", "Unknown distribution format: 'archives'"),
    ],
)
def test_archives_among_the_packages_are_warned_of(
    project: Path, output: str, format: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The warning quotes what twine then really says."""
    configure(project, TABLE.replace("tar.gz", format) + f'output-directory = "{output}"\n')
    code, message = told(capfd, project)
    assert code == 0
    assert 'pack-venv: the archives are in dist: `twine upload dist/*` will stop with "Inv' in (
        message
    )
    assert reason in message
    assert ("`hatch publish` will mistake the archive for an sdist" in message) is (
        (output, format) == ("dist", "tar.gz")
    )
    paths = sorted((project / "dist").iterdir())
    done = subprocess.run(
        [tool("twine"), "check", *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert f"InvalidDistribution: {reason}" in said
