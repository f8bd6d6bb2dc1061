"""Provenance: subject, materials and builder of a statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatch_pack_venv.documents.provenance import NO_BUILDER, Builder, Provenance
from hatch_pack_venv.model.components import Bom, Commit, Component
from hatch_pack_venv.model.formats import CompressionFormat
from hatch_pack_venv.model.results import PackResult

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/release.yml@refs/tags/v1",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_ACTOR": "jane",
    "GITHUB_TOKEN": "secret",
    "RUNNER_NAME": "janes-machine",
    "RUNNER_ENVIRONMENT": "github-hosted",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.example/o/r",
    "CI_RUNNER_ID": "42",
    "CI_RUNNER_DESCRIPTION": "janes-machine",
    "CI_JOB_URL": "https://gitlab.example/o/r/-/jobs/7",
    "CI_JOB_TOKEN": "secret",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:secret@gitlab.example/o/r.git",
    "GITLAB_USER_LOGIN": "jane",
}


@pytest.mark.parametrize(
    ("variables", "identity", "run"),
    [
        (
            GITHUB,
            "https://github.example/o/r/.github/workflows/release.yml@refs/tags/v1",
            "https://github.example/o/r/actions/runs/7/attempts/2",
        ),
        (GITLAB, "https://gitlab.example/o/r/-/runners/42", "https://gitlab.example/o/r/-/jobs/7"),
        ({}, NO_BUILDER, None),
        ({"CI": "true"}, NO_BUILDER, None),
        ({"GITHUB_ACTIONS": "true"}, NO_BUILDER, None),
        ({"GITLAB_CI": "true", "CI_PROJECT_URL": "file:///x"}, NO_BUILDER, None),
    ],
)
def test_the_builder_is_what_its_variables_say(
    variables: dict[str, str], identity: str, run: str | None
) -> None:
    """GitHub's workflow, GitLab's runner, or none; no person, token or name of a machine."""
    builder = Builder.from_variables(variables)
    assert (builder.identity, builder.run) == (identity, run)
    assert "jane" not in str(builder)
    assert "secret" not in str(builder)


def statement(**changes: Any) -> dict[str, Any]:
    parts = (
        Component(ref="a", name="a", purl="pkg:pypi/a@1", hashes={"SHA-256": "aa"}),
        Component(ref="b", name="b", purl="pkg:pypi/b@1"),
        Component(ref="c", name="c", purl="pkg:cargo/c@1", hashes={"SHA-256": "cc"}),
    )
    facts: dict[str, Any] = {
        "bom": Bom(root=Component(ref="app", name="app"), components=parts, time=0),
        "builder": Builder(),
        "parameters": {"name": "app"},
        "version": "1.0",
    }
    result = PackResult(
        path=Path("/out/app.tar.xz"),
        format=CompressionFormat.XZ,
        sha256="ab" * 32,
        size=1,
        content_digest="",
        entry_count=1,
        unpacked_size=1,
    )
    text = Provenance(**{**facts, **changes}).statement(result)
    assert text.count(b"\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_subjects_are_the_archive_and_the_projects_wheel() -> None:
    """Both are given by name and SHA-256, as in-toto specifies."""
    found = statement(wheel=("app-1-py3-none-any.whl", "cd" * 32))
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert found["subject"] == [
        {"name": "app.tar.xz", "digest": {"sha256": "ab" * 32}},
        {"name": "app-1-py3-none-any.whl", "digest": {"sha256": "cd" * 32}},
    ]
    assert found["predicate"]["buildDefinition"]["externalParameters"] == {
        "name": "app",
        "format": "tar.xz",
    }


def test_materials_are_what_has_a_hash() -> None:
    """They are the commit, files, and the distributions whose wheels' hashes are known."""
    commit = Commit(sha="0" * 40, remote="https://jane:secret@host.example/r.git", is_modified=True)
    found = statement(commit=commit, files=(("pylock.toml", "ef" * 32),))
    assert found["predicate"]["buildDefinition"]["resolvedDependencies"] == [
        {
            "uri": "git+https://host.example/r.git",
            "digest": {"gitCommit": "0" * 40},
            "annotations": {"modified": True},
        },
        {"name": "pylock.toml", "digest": {"sha256": "ef" * 32}},
        {"uri": "pkg:pypi/a@1", "digest": {"sha256": "aa"}},
    ]


def test_a_repository_on_this_machine_has_no_address() -> None:
    """A commit is recorded without the path of the folder that it was cloned from."""
    found = statement(commit=Commit(sha="0" * 40, remote="/srv/git/r.git"))
    source = found["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert source == {"name": "source", "digest": {"gitCommit": "0" * 40}}
