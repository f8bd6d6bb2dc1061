"""Editable installs of every backend, by pip and uv: packed, moved, run with originals hidden."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import make_environment, run, tool
from support.interpreters import Python, bundlable
from support.machine import needs
from support.projects import DEVELOPED, SAMPLES
from support.trees import State, extract, make_wheel, tree_state

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.scan.probe import read_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]
BARE: Final = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
TOOLS: Final = [
    "flit_core",
    "hatchling",
    "pdm-backend",
    "poetry-core",
    "uv_build",
    "meson",
    "ninja",
]
BACKENDS: Final = {
    "uv": [*TOOLS, "setuptools", "meson-python", "scikit-build-core", "cmake"],
    # The last setuptools with `setup.py develop` of its own, and older forms of the finders.
    "pip": [
        *TOOLS,
        "setuptools<80",
        "wheel",
        "meson-python<0.15",
        "scikit-build-core<0.9",
        "cmake<4",
    ],
}
CHECK: Final = """
import importlib, json, sys
from pathlib import Path
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    assert Path(module.__file__).is_relative_to(sys.prefix), module.__file__
    assert importlib.import_module(name + ".sub.mod").x == 1
    assert (Path(module.__file__).parent / "data.txt").read_text().startswith("data of")
for name in ("me_it", "sk_it"):
    extension = importlib.import_module(name + "._ext")
    assert extension.answer() == 42
    assert Path(extension.__file__).is_relative_to(sys.prefix)
assert importlib.import_module("st_module").y == 2
assert importlib.import_module("spaced.one").z == 3
print(json.dumps([sys.prefix, sys.path]))
"""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment with editable installs."""

    python: Python
    prefix: Path
    projects: Path
    names: list[str]

    @property
    def modules(self) -> list[str]:
        """Return the packages of the projects."""
        return [name.replace("-", "_") for name in self.names]

    def plan(self, **options: object) -> PackPlan:
        """Return the plan for packing the environment."""
        keys = {key.replace("_", "-"): value for key, value in options.items()}
        parsed = PackOptions.from_mapping({"interpreter": "target", **keys})
        return plan_source(Source.of(read_environment(self.prefix), parsed), None)


@pytest.fixture(scope="module", params=["uv", "pip"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """Install every sample, and uninstall the backends afterwards."""
    by: str = request.param
    folder = tmp_path_factory.mktemp(by)
    python = bundlable()[-1] if by == "uv" else bundlable()[0]
    prefix, projects = folder / "environment", folder / "projects"
    make_environment(prefix, python, ["pip", "editables", *BACKENDS[by]], by="uv")
    for name, sample in SAMPLES.items():
        sample.write(projects, name)
    variables = {**os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    inside = ["--python", str(prefix / "bin/python")]
    pip = [str(prefix / "bin/python"), "-m", "pip", "install", "--no-deps"]
    command = [tool("uv"), "pip", "install", *inside] if by == "uv" else pip
    for settings in sorted({sample.settings for sample in SAMPLES.values()}, key=str):
        names = [name for name, sample in SAMPLES.items() if sample.settings == settings]
        wanted = [argument for name in names for argument in ("--editable", str(projects / name))]
        given = ["--config-settings", settings] if settings else []
        run(*command, "--no-build-isolation", *given, *wanted, env=variables)
    names = list(SAMPLES)
    if by == "pip":
        project = DEVELOPED.write(projects, "st-dev")
        run(prefix / "bin/python", "setup.py", "develop", "--no-deps", cwd=project, env=variables)
        names.append("st-dev")
    run(tool("uv"), "pip", "uninstall", *inside, *(each.split("<")[0] for each in BACKENDS[by]))
    return Installed(python=python, prefix=prefix, projects=projects, names=names)


@pytest.fixture(scope="module")
def moved(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack with `--editables copy`, unpack elsewhere and move; the source is only read."""
    folder = tmp_path_factory.mktemp("moved é")
    before = [facts_of(each) for each in (installed.prefix, installed.projects)]
    options = ["--editables", "copy", "--format", "tar"]
    run(tool("pack-venv"), "pack", installed.prefix, "-o", folder / "app", *options)
    assert [facts_of(each) for each in (installed.prefix, installed.projects)] == before
    with tarfile.open(folder / "app.tar") as tar:
        extract(tar, folder / "first")
    (root,) = (folder / "first").iterdir()
    return root.rename(folder / "sec ond")


def facts_of(root: Path) -> State:
    """Return the state of a tree without link counts, which other users of uv's cache change."""
    return {name: (*facts[:2], *facts[3:]) for name, facts in tree_state(root).items()}


def hidden(installed: Installed, *command: str | Path) -> str:
    """Run a command where the environment, the projects and the interpreter are hidden."""
    hide = [installed.prefix, installed.projects, installed.python.prefix]
    done = hiding.run_hidden(command, hide=hide, env=BARE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def site_of(root: Path) -> Path:
    (site,) = root.glob("lib/python3.*/site-packages")
    return site


def test_copies_run_where_nothing_of_the_source_is(installed: Installed, moved: Path) -> None:
    """Packages and modules import, extension modules too, with their data; every script runs."""
    prefix, path = json.loads(
        hidden(installed, moved / "bin/python", "-c", CHECK, *installed.modules)
    )
    assert prefix == str(moved)
    assert all(entry.startswith(prefix) for entry in path if entry)
    for name, module in zip(installed.names, installed.modules, strict=True):
        assert hidden(installed, moved / f"bin/run-{name}") == f"{module} data of {name}\n"
    if "st-dev" in installed.names:
        assert hidden(installed, moved / "bin/old-script").startswith("script of <module 'st_dev'")


def test_nothing_editable_is_left_of_copies(installed: Installed, moved: Path) -> None:
    """No finder, path file, link or URL is packed, and no file names the projects' folder."""
    site = site_of(moved)
    left = [path.name for path in site.iterdir() if "edit" in path.name and path.suffix]
    assert [name for name in left if not name.startswith("editables-")] == []
    names = ("distutils-precedence", "_virtualenv", "_pack_venv_libraries")
    own = {f"{name}.pth" for name in names}
    assert {path.name for path in site.glob("*.pth")} <= own
    assert list(site.glob("*.egg-link")) == []
    assert list(site.glob("*/direct_url.json")) == []
    assert {"tests", "setup", "ext"}.isdisjoint(path.name.split(".")[0] for path in site.iterdir())
    needle = str(installed.projects).encode()
    named = [
        path.name
        for path in moved.rglob("*")
        if path.is_file() and path.suffix != ".so" and needle in path.read_bytes()
    ]
    assert named == []


def record_of(site: Path, module: str) -> Iterator[tuple[Path, str, str]]:
    (record,) = site.glob(f"{module}-1.0.dist-info/RECORD")
    for name, digest, size in csv.reader(record.read_text().splitlines()):
        yield site / name, digest, size


def test_records_of_copies_are_true(installed: Installed, moved: Path) -> None:
    """Each RECORD lists the copied files, with their actual hashes and sizes."""
    site = site_of(moved)
    for module in installed.modules:
        rows = list(record_of(site, module))
        packed = {path for path in (site / module).rglob("*") if path.is_file()}
        assert packed <= {path.resolve() for path, _, _ in rows}
        for path, digest, size in rows:
            if path.name != "RECORD":
                content = path.read_bytes()
                encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
                assert (digest, size) == (f"sha256={encoded.rstrip('=')}", str(len(content)))


def test_copies_can_be_uninstalled(installed: Installed, moved: Path, tmp_path: Path) -> None:
    """A copy is an ordinary distribution to pip, which removes every file of it."""
    root = tmp_path / "copy"
    run("cp", "-a", moved, root)
    listed = json.loads(
        hidden(installed, root / "bin/python", "-m", "pip", "list", "--format=json")
    )
    ours = [each for each in listed if each["name"] in installed.names]
    assert sorted(each["name"] for each in ours) == sorted(installed.names)
    assert [each for each in listed if "editable_project_location" in each] == []
    hidden(installed, root / "bin/python", "-m", "pip", "uninstall", "-y", *installed.names)
    names = {*installed.modules, "st_module.py", "spaced"}
    left = [path for path in site_of(root).rglob("*") if names & set(path.parts)]
    assert [path for path in left if not path.is_dir()] == []  # a namespace's folder stays
    assert [path.name for path in (root / "bin").iterdir() if path.name.startswith("run-")] == []


def test_each_is_refused_by_name(installed: Installed) -> None:
    """By default one sentence counts them, and names some with source folders, and the remedies."""
    with pytest.raises(PlanError) as caught:
        installed.plan()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{len(installed.names)} ")
    listed = [n for n in installed.names if f"{n} ({installed.projects / n})" in problem]
    assert len(listed) > 2
    assert f" and {len(installed.names) - len(listed)} more: " in problem
    for way in ("`wheels`", '"copy"', '"exclude"', '"required"'):
        assert way in problem


def test_excluded_ones_leave_nothing(installed: Installed) -> None:
    """With `exclude` none of their files is planned, not even a path file."""
    planned = installed.plan(editables="exclude")
    names = [entry.arcname for entry in planned.entries]
    assert [name for name in names if name.startswith("bin/run-") or "old-script" in name] == []
    for each in (*installed.modules, *installed.names, "easy-install", "editable_"):
        assert [name for name in names if each in name] == [], each
    listed = {each["name"] for each in planned.head["distributions"]}
    assert {"editables", "pip"} <= listed
    assert listed.isdisjoint(installed.names)


@pytest.mark.parametrize("rule", ["copy", "exclude"])
def test_the_project_follows_the_rule_too_if_asked_for_as_installed(
    installed: Installed, rule: str
) -> None:
    """With `project = "installed"` an editable project is treated like the others."""
    table = {"interpreter": "target", "project": "installed", "editables": rule}
    environment = read_environment(installed.prefix)
    project = Project(name="ha-src", wheel=installed.projects / "not-used.whl")
    planned = plan_source(Source.of(environment, PackOptions.from_mapping(table)), project)
    names = [entry.arcname for entry in planned.entries]
    assert any("ha_src" in name for name in names) is (rule == "copy")


def test_what_is_packed_may_not_require_excluded_ones(installed: Installed, tmp_path: Path) -> None:
    """A wheel that requires an excluded one is reported with it; a false marker does not count."""
    requires = b"Requires-Dist: fl-it>=1\nRequires-Dist: po-it; python_version < '3'\n"
    wheel = make_wheel(tmp_path, {}, metadata=requires)
    with pytest.raises(PlanError) as caught:
        installed.plan(editables="exclude", wheels=[str(wheel)])
    (problem,) = caught.value.problems
    assert problem.startswith("my-app requires fl-it, an editable install that")


def test_a_wheel_replaces_every_style(installed: Installed, tmp_path: Path) -> None:
    """Only the files of its wheel are left of each editable install, including the project's."""
    wheels = [
        make_wheel(tmp_path, {f"{module}/new.py": b""}, f"{module}-2.0-py3-none-any.whl")
        for module in installed.modules
    ]
    parsed = PackOptions.from_mapping(
        {
            "interpreter": "target",
            "include-files": ["__pycache__"],
            "wheels": list(map(str, wheels[1:])),
        }
    )
    environment = read_environment(installed.prefix)
    project = Project(name=installed.names[0], wheel=wheels[0])
    planned = plan_source(Source.of(environment, parsed), project)
    names = [entry.arcname for entry in planned.entries]
    site = environment.site_packages[0]
    for name, module in zip(installed.names, installed.modules, strict=True):
        info = f"{site}/{module}-2.0.dist-info"
        assert {each for each in names if module in each or name in each} == {
            *(f"{site}/{module}", f"{site}/{module}/new.py"),
            *(info, f"{info}/INSTALLER", f"{info}/METADATA", f"{info}/RECORD", f"{info}/WHEEL"),
        }
    assert [name for name in names if "easy-install" in name or "old-script" in name] == []
