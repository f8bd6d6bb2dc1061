"""The environment checked against the project, by the hook, the target and the command."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name
from support.environments import install
from support.projects import PYPROJECT, TABLE, build, files, make_project
from support.trees import make_wheel, tree_state

from hatch_pack_venv.cli.main import main
from hatch_pack_venv.hatch.target import PackVenvBuilder

if TYPE_CHECKING:
    from pathlib import Path

# name-version: what it requires, and its files
WHEELS: dict[str, tuple[str, dict[str, bytes]]] = {
    "web-1.0": ("part_a\npart-b; extra == 'b'", {"web/__init__.py": b"import space.a\n"}),
    "part_a-1.0": ("", {"space/a.py": b"", "part_a-1.0.data/data/share/a": b"a"}),
    "part_b-1.0": ("", {"space/b.py": b"", "part_b-1.0.data/data/share/b": b"b"}),
    "tool-1.0": ("web>=9", {"tool.py": b"def main():\n    pass\n"}),
}
LOCK = """\
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "web"
version = "{version}"
directory = {{path = "web"}}
[[packages]]
name = "part-a"
directory = {{path = "a"}}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment in which a project's needs and a developer's tool are installed."""
    folder = tmp_path_factory.mktemp("environment")
    path = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    wheels = []
    for name, (requires, contents) in WHEELS.items():
        lines = "".join(f"Requires-Dist: {line}\n" for line in requires.splitlines())
        metadata = f"Provides-Extra: b\n{lines}".encode()
        points = {f"{name}.dist-info/entry_points.txt": b"[console_scripts]\ntool = tool:main\n"}
        contents = {**contents, **(points if name.startswith("tool") else {})}
        wheels.append(make_wheel(folder, contents, f"{name}-py3-none-any.whl", metadata))
    install(path, "--no-deps", "--offline", *wheels)
    (path / "share/mine").write_text("mine")
    return path


def project(root: Path, environment: Path, *requires: str, table: str = "") -> Path:
    made = make_project(root, environment, TABLE + table)
    text = (made / "pyproject.toml").read_text()
    extra = '[project.optional-dependencies]\nb = ["web[b]"]\n\n[project.scripts]'
    text = text.replace("[project.scripts]", extra)
    text = text.replace("requires-python", f"dependencies = {list(requires)!r}\nrequires-python")
    (made / "pyproject.toml").write_text(text)
    assert text.startswith(PYPROJECT[:80])
    return made


def refused(root: Path, capfd: pytest.CaptureFixture[str], **arguments: Any) -> list[str]:
    with pytest.raises(SystemExit):
        build(root, **arguments)
    assert not list(root.glob("dist-venv/*"))
    return capfd.readouterr().err.strip().splitlines()


def packed(root: Path, folder: str = "dist-venv") -> tuple[dict[str, Any], set[str]]:
    """Return the facts next to the archive, and the names of its files."""
    (archive,) = (root / folder).glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar if member.isfile()}
    facts: dict[str, Any] = json.loads(archive.with_name(f"{archive.name}.json").read_text())
    return facts, {name.rpartition("site-packages/")[2] for name in names}


def distributions(facts: dict[str, Any]) -> list[str]:
    return [canonicalize_name(each["name"]) for each in facts["manifest"]["distributions"]]


def test_a_release_whose_needs_are_not_met_is_not_packed(
    environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All findings come in one message; what a developer's tool requires is none of them."""
    root = project(tmp_path / "project", environment, "web>=2", "absent")
    assert refused(root, capfd)[-3:] == [
        f"pack-venv: {root}/.venv cannot be packed:",
        "  - absent is required by my-app 1.0; the environment has none",
        "  - web>=2 is required by my-app 1.0; the environment has web 1.0",
    ]


def test_it_is_packed_with_warnings_where_that_is_wished(
    environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`check = "warn"` reports them as warnings and packs."""
    root = project(tmp_path / "project", environment, "web>=2", table='check = "warn"\n')
    build(root)
    assert distributions(packed(root)[0]) == ["my-app", "part-a", "part-b", "tool", "web"]
    assert capfd.readouterr().err.splitlines()[:2] == [
        "web>=9 is required by tool 1.0; the environment has web 1.0",
        "web>=2 is required by my-app 1.0; the environment has web 1.0",
    ]


def test_what_is_not_required_is_left_behind(
    environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Packages, launchers and data are left out, even in a shared namespace; unowned files stay."""
    root = project(tmp_path / "project", environment, "web", table='distributions = "required"\n')
    before = tree_state(environment)
    build(root)
    assert tree_state(environment) == before
    facts, names = packed(root)
    assert distributions(facts) == ["my-app", "part-a", "web"]
    assert {"web/__init__.py", "space/a.py", "share/a", "share/mine", "bin/my-app"} <= names
    assert not names & {"tool.py", "bin/tool", "space/b.py", "share/b"}
    assert not any(name.startswith(("tool", "part_b")) for name in names)
    assert [each["name"] for each in facts["distributions"]["left_out"]] == ["part_b", "tool"]
    assert facts["distributions"]["files_of_no_distribution"] == ["share/mine"]
    told = capfd.readouterr().err.splitlines()
    assert told[0].startswith("packed 3 of 5 distributions, ")
    assert told[1] == "1 file that no distribution owns was kept (-v names them)"


def test_extras_and_what_is_kept_come_with_their_needs(environment: Path, tmp_path: Path) -> None:
    """`extras` adds the project's extras, `keep` a distribution that nothing requires."""
    table = 'distributions = "required"\nextras = ["b"]\n'
    root = project(tmp_path / "extras", environment, "web", table=table)
    build(root)
    assert distributions(packed(root)[0]) == ["my-app", "part-a", "part-b", "web"]
    table = 'distributions = "required"\nkeep = ["Tool"]\ncheck = "off"\n'
    root = project(tmp_path / "keep", environment, table=table)
    build(root)
    facts, names = packed(root)
    assert distributions(facts) == ["my-app", "part-a", "tool", "web"]
    assert "bin/tool" in names


def test_an_editable_install_that_nothing_needs_is_no_problem(tmp_path: Path) -> None:
    """It stays behind with its path file; one that is required is refused as ever."""
    path = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    wheel = make_wheel(tmp_path, {"dev.pth": b"/nowhere/src\n"}, "dev-1.0-py3-none-any.whl")
    install(path, "--no-deps", "--offline", wheel)
    table = 'distributions = "required"\n'
    root = project(tmp_path / "without", path, table=table)
    build(root)
    facts, names = packed(root)
    assert distributions(facts) == ["my-app"]
    assert "dev.pth" not in names
    root = project(tmp_path / "with", path, "dev", table=table)
    with pytest.raises(SystemExit):
        build(root)


@pytest.mark.parametrize("by", ["hook", "target"])
def test_the_needs_of_a_project_that_stays_out_are_packed(
    environment: Path, tmp_path: Path, by: str
) -> None:
    """With `project = "exclude"`, its requirements are packed without it."""
    table = 'distributions = "required"\nproject = "exclude"\n'
    root = project(tmp_path / "project", environment, "web", table=table)
    if by == "hook":
        build(root)
        facts, names = packed(root)
    else:
        build(root, PackVenvBuilder, directory=str(root / "out"))
        facts, names = packed(root, "out")
    assert distributions(facts) == ["part-a", "web"]
    assert "my_app/__init__.py" not in names


def test_a_lock_file_lies_in_the_project(
    environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its path is relative to the project; versions that differ from it are refused."""
    table = 'distributions = "required"\nlock = "locks/pylock.toml"\n'
    root = project(tmp_path / "project", environment, "web", table=table)
    (root / "locks").mkdir()
    assert refused(root, capfd)[-1] == (
        f"pack-venv: there is no lock file {root}/locks/pylock.toml: export it first"
    )
    (root / "locks/pylock.toml").write_text(LOCK.format(version="1.1"))
    assert refused(root, capfd)[-1] == (
        f"pack-venv: {root}/.venv cannot be packed: pylock.toml locks web 1.1; the environment has"
        " web 1.0"
    )
    (root / "locks/pylock.toml").write_text(LOCK.format(version="1.0"))
    build(root)
    assert "my-app" in distributions(packed(root)[0])


def test_what_is_too_large_is_not_written(
    environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`max-size` ends the build with the largest distributions and their sizes."""
    root = project(tmp_path / "project", environment, "web", table='max-size = "1kB"\n')
    told = refused(root, capfd)[-1]
    assert "bytes), exceeds max-size (1.0 kB); the largest parts are the inter" in told
    assert ", my-app 1.0 " in told
    assert files(root, "dist-venv") == []


def command(*arguments: object) -> object:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code


def test_the_command_begins_at_what_is_kept(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--keep` names the roots; a dry run says why files are left out, also as JSON."""
    choice = ["--distributions", "required", "--keep", "web", "--interpreter", "target"]
    assert command("pack", environment, "--dry-run", *choice) == 0
    assert "of tool 1.0, not required" in capsys.readouterr().out
    assert command("pack", environment, "--dry-run", "--json", *choice) == 0
    told = json.loads(capsys.readouterr().out)
    left = {step["path"]: step["why"] for step in told["left_out"]}
    assert left["bin/tool"] == "of tool 1.0, not required"
    assert told["distributions"]["packed"] == 2
    target = tmp_path / "exported"
    assert command("export", environment, target, *choice) == 0
    assert not (target / "bin/tool").exists()
    assert (target / "share/a").read_text() == "a"


def test_the_command_only_warns_without_a_beginning(environment: Path, tmp_path: Path) -> None:
    """Without roots every conflict is a warning, and `required` is refused."""
    target = ["--interpreter", "target", "--format", "tar", "-o", tmp_path / "app"]
    assert command("pack", environment, *target) == 0
    assert command("pack", environment, *target, "--distributions", "required") != 0
    assert command("pack", environment, *target, "--max-size", "10kB", "--dry-run") != 0
    assert command("pack", environment, *target, "--check", "no") != 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"app.tar", "app.tar.json", "app.tar.cdx.json"}
