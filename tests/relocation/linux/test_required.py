"""`distributions = "required"` compared with what uv resolves, for real distributions."""

from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import hiding
from support.environments import install, make_environment, run, tool
from support.interpreters import bundlable
from support.machine import needs
from support.projects import build_wheel, copy_project
from support.trees import extract

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.pack import pack_project
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.requirements.check import PrunedDistributions
from hatch_pack_venv.requirements.closure import by_key, closure_of, marker_environment
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.walk import scan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]

# Extras, extras of extras, markers, namespace packages, plugins found by entry points.
APPLICATIONS: Final = [
    "azure-identity",
    "black[d]",
    "celery[redis]",
    "coverage[toml]",
    "django",
    "fastapi[standard]",
    "flask[async]",
    "google-cloud-storage",
    "hatch",
    "httpx[cli,http2]",
    "jsonschema[format]",
    "mkdocs-material",
    "pydantic[email]",
    "pytest-cov",
    "requests[socks]",
    "scrapy",
    "sphinx",
    "sqlalchemy[asyncio]",
    "tox",
    "twine",
    "twisted[tls]",
    "uvicorn[standard]",
    "zope.interface",
]
TOOLS: Final = ["jupyterlab", "mypy", "pip", "pytest", "ruff", "zope.interface"]
BARE: Final = {"PATH": "/usr/bin:/bin"}


def installed(prefix: Path) -> dict[str, str]:
    """Return the versions of the installed distributions, as uv sees them."""
    listed = run(tool("uv"), "pip", "list", "--format=json", "--python", prefix / "bin/python")
    found = json.loads(listed[listed.index("[") : listed.rindex("]") + 1])
    return {canonicalize_name(each["name"]): each["version"] for each in found}


def pack_service(folder: Path, plugin_wheels: Path, **table: Any) -> tuple[Path, Path, Path]:
    """Pack the service from a development environment; return project, wheel and unpacked root.

    The environment contains the tools of a developer, and the project as an editable install.
    """
    project = copy_project("service", folder / "project")
    environment = make_environment(
        project / ".venv", bundlable()[-1], ["markupsafe", "pydantic", *TOOLS], by="uv"
    )
    variables = {**os.environ, "UV_FIND_LINKS": str(plugin_wheels), "HATCH_PACK_VENV_SKIP": "1"}
    install(environment, "--editable", project, variables=variables)
    wheel = build_wheel("service", folder)
    options = {"distributions": "required", "format": "tar", **table}
    (result,) = pack_project(
        Source.read(environment, PackOptions.from_mapping(options)),
        folder / "packed",
        Project(name="service", version="0.3.1", wheel=wheel, root=project),
    )
    with tarfile.open(result.path) as tar:
        extract(tar, folder / "unpacked")
    (root,) = (folder / "unpacked").iterdir()
    return project, wheel, root


def test_a_development_environment_gives_what_uv_resolves(
    tmp_path: Path, plugin_wheels: Path
) -> None:
    """Exactly the distributions that the wheel needs in an empty environment are packed and run."""
    project, wheel, root = pack_service(tmp_path, plugin_wheels)
    python = bundlable()[-1]
    fresh = make_environment(tmp_path / "fresh", python, [str(wheel)], by="uv")
    assert installed(root) == installed(fresh)
    run(tool("uv"), "pip", "check", "--python", root / "bin/python")
    site = f"lib/python{python.minor}/site-packages"
    ours = {path.name for path in (root / site).iterdir()}
    theirs = {path.name for path in (fresh / site).iterdir() if path.name[:1] != "_"}
    modules = ("_virtualenv", "_pack_venv_libraries")
    own = {f"{name}{suffix}" for name in modules for suffix in (".pth", ".py")}
    assert ours - {"__pycache__", *own} == theirs
    commands = {path.name for path in (root / "bin").iterdir()}
    commands = {name for name in commands if not name.lower().startswith(("python", "activate"))}
    assert commands == {"service-admin", "service-api", "service-panel"}

    def ask(command: str, *arguments: str) -> str:
        words = [str(root / "bin" / command), *arguments]
        hide = [project, fresh, tmp_path / "service", python.prefix]
        done = hiding.run_hidden(words, hide=hide, env=BARE)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    facts = json.loads(ask("service-admin"))
    assert facts["prefix"] == facts["child"] == str(root)
    assert facts["doubled"] == [42]
    assert facts["config"] == 'greeting = "configured"'
    assert ask("service-api", "2", "<b>") == "2 &lt;b&gt; markupsafe._speedups"
    assert ask("service-panel") == "panel"

    facts = json.loads((tmp_path / "packed" / _only_json(tmp_path / "packed")).read_text())
    told = facts["distributions"]
    assert told["packed"] == len(installed(root))
    left = {canonicalize_name(each["name"]) for each in told["left_out"]}
    assert left == installed(project / ".venv").keys() - installed(root).keys()


def _only_json(folder: Path) -> str:
    (name,) = (path.name for path in folder.glob("*.tar.json"))
    return name


def names(entries: Iterable[ScannedEntry]) -> set[str]:
    """Return the arcnames of files, links and folders, except for bytecode."""
    return {entry.arcname for entry in entries if "__pycache__" not in entry.arcname}


def test_applications_are_what_a_fresh_installation_gives(tmp_path: Path) -> None:
    """Out of one environment with all of them, each gets exactly its own distributions and files.

    They are compared with those that uv installs for it alone into an empty environment.
    """
    python = bundlable()[-1]
    environment = read_environment(
        make_environment(tmp_path / "env", python, APPLICATIONS, by="uv")
    )
    scanned = list(scan(environment))
    there = by_key(environment.distributions)
    markers = marker_environment(environment.interpreter)
    versions = tmp_path / "constraints.txt"
    versions.write_text("".join(f"{key}=={each.version}\n" for key, each in there.items()))
    for application in APPLICATIONS:
        fresh = make_environment(tmp_path / "fresh" / application, python, by="uv")
        install(fresh, "--constraints", versions, application)
        alone = read_environment(fresh)
        root = Requirement(application)
        ours = closure_of({canonicalize_name(root.name): root.extras}, there, markers)
        assert ours.members == by_key(alone.distributions).keys(), application
        assert ours.members < there.keys()
        pruned = PrunedDistributions.of(environment, ours.members)
        assert names(pruned.applied(scanned, Selection().brings_back)) == names(scan(alone)), (
            application
        )
