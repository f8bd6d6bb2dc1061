"""Installed versions against lock files (PEP 751)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import INTERPRETER, distribution, environment

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.model.errors import LockProblem
from hatch_pack_venv.requirements.check import Roots, check_dependencies
from hatch_pack_venv.requirements.closure import marker_environment
from hatch_pack_venv.requirements.lock import Lock

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
    given = Roots(environment=environment(*installed), wheels=(APP,), project=APP)
    return list(check_dependencies(given, options).problems)


def installed(name: str, version: str = "1.0") -> Any:
    return distribution(name, f"{name}.py", version=version)


def test_equal_versions_agree(tmp_path: Path) -> None:
    """Versions are compared as versions, names normalised; the project itself is not compared."""
    text = package("app", None) + package("web", "1.0.0") + package("a-b", "2.0rc1")
    assert findings(tmp_path, text, installed("Web", "1"), installed("A_B", "2.0.RC1")) == []


def test_a_newer_version_is_told_with_the_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only this project warns, naming the file; `packaging` logs nothing."""
    lock = tmp_path / "pylock.toml"
    lock.write_text(HEAD.replace("1.0", "1.7") + package("web"))
    Lock.from_path(lock, marker_environment(INTERPRETER))
    (record,) = caplog.records
    assert record.name == "hatch_pack_venv"
    assert record.getMessage().startswith(f"{lock} has lock-version 1.7: ")


def test_each_disagreement_is_a_sentence(tmp_path: Path) -> None:
    """Another version, a missing or unlocked one, another Python, or another environment."""
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
        'pylock.toml is for environments other than this one: sys_platform == "win32"',
        "pylock.toml was made without the extra speed",
        "pylock.toml locks web 1.1; the environment has web 1.0",
        "pylock.toml locks gone 1.0; the environment has none",
        "pylock.toml locks new 1.0 for Python >=3.13; the environment has 3.11.7",
        "pylock.toml locks src; the environment has none",
        "pylock.toml locks twice more than once: 1 and 2",
        "fast 3 is required, but pylock.toml does not lock it",
    ]


COMMIT, OTHER = "a" * 40, "b" * 40
GIT = f'vcs = {{type = "git", url = "https://me:word@example.org/web.git", commit-id = "{COMMIT}"}}'
BELOW = GIT.replace("}", ', subdirectory = "py"}')
ARCHIVE = 'archive = {url = "https://example.org/web.zip", hashes = {sha256 = "00"}}'
FOLDER = 'directory = {path = "libs/web"}'
INDEX = """\
version = "1.0"
wheels = [{name = "web-1.0-py3-none-any.whl", path = "web.whl", hashes = {sha256 = "00"}}]"""
AT = f"at commit {COMMIT} of https://example.org/web.git"
FROM = "from https://example.org/web.zip (sha256 00)"


def vcs(commit: str, **more: str) -> dict[str, Any]:
    return {
        "url": "https://u:p@example.org/fork.git",
        "vcs_info": {"vcs": "git", "commit_id": commit},
        **more,
    }


def archive(url: str = "https://example.org/web.zip", **hashes: str) -> dict[str, Any]:
    return {"url": url, "archive_info": {"hashes": hashes} if hashes else {}}


def local(path: str) -> dict[str, Any]:
    return {"url": f"file://{path}", "dir_info": {"editable": False}}


@pytest.mark.parametrize(
    ("locked", "origin", "said"),
    [
        (GIT, vcs(COMMIT), None),
        (
            GIT,
            vcs(OTHER),
            f"{AT}; the environment has commit {OTHER} of https://example.org/fork.git",
        ),
        (GIT, None, f"{AT}; the environment has one that records no source"),
        (GIT, "nonsense", f"{AT}; the environment has one that records no source"),
        (GIT, archive(), f"{AT}; the environment has https://example.org/web.zip"),
        (GIT, local("/x/web/"), f"{AT}; the environment has the folder /x/web"),
        (BELOW, vcs(COMMIT, subdirectory="py"), None),
        (
            BELOW,
            vcs(COMMIT, subdirectory="js"),
            f"{AT}, py; the environment has commit {COMMIT} of https://example.org/fork.git, js",
        ),
        (ARCHIVE, archive(sha256="00"), None),
        (ARCHIVE, archive(), None),
        (ARCHIVE, archive("file:///mirror/web.zip"), None),
        (
            ARCHIVE,
            archive("file:///mirror/web.zip", sha256="11"),
            f"{FROM}; the environment has file:///mirror/web.zip (sha256 11)",
        ),
        (
            ARCHIVE,
            archive("https://example.org/other.zip"),
            f"{FROM}; the environment has https://example.org/other.zip",
        ),
        (ARCHIVE, None, f"{FROM}; the environment has one that records no source"),
        (ARCHIVE, local("/x/web"), f"{FROM}; the environment has the folder /x/web"),
        (FOLDER, local("{folder}/libs/web"), None),
        (FOLDER, archive("file:///dist/web-1.0-py3-none-any.whl"), None),
        (
            FOLDER,
            local("/x/web"),
            "from the folder libs/web; the environment has the folder /x/web",
        ),
        (
            FOLDER,
            archive(),
            "from the folder libs/web; the environment has https://example.org/web.zip",
        ),
        (FOLDER, None, "from the folder libs/web; the environment has one that records no source"),
        (INDEX, None, None),
        (INDEX, archive("file:///dist/web.whl"), None),
        (INDEX, archive("file:///dist/web.whl", sha256="00"), None),
        (INDEX, archive("file:///dist/web.whl", md5="11"), None),
        (
            INDEX,
            archive("file:///dist/web.whl", sha256="11"),
            "1.0 from an index; the environment has file:///dist/web.whl (sha256 11)",
        ),
        (
            INDEX,
            vcs(COMMIT),
            f"1.0 from an index; the environment has commit {COMMIT} of"
            " https://example.org/fork.git",
        ),
        (INDEX, local("/x/web"), "1.0 from an index; the environment has the folder /x/web"),
    ],
)
def test_another_source_than_the_locked_one_is_a_sentence(
    tmp_path: Path, locked: str, origin: dict[str, Any] | str | None, said: str | None
) -> None:
    """Commits, archives with their hashes and folders are compared with `direct_url.json`."""
    recorded = None if origin is None else json.dumps(origin).replace("{folder}", str(tmp_path))
    there = replace(installed("web"), direct_url=recorded)
    text = f'[[packages]]\nname = "web"\n{locked}\n'
    told = [] if said is None else [f"pylock.toml locks web {said}"]
    assert findings(tmp_path, text, there) == told


def test_a_locked_version_of_a_direct_source_counts_too(tmp_path: Path) -> None:
    """Another version and another commit are reported, in a sentence each."""
    text = f'[[packages]]\nname = "web"\nversion = "2.0"\n{GIT}\n'
    there = replace(installed("web"), direct_url=json.dumps(vcs(OTHER)))
    assert findings(tmp_path, text, there) == [
        "pylock.toml locks web 2.0; the environment has web 1.0",
        f"pylock.toml locks web 2.0 {AT}; the environment has commit {OTHER} of"
        " https://example.org/fork.git",
    ]


def test_markers_extras_and_groups_select(tmp_path: Path) -> None:
    """Packages for other platforms, or of extras and groups not requested, do not count."""
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


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (["app"], []),
        (["app[speed]"], ["pylock.toml locks fast 1.0; the environment has fast 2.0"]),
        (["app[other]"], []),
    ],
)
def test_extras_of_what_is_kept_select_without_a_project(
    tmp_path: Path, keep: list[str], told: list[str]
) -> None:
    """The command has no project: `--keep 'app[speed]'` names the extras that count."""
    lock = tmp_path / "pylock.toml"
    fast = package("fast", marker="'speed' in extras")
    lock.write_text(f'{HEAD}extras = ["speed"]\n' + package("app") + package("web") + fast)
    table = {"lock": str(lock), "check": "off", "distributions": "required", "keep": keep}
    options = PackOptions.from_mapping(table)
    there = environment(APP, installed("web"), installed("fast", "2.0"))
    assert list(check_dependencies(Roots(environment=there), options).problems) == told


def test_an_unknown_extra_of_what_is_kept_is_told() -> None:
    """The sentence is the same as for the project's own."""
    there = environment(replace(APP, extras=("speed",)), installed("web"))
    options = PackOptions.from_mapping({"distributions": "required", "keep": ["app[sped]"]})
    assert check_dependencies(Roots(environment=there), options).problems == (
        "app 1.0 does not provide the extra sped; it provides speed",
    )


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
        (b'version = "1"\n', r"is not a valid lock file \(PEP 751\)"),
        (b'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "is not a valid lock file"),
    ],
)
def test_what_is_no_lock_file_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that is missing, not TOML, or of another kind or version is named by its path."""
    path = tmp_path / "pylock.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LockProblem, match=said) as caught:
        Lock.from_path(path, marker_environment(INTERPRETER))
    assert str(path) in str(caught.value)


def test_a_lock_file_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """The error comes at once."""
    path = tmp_path / "pylock.toml"
    os.mkfifo(path)
    with pytest.raises(LockProblem, match=r"cannot be read: .*it is a FIFO, not a file"):
        Lock.from_path(path, marker_environment(INTERPRETER))


def test_a_folder_of_links_that_lead_in_a_loop_is_another(tmp_path: Path) -> None:
    """What the lock file or `direct_url.json` names may be gone, or worse."""
    (tmp_path / "libs").symlink_to("libs")
    text = f'[[packages]]\nname = "web"\n{FOLDER}\n'
    there = replace(installed("web"), direct_url=json.dumps(local("/x/web")))
    assert findings(tmp_path, text, there) == [
        "pylock.toml locks web from the folder libs/web; the environment has the folder /x/web"
    ]
