"""Reading an environment: its facts, or one clear error if it is not an environment."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fakes import INTERPRETER, fake_interpreter

from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.scan.probe import _QUESTIONS, read_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_pack_venv.model.environment import Environment


SITE = "lib/python3.11/site-packages"


def read(prefix: Path) -> Environment:
    return read_environment(prefix, ask=fake_interpreter)


def test_an_environment_is_read(prefix: Path) -> None:
    """Prefix, configuration and layout are found; `lib64` is not a second site-packages."""
    environment = read(prefix)
    assert environment.prefix == prefix
    assert environment.config == {"home": "/opt/python/bin", "version": "3.11.7"}
    assert environment.site_packages == (SITE,)
    assert not environment.include_system_site_packages


def test_an_environment_is_read_through_a_link(prefix: Path) -> None:
    """The real path is the prefix; both spellings are known."""
    alias = prefix.parent / "alias"
    alias.symlink_to("env")
    environment = read(alias)
    assert environment.prefix == prefix
    assert environment.prefix_aliases == (str(alias), str(prefix))


@pytest.mark.parametrize(
    "form", ['VIRTUAL_ENV="{}"', "VIRTUAL_ENV='{}'", "    VIRTUAL_ENV={}", "export VIRTUAL_ENV={}"]
)
def test_the_path_it_was_made_by_is_known(prefix: Path, form: str) -> None:
    """Launchers contain it; a path that leads elsewhere or nowhere is not the environment's."""
    (prefix.parent / "alias").symlink_to("env")
    alias = prefix.parent / "alias"
    others = [prefix.parent / "base", prefix.parent / "gone", "$(cygpath -u x)", "'"]
    lines = [form.format(path) for path in (*others, alias)]
    (prefix / "bin" / "activate").write_text("\n".join(lines))
    assert read(prefix).prefix_aliases == (str(prefix), str(alias))


def test_a_real_lib64_is_a_second_site_packages(prefix: Path) -> None:
    """Platform-specific packages in a separate `lib64` are found."""
    (prefix / "lib64").unlink()
    (prefix / "lib64/python3.11/site-packages").mkdir(parents=True)
    assert read(prefix).site_packages == (SITE, "lib64/python3.11/site-packages")


def broken(prefix: Path) -> Iterator[tuple[str, str]]:
    """Make the path missing and then a file, each with the error that it causes."""
    yield "missing", r"there is no environment at .*/env: create it with"
    prefix.write_bytes(b"")
    yield "a file", r"/env is a file, not an environment's folder"


def test_no_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    """The error says whether the path is missing or a file."""
    for _, message in broken(tmp_path / "env"):
        with pytest.raises(EnvironmentProblem, match=message):
            read(tmp_path / "env")


def test_a_folder_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    """Without pyvenv.cfg it is no environment."""
    with pytest.raises(EnvironmentProblem, match=r"it has no pyvenv\.cfg\): create it with"):
        read(tmp_path)


def test_a_config_that_is_no_text_is_refused(prefix: Path) -> None:
    """A damaged pyvenv.cfg is named."""
    (prefix / "pyvenv.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EnvironmentProblem, match=r"pyvenv\.cfg cannot be read"):
        read(prefix)


def test_a_lib_that_is_a_link_is_refused_as_that(prefix: Path) -> None:
    """By where it leads; the environment is not called incomplete."""
    (prefix / "lib").rename(prefix / "real")
    (prefix / "lib").symlink_to("real")
    with pytest.raises(EnvironmentProblem, match="/lib is a link to real: replace the link"):
        read(prefix)


def test_a_half_deleted_environment_is_refused(prefix: Path) -> None:
    """Without site-packages or without bin/python it is incomplete."""
    (prefix / "bin" / "python").unlink()
    with pytest.raises(EnvironmentProblem, match=r"incomplete \(it has no bin/python\)"):
        read(prefix)
    (prefix / SITE).rmdir()
    with pytest.raises(EnvironmentProblem, match=r"incomplete \(it has no lib/python3\.\*"):
        read(prefix)


def test_a_lost_interpreter_is_named(prefix: Path) -> None:
    """When the base interpreter is gone, the error says where the link leads."""
    (prefix.parent / "base" / "python3.11").unlink()
    with pytest.raises(EnvironmentProblem, match=r"bin/python points to .*/base/python3\.11,"):
        read(prefix)


def test_two_pythons_are_refused(prefix: Path) -> None:
    """Packages of two Pythons in one environment are an error that names both."""
    (prefix / "lib/python3.12/site-packages").mkdir(parents=True)
    with pytest.raises(EnvironmentProblem, match=r"versions, python3\.11 and python3\.12"):
        read(prefix)


def test_packages_of_another_python_are_refused(prefix: Path) -> None:
    """The interpreter and the packages must be for the same version."""
    other = replace(INTERPRETER, minor="3.12", version="3.12.1")
    with pytest.raises(EnvironmentProblem, match=r"packages for python3\.11, but its bin/python"):
        read_environment(prefix, ask=lambda _: other)


def test_a_file_may_name_the_environment(prefix: Path, tmp_path: Path) -> None:
    """PEP 832: `.python-envs` lists the default last; a `.venv` file (in drafts) has the path."""
    project = tmp_path / "project"
    project.mkdir()
    relative = os.path.relpath(prefix, project)
    for name, text in (
        (".venv", f"{relative}\n"),
        (".venv", str(prefix)),
        (".python-envs", f"ssh@example.org:x\r\n/nowhere\r\n{relative}\r\n"),
    ):
        (project / name).write_text(text)
        found = read_environment(project / ".venv", ask=fake_interpreter)
        assert (found.prefix, found.requested) == (prefix.resolve(), project / ".venv")
        assert os.path.normpath(project / relative) in found.prefix_aliases
        (project / name).unlink()


@pytest.mark.parametrize("text", ["", "\n", "nowhere\n"])
def test_a_file_that_names_no_environment_is_told(tmp_path: Path, text: str) -> None:
    """The error contains the file and what it names."""
    (tmp_path / ".venv").write_text(text)
    with pytest.raises(EnvironmentProblem, match=r"/\.venv names '.*', which is not a virtual"):
        read_environment(tmp_path / ".venv", ask=fake_interpreter)


@pytest.mark.parametrize(
    ("mine", "another"),
    [("{}", "python3.99"), ("{}t", "python3.99t"), ("{}", "{}t"), ("{}t", "{}")],
)
def test_the_base_is_the_interpreters_own_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: str, another: str
) -> None:
    """A copy guesses `python3` next to its base, which may be of another version or kind."""
    plain = "python{}.{}".format(*sys.version_info)
    own, other = tmp_path / mine.format(plain), tmp_path / another.format(plain)
    for path in (own, other):
        path.touch()
    (tmp_path / "python3").symlink_to(other.name)
    real = sysconfig.get_config_var
    told = {"Py_GIL_DISABLED": int(mine.endswith("t"))}
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: told.get(name, real(name)))
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "python3"))
    monkeypatch.setattr(sys, "prefix", sys.prefix)  # the question sets it
    answered: dict[str, str] = {}
    exec(_QUESTIONS, answered)  # noqa: S102
    assert json.loads(answered["answer"])["executable"] == str(own.resolve())
