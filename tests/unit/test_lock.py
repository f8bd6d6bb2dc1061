"""Installed versions against lock files (PEP 751)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import INTERPRETER, distribution, environment

from hatch_pack_venv.errors import LockProblem
from hatch_pack_venv.lock import Lock
from hatch_pack_venv.needs import Given, find_needs
from hatch_pack_venv.options import PackOptions
from hatch_pack_venv.requirements import marker_environment
from hatch_pack_venv.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 'lock-version = "1.0"\ncreated-by = "a test"\n'
APP = distribution("app", "app.py", requires=("web", "fast; extra == 'speed'"))


def package(name: str, version: str | None = "1.0", **facts: str) -> str:
    lines = [f'name = "{name}"', *(f'{key.replace("_", "-")} = "{x}"' for key, x in facts.items())]
    if version is None:
        lines.append('directory = {path = "."}')
    else:
        lines += [
            f'version = "{version}"',
            f'sdist = {{name = "{name}-{version}.tar.gz", '
            'url = "https://example.org/x", hashes = {sha256 = "00"}}',
        ]
    return "\n".join(["[[packages]]", *lines, ""])


def findings(folder: Path, text: str, *installed: Any, **table: Any) -> list[str]:
    lock = folder / "pylock.toml"
    lock.write_text(HEAD + text)
    options = PackOptions.from_mapping({"lock": str(lock), "check": "off", **table})
    given = Given(environment=environment(*installed), wheels=(APP,), project=APP)
    return list(find_needs(given, options, Selection()).problems)


def installed(name: str, version: str = "1.0") -> Any:
    return distribution(name, f"{name}.py", version=version)


def test_equal_versions_agree(tmp_path: Path) -> None:
    """Versions are compared as versions, names normalised; the project itself is not compared."""
    text = package("app", None) + package("web", "1.0.0") + package("a-b", "2.0rc1")
    assert findings(tmp_path, text, installed("Web", "1"), installed("A_B", "2.0.RC1")) == []


def test_each_disagreement_is_a_sentence(tmp_path: Path) -> None:
    """Another version, none, one that is not locked, another Python, another environment."""
    text = (
        'requires-python = ">=3.12"\nenvironments = ["sys_platform == \'win32\'"]\n'
        'extras = ["docs"]\n'
        + package("web", "1.1")
        + package("gone")
        + package("new", requires_python=">=3.13")
        + package("src", None)
        + package("twice", "1", marker="python_version > '3'")
        + package("twice", "2", marker="python_version > '2'")
    )
    there = [installed("web"), installed("new"), installed("fast", "3"), installed("tool")]
    assert findings(tmp_path, text, *there, extras=["speed"]) == [
        "pylock.toml is for Python >=3.12; the environment has 3.11.7",
        'pylock.toml is for other environments than this one: sys_platform == "win32"',
        "pylock.toml was made without the extra speed",
        "pylock.toml locks web 1.1; the environment has web 1.0",
        "pylock.toml locks gone 1.0; the environment has none",
        "pylock.toml locks new 1.0 for Python >=3.13; the environment has 3.11.7",
        "pylock.toml locks src; the environment has none",
        "pylock.toml locks twice more than once: 1 and 2",
        "fast 3 is required, and pylock.toml does not lock it",
    ]


def test_markers_extras_and_groups_select(tmp_path: Path) -> None:
    """Packages of other platforms, of extras and of groups that are not asked for do not count."""
    text = (
        'extras = ["speed"]\ndependency-groups = ["dev", "ci"]\ndefault-groups = ["dev"]\n'
        + package("web")
        + package("win", marker="sys_platform == 'win32'")
        + package("fast", marker="'speed' in extras")
        + package("linter", marker="'dev' in dependency_groups")
        + package("runner", marker="'ci' in dependency_groups")
    )
    linter = "pylock.toml locks linter 1.0; the environment has none"
    fast = "pylock.toml locks fast 1.0; the environment has none"
    assert findings(tmp_path, text, installed("web")) == [linter]
    assert findings(tmp_path, text, installed("web"), extras=["speed"]) == [fast, linter]


def test_what_is_left_behind_is_not_compared(tmp_path: Path) -> None:
    """With `required` only what is packed has to match."""
    text = package("web") + package("linter", "9") + package("gone")
    there = [installed("web"), installed("linter")]
    assert findings(tmp_path, text, *there, distributions="required") == []
    assert len(findings(tmp_path, text, *there)) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no lock file"),
        (b"[[", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'version = "1"\n', "is no lock file as PEP 751 has it"),
        (b'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "is no lock file as PEP 751"),
    ],
)
def test_what_is_no_lock_file_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that is not there, no TOML, of another kind or version is told by its path."""
    path = tmp_path / "pylock.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LockProblem, match=said) as caught:
        Lock.from_path(path, marker_environment(INTERPRETER))
    assert str(path) in str(caught.value)
