"""Launchers do on the target what they do at home, with the environment and its Python hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.environments import install, make_environment, run
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import make_wheel

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("namespaces", "shared CPython")
BARE: Final = {"PATH": "/usr/bin:/bin"}
OPTIONS: Final = PackOptions.from_mapping({"format": "tar", "vendor-libraries": False})


@pytest.fixture(scope="module")
def python() -> Python:
    return bundlable()[-1]


def wheel(folder: Path, name: str) -> Path:
    """Make a wheel whose script is called `tool` and prints the wheel's name."""
    module = f"import os\n\ndef main():\n    print('{name}', os.environ.get('REGION'))\n"
    points = f"[console_scripts]\ntool = {name}:main\n"
    files = {f"{name}.py": module, f"{name}-1.0.dist-info/entry_points.txt": points}
    return make_wheel(
        folder,
        {path: text.encode() for path, text in files.items()},
        name=f"{name}-1.0-py3-none-any.whl",
    )


def moved(env: Path, tmp_path: Path) -> Path:
    (result,) = pack(env, tmp_path / "app", OPTIONS)
    run("tar", "-xf", result.path, "-C", tmp_path / "there")
    return tmp_path / "there/env"


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("order", [("alpha", "beta"), ("beta", "alpha")])
def test_of_two_scripts_of_one_name_the_last_runs_as_at_home(
    python: Python, tmp_path: Path, order: tuple[str, str], *, edited: bool
) -> None:
    """The launcher is that of the distribution installed last, including what was edited in it."""
    (tmp_path / "there").mkdir()
    env = make_environment(tmp_path / "env", python, by="uv")
    for name in order:
        install(env, "--offline", "--no-index", wheel(tmp_path, name))
    if edited:
        script = env / "bin/tool"
        head, _, body = script.read_text().partition("\n")
        script.write_text(f"{head}\nimport os; os.environ['REGION'] = 'eu'\n{body}")
    before = run(env / "bin/tool", env=BARE)
    assert before.split() == [order[1], "eu" if edited else "None"]
    root = moved(env, tmp_path)
    hide = [env, python.path.resolve().parents[1]]
    done = hiding.run_hidden([root / "bin/tool"], hide=hide, env=BARE)
    assert done.stdout == before, done.stderr
