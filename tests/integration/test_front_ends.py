"""Real front ends on copies of the test projects, without an index: what each leaves behind."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.environments import install, make_environment, run, tool
from support.interpreters import newest_of_each
from support.machine import needs
from support.projects import copy_project

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = "greeter-1.2.0-py3-none-any.whl"
SDIST = "greeter-1.2.0.tar.gz"
PACKED = ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]
BOTH = {"dist": [WHEEL, SDIST]}

SDIST_FILES = [
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
    "src/greeter/__init__.py",
    "src/greeter/__main__.py",
    "src/greeter/cli.py",
    "src/greeter/data/greetings.json",
]
WHEEL_FILES = [
    "greeter-1.2.0.dist-info/METADATA",
    "greeter-1.2.0.dist-info/RECORD",
    "greeter-1.2.0.dist-info/WHEEL",
    "greeter-1.2.0.dist-info/entry_points.txt",
    "greeter/__init__.py",
    "greeter/__main__.py",
    "greeter/cli.py",
    "greeter/data/greetings.json",
]


@pytest.fixture
def project(tmp_path: Path, offline: dict[str, str]) -> Path:
    """Copy greeter, with a prepared environment and target mode, which any Python can have."""
    root = copy_project("greeter", tmp_path / "project")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write('interpreter = "target"\nformat = "tar.gz"\n')
    make_environment(root / ".venv", newest_of_each()[-1], by="uv")
    install(root / ".venv", "humanize", "pip", variables=offline)
    return root


def left(root: Path, *folders: str) -> dict[str, list[str]]:
    """Return what is in the output folders, with archives by their formats."""
    found = {}
    for folder in folders or ("dist", "dist-venv"):
        if (root / folder).is_dir():
            names = sorted(path.name for path in (root / folder).iterdir())
            found[folder] = [n.partition("linux_")[2].partition(".")[2] or n for n in names]
    return found


def check_contents(folder: Path) -> None:
    """Compare the files in sdist and wheel, where there are any, with what belongs there."""
    for sdist in folder.glob("*.tar.gz"):
        with tarfile.open(sdist) as tar:
            names = sorted(name.partition("/")[2] for name in tar.getnames())
        assert names == SDIST_FILES
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            assert sorted(archive.namelist()) == WHEEL_FILES


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("hatch build", {**BOTH, "dist-venv": PACKED}),
        ("hatch build -t wheel", {"dist": [WHEEL], "dist-venv": PACKED}),
        ("hatch build -t sdist", {"dist": [SDIST]}),
        ("hatch build -t pack-venv", {"dist-venv": PACKED}),
        ("hatch build --ext", {"dist": []}),
        ("hatch build --no-hooks", BOTH),
        ("hatch build --clean --clean-hooks-after", BOTH),
        ("python -m hatchling build", {**BOTH, "dist-venv": PACKED}),
        ("python -m build --wheel", {"dist": [WHEEL], "dist-venv": PACKED}),
        ("python -m build --no-isolation", BOTH),
        ("uv build --wheel", {"dist": [".gitignore", WHEEL], "dist-venv": PACKED}),
        ("uv build", {"dist": [".gitignore", WHEEL, SDIST]}),
        ("uv pip install --python {env} .", {}),
        ("uv pip install --python {env} --editable .", {}),
        ("uv sync --no-editable", {}),
        ("uv sync", {}),
        ("{env}/bin/python -m pip install .", {}),
        ("{env}/bin/python -m pip install --editable .", {}),
        ("python -m pip wheel --no-deps -w {out} .", {}),
        ("hatch env create", {}),
    ],
)
def test_what_each_front_end_leaves(
    project: Path, offline: dict[str, str], command: str, expected: dict[str, list[str]]
) -> None:
    """A release is packed, an installation and a build from an sdist are not; twice in a row."""
    if command.endswith("pack-venv"):
        _configure_target(project)
    words = command.format(env=project / ".venv", out=project.parent / "out").split()
    if words[0] in ("hatch", "uv"):
        words[0] = tool(words[0])
    elif words[0] == "python":
        words[0] = sys.executable
    for _ in range(2):
        run(*words, cwd=project, env=offline)
        assert left(project) == expected
        check_contents(project / "dist")


def _configure_target(project: Path) -> None:
    """Move the configuration to the target, as the documentation advises for published projects."""
    path = project / "pyproject.toml"
    text = path.read_text().replace('"hatchling", "hatch-pack-venv"', '"hatchling"')
    text = text.replace("build.hooks.pack-venv]", "build.targets.pack-venv]")
    text += 'dependencies = ["hatch-pack-venv"]\n'
    path.write_text(text + '\n[tool.hatch.build.targets.sdist]\nexclude = ["/dist-venv"]\n')


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        # hatch starts builds through /bin/sh, and dash drops variables with a hyphen.
        ("HATCH_BUILD_HOOKS_ENABLE", "hatch build -t wheel"),
        ("HATCH_BUILD_HOOK_ENABLE_PACK-VENV", "python -m hatchling build -t wheel"),
        ("HATCH_BUILD_HOOK_ENABLE_PACK-VENV", "uv build --wheel"),
    ],
)
def test_a_hook_that_is_off_is_turned_on_for_a_build(
    project: Path, offline: dict[str, str], variable: str, command: str
) -> None:
    """The documented variables turn the hook on through real front ends."""
    with (project / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write("enable-by-default = false\n")
    words = command.split()
    words[0] = sys.executable if words[0] == "python" else tool(words[0])
    run(*words, cwd=project, env=offline)
    assert left(project, "dist-venv") == {}
    run("env", f"{variable}=1", *words, cwd=project, env=offline)
    assert left(project, "dist-venv") == {"dist-venv": PACKED}


def test_locations_are_followed(project: Path, offline: dict[str, str]) -> None:
    """`hatch build LOCATION` moves wheel and sdist; the target's archive goes there, too."""
    out = project.parent / "out"
    run(tool("hatch"), "build", out, cwd=project, env=offline)
    assert left(out.parent, "out") == {"out": [WHEEL, SDIST]}
    assert left(project) == {"dist-venv": PACKED}
    run(tool("hatch"), "build", "-t", "pack-venv", out / "archives", cwd=project, env=offline)
    assert left(out, "archives") == {"archives": PACKED}
    assert left(project) == {"dist-venv": PACKED}


def test_hatch_clean_removes_what_was_built(project: Path, offline: dict[str, str]) -> None:
    """After `hatch build` and `hatch clean` no archive, wheel or sdist is left."""
    run(tool("hatch"), "build", cwd=project, env=offline)
    run(tool("hatch"), "clean", cwd=project, env=offline)
    assert left(project) == {"dist": []}


def test_an_sdist_build_packs_on_request(project: Path, offline: dict[str, str]) -> None:
    """A build from an sdist packs, next to `dist`, only if HATCH_PACK_VENV_SOURCE is set."""
    told = run(sys.executable, "-m", "build", "--no-isolation", cwd=project, env=offline)
    assert told.count("pack-venv: nothing packed, because this is an unpacked sdist") == 1
    asked = {**offline, "HATCH_PACK_VENV_SOURCE": str(project / ".venv")}
    run(tool("uv"), "build", cwd=project, env=asked)
    assert left(project) == {"dist": [".gitignore", WHEEL, SDIST], "dist-venv": PACKED}


@pytest.mark.parametrize("by", ["pip", "uv"])
def test_a_consumer_installs_from_the_sdist(
    project: Path, offline: dict[str, str], by: str, tmp_path: Path
) -> None:
    """The plugin in `build-system.requires` gives a consumer the wheel, one line and no error."""
    run(tool("hatch"), "build", "-t", "sdist", cwd=project, env=offline)
    environment = make_environment(tmp_path / "consumer", newest_of_each()[-1], by="uv")
    if by == "uv":
        install(environment, project / "dist" / SDIST, variables=offline)
    else:
        install(environment, "pip", variables=offline)
        words = ("-m", "pip", "install", "-v", project / "dist" / SDIST)
        told = run(environment / "bin/python", *words, env=offline)
        assert told.count("pack-venv: nothing packed, because ") == 1
    assert run(environment / "bin/greet", "you")
    assert left(project) == {"dist": [SDIST]}


@needs("old CPython")
def test_a_consumer_with_an_older_python_never_meets_the_plugin(
    project: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    """A project in the published form installs from its sdist where the plugin could not run."""
    _configure_target(project)
    run(tool("hatch"), "build", "-t", "sdist", cwd=project, env=offline)
    python = newest_of_each()[0]
    assert python.number < (3, 11)
    environment = make_environment(tmp_path / "consumer", python, by="venv")
    run(environment / "bin/python", "-m", "pip", "install", project / "dist" / SDIST, env=offline)
    assert run(environment / "bin/greet", "you")


def test_a_mistake_reads_well_through_a_front_end(project: Path, offline: dict[str, str]) -> None:
    """`hatch build` shows our one message and fails."""
    with (project / "pyproject.toml").open("a", encoding="utf-8") as configuration:
        configuration.write('sorce = "x"\n')
    with pytest.raises(AssertionError) as caught:
        run(tool("hatch"), "build", "-t", "wheel", cwd=project, env=offline)
    told = str(caught.value)
    assert (
        "pack-venv: the configuration is wrong: tool.hatch.build.hooks.pack-venv.sorce is unknown;"
        " did you mean 'source'?"
    ) in told
    assert "Traceback" not in told
    assert left(project) == {"dist": []}
