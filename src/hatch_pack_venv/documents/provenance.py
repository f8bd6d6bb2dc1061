"""Where an archive came from: an in-toto Statement v1 with SLSA provenance v1, unsigned.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..model.components import public_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.components import Bom, Commit
    from ..model.results import PackResult


_HOME: Final = "https://github.com/hatch-pack-venv/hatch-pack-venv"
BUILD_TYPE: Final = f"{_HOME}/blob/main/docs/release-documents.md#provenance"
NO_BUILDER: Final = f"{_HOME}/blob/main/docs/release-documents.md#no-builder"
"""The builder's identity if no CI states one: the format requires one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """The CI that built an archive.

    Parameters:
        identity: a URI of the workflow, or of the runner.
        run: a URI of the run.
        parameters: what else it states about itself.
    """

    identity: str = NO_BUILDER
    run: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_variables(cls, environ: Mapping[str, str]) -> Builder:
        """Return the builder that GitHub's or GitLab's CI variables describe, or `NO_BUILDER`."""
        if environ.get("GITHUB_ACTIONS") == "true":
            return cls._of_github(environ)
        if environ.get("GITLAB_CI") == "true":
            return cls._of_gitlab(environ)
        return cls()

    @classmethod
    def _of_github(cls, environ: Mapping[str, str]) -> Builder:
        server = public_url(environ.get("GITHUB_SERVER_URL", ""))
        workflow = environ.get("GITHUB_WORKFLOW_REF")
        if server is None or workflow is None:
            return cls()
        run, attempt = environ.get("GITHUB_RUN_ID"), environ.get("GITHUB_RUN_ATTEMPT", "1")
        repository = environ.get("GITHUB_REPOSITORY", "")
        kind = environ.get("RUNNER_ENVIRONMENT")
        return cls(
            identity=f"{server}/{workflow}",
            run=f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}" if run else None,
            parameters=(("runner_environment", kind),) if kind else (),
        )

    @classmethod
    def _of_gitlab(cls, environ: Mapping[str, str]) -> Builder:
        project = public_url(environ.get("CI_PROJECT_URL", ""))
        runner = environ.get("CI_RUNNER_ID")
        if project is None or runner is None:
            return cls()
        run = public_url(environ.get("CI_JOB_URL", ""))
        return cls(identity=f"{project}/-/runners/{runner}", run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a statement says in addition to naming the archive.

    Parameters:
        wheel: the project's own wheel, which is a subject too: file name and SHA-256.
        files: other wheels and the lock file: name and SHA-256.
        version: the version of this project.
    """

    bom: Bom
    builder: Builder
    wheel: tuple[str, str] | None = None
    files: tuple[tuple[str, str], ...] = ()
    commit: Commit | None = None
    parameters: Mapping[str, Any]
    version: str

    def statement(self, result: PackResult) -> bytes:
        """Return the statement about an archive, in one line."""
        subjects = [(result.path.name, result.sha256)]
        subjects += [] if self.wheel is None else [self.wheel]
        document = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [_file(*each) for each in subjects],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        **self.parameters,
                        "format": result.format.suffix.removeprefix("."),
                    },
                    "internalParameters": dict(self.builder.parameters),
                    "resolvedDependencies": self._materials(),
                },
                "runDetails": self._run_details(),
            },
        }
        return (json.dumps(document, separators=(",", ":")) + "\n").encode()

    def _run_details(self) -> dict[str, Any]:
        builder = {"id": self.builder.identity, "version": {"hatch-pack-venv": self.version}}
        if self.builder.run is None:
            return {"builder": builder}
        return {"builder": builder, "metadata": {"invocationId": self.builder.run}}

    def _materials(self) -> list[dict[str, Any]]:
        """Return the commit, the files, and the distributions whose wheels' hashes are known."""
        found = [] if self.commit is None else [_source(self.commit)]
        found += [_file(*each) for each in self.files]
        for component in self.bom.components:
            digest = component.hashes.get("SHA-256")
            is_distribution = (component.purl or "").startswith("pkg:pypi/")
            if digest is not None and is_distribution:
                found.append({"uri": component.purl, "digest": {"sha256": digest}})
        return found


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _source(commit: Commit) -> dict[str, Any]:
    url = None if commit.remote is None else public_url(commit.remote)
    return {
        **({"name": "source"} if url is None else {"uri": f"git+{url}"}),
        "digest": {"gitCommit": commit.sha},
        **({"annotations": {"modified": True}} if commit.is_modified else {}),
    }
