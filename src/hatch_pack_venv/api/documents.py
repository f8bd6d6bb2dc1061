"""The documents of a release, added to a plan."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from importlib.metadata import version as version_of
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from ..documents.bom import (
    Parts,
    bill_of_materials,
    licences_of,
    systems_of,
)
from ..documents.cyclonedx import cyclonedx, rendered
from ..documents.notices import notices
from ..documents.packed_files import PackedFiles
from ..metadata.files import open_file
from ..metadata.licences import denied_licences
from ..model.components import (
    BASE_SBOM,
    NOTICES,
    SBOM,
    SBOM_SUFFIX,
    STATEMENT_SUFFIX,
    Bom,
    Component,
    hashes_as_listed,
)
from ..model.environment import project_folder
from ..model.errors import PlanError
from ..model.image import BaseFile
from ..model.plan import Document, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..config.options import PackOptions
    from ..model.environment import Environment, Project
    from ..model.image import ImageBase
    from ..model.plan import PackPlan


def with_documents(
    plan: PackPlan,
    environment: Environment,
    options: PackOptions,
    wheels: Sequence[Path],
    project: Project,
) -> PackPlan:
    """Return a plan with the documents that the options request.

    Parameters:
        wheels: the wheels that replace the environment's files of the same distributions.

    Raises:
        PlanError: if a licence is denied.
    """
    if not (options.sbom or options.notices or options.deny_licenses or options.provenance):
        return plan
    files = PackedFiles(plan)
    hashes = dict(_locked_hashes(plan, files, environment, options)) | dict(_hashes_of(wheels))
    parts = Parts(plan=plan, environment=environment, files=files, hashes=hashes)
    bom = bill_of_materials(parts)
    plan = _judged(plan, bom, environment, options.deny_licenses)
    documents = []
    if options.notices:
        documents.append(_notices(parts, bom))
    if options.sbom:
        documents.append(_sbom(bom, beside_only=options.sbom == "beside"))
        plan = _with_base_bill(plan)
    statements: tuple[Statement, ...] = ()
    if options.provenance:
        statements = (_provenance(bom, parts, options, wheels, project),)
    return replace(plan, documents=tuple(documents), statements=statements)


def _provenance(
    bom: Bom, parts: Parts, options: PackOptions, wheels: Iterable[Path], project: Project
) -> Statement:
    from ..documents.provenance import Builder, Provenance
    from ..scan.commit import read_commit

    head = parts.plan.head
    root = project.root or project_folder(parts.environment.requested)
    others = [each for each in wheels if each != project.wheel]
    others += [] if options.lock is None else [options.lock]
    provenance = Provenance(
        bom=bom,
        builder=Builder.from_variables(os.environ),
        wheel=None if project.wheel is None else (project.wheel.name, _sha256(project.wheel)),
        files=tuple((each.name, _sha256(each)) for each in others),
        commit=None if root is None else read_commit(root),
        parameters={
            "name": head["name"],
            "version": head["version"],
            "interpreter": head["interpreter"],
            "python": head["python"]["version"],
            "platform": head["platform"]["tag"],
        },
        version=version_of("hatch-pack-venv"),
    )
    return Statement(suffix=STATEMENT_SUFFIX, render=provenance.statement)


def document_names(options: PackOptions) -> tuple[str, ...]:
    """Return the arcnames of the documents that the options put into an archive."""
    return ((NOTICES,) if options.notices else ()) + ((SBOM,) if options.sbom is True else ())


def _judged(
    plan: PackPlan, bom: Bom, environment: Environment, patterns: tuple[str, ...]
) -> PackPlan:
    """Return a plan with a note on licences that cannot be judged.

    Raises:
        PlanError: if any licence is denied; names each component.
    """
    if not patterns:
        return plan
    denied, notes = denied_licences(licences_of(bom), patterns)
    if denied:
        raise PlanError(f"{environment.requested} cannot be packed", denied)
    return plan.with_facts({}, notes)


def _notices(parts: Parts, bom: Bom) -> Document:
    text = notices(parts, bom)
    return Document(
        arcname=NOTICES,
        why="the licence notices of everything packed",
        render=lambda _digest, _sha256: text,
    )


def _sbom(bom: Bom, *, beside_only: bool) -> Document:
    version = version_of("hatch-pack-venv")

    def render(digest: Callable[[], str], sha256: Callable[[str], str]) -> bytes:
        return rendered(cyclonedx(bom, digest(), sha256, version))

    return Document(
        arcname=None if beside_only else SBOM,
        suffix=SBOM_SUFFIX,
        why="the bill of materials",
        render=render,
    )


def _with_base_bill(plan: PackPlan) -> PackPlan:
    """Return a plan with a bill of materials for this machine's files below an environment.

    The environment's own bill is the same in every format and is in the last layer of an image; the
    layer with these files changes only with the packages of the build machine.
    """
    base = plan.image.base
    if not base.packages:
        return plan
    root = Component(
        ref="image-base",
        kind="application",
        name="image-base",
        description="The files of the building machine below the environment of an image",
        needs=tuple(each.ref for each in base.packages),
    )
    components = (*base.packages, *systems_of(base.packages))
    bom = Bom(root=root, components=components, time=plan.manifest_time)
    document = cyclonedx(bom, None, lambda _: "", version_of("hatch-pack-venv"))
    file = BaseFile(name=BASE_SBOM, content=rendered(document))
    base = replace(base, files=(*base.files, *_folders_of(base, BASE_SBOM), file))
    return replace(plan, image=replace(plan.image, base=base))


def _folders_of(base: ImageBase, name: str) -> Iterator[BaseFile]:
    """Yield the parent folders of a file that the layer does not have yet, outermost first."""
    there = {each.name for each in base.files}
    for parent in reversed(PurePosixPath(name).parents):
        if str(parent) != "." and str(parent) not in there:
            yield BaseFile(name=str(parent), kind="directory", mode=0o755)


def _hashes_of(wheels: Iterable[Path]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the normalised name of each wheel's distribution, with the hash of the wheel."""
    for wheel in wheels:
        yield str(parse_wheel_filename(wheel.name)[0]), {"SHA-256": _sha256(wheel)}


def _sha256(path: Path) -> str:
    with open_file(path) as stream:
        digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
    return digest.hexdigest()


def _locked_hashes(
    plan: PackPlan, files: PackedFiles, environment: Environment, options: PackOptions
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the hashes that the lock file lists for the wheel of each distribution."""
    if options.lock is None:
        return
    from ..requirements.closure import marker_environment
    from ..requirements.lock import Lock

    markers = marker_environment(environment.interpreter)
    lock = Lock.from_path(options.lock, markers, options.extras)
    for distribution in plan.distributions:
        wheel = files.text(f"{distribution.metadata_dir}/WHEEL") or ""
        lines = (line.partition(":") for line in wheel.splitlines())
        tags = frozenset(value.strip() for name, _, value in lines if name == "Tag")
        found = hashes_as_listed(lock.hashes_of(distribution.key, tags))
        if found:
            yield distribution.key, found
