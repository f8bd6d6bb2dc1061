"""The bill of materials of a plan: its components, and which of them need which."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..metadata.installed import origin_of
from ..metadata.licences import licence_named, licence_of
from ..model.components import (
    FOUNDATION,
    Bom,
    Component,
    Licence,
    hashes_as_listed,
    package_url,
    public_url,
)
from ..plan.order import is_native
from ..requirements.closure import by_key, marker_environment, requirements_of
from .embedded import embedded_components

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.direct_url import DirectUrl

    from ..model.distribution import InstalledDistribution
    from ..model.environment import Environment
    from ..model.plan import PackPlan
    from .packed_files import PackedFiles


# The folders in which wheel repair tools vendor libraries: those of auditwheel and delvewheel, and
# of delocate.
_BROUGHT: Final = re.compile(r"\.libs/|\.dylibs/")
# auditwheel and delvewheel add a hash to the names: libgfortran-040039e1.so.5.0.0.
_MANGLED: Final = re.compile(r"-[0-9a-f]{8,64}(?=\.)")
_OF_CPYTHON: Final = re.compile(
    r"bin/python[\d.]+t?|lib/libpython[^/]+|(?:python|vcruntime)[^/]*\.(?:exe|dll)|DLLs/[^/]+\.dll",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a bill of materials is made of.

    Parameters:
        hashes: those of the wheel that a distribution was installed from, by normalised name and
            algorithm, if they are known from a lock file or the wheel itself.
    """

    plan: PackPlan
    environment: Environment
    files: PackedFiles
    hashes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def distributions(self) -> dict[str, InstalledDistribution]:
        """All packed distributions, by normalised name."""
        return by_key([*self.plan.distributions, *self.plan.base_distributions])


def bill_of_materials(parts: Parts) -> Bom:
    """Return what a plan packs and needs, in an order that depends on names alone."""
    distributions = parts.distributions
    components: dict[str, Component] = {}
    own, embedded = _of_distributions(parts, distributions)
    for component in (*own, *_of_bundle(parts), *embedded):  # installed metadata takes precedence
        known = components.get(component.ref)
        components[component.ref] = component if known is None else _merged(known, component)
    ordered = tuple(components[ref] for ref in sorted(components))
    return Bom(root=_root(parts, ordered), components=ordered, time=parts.plan.manifest_time)


def _merged(one: Component, other: Component) -> Component:
    """Merge a component that two distributions contain, each with its own files."""
    files = dict.fromkeys((*one.files, *other.files))
    needs = dict.fromkeys((*one.needs, *other.needs))
    return replace(one, files=tuple(files), needs=tuple(needs))


# the application


def _root(parts: Parts, components: Sequence[Component]) -> Component:
    head = parts.plan.head
    name, version = str(head["name"]), head["version"]
    parts_of_it = [each for each in components if each.kind != "operating-system"]
    return Component(
        ref=f"application:{name}",
        kind="application",
        name=name,
        version=version,
        facts=tuple(_needs_of_the_target(head)),
        needs=tuple(_first_needed(str(canonicalize_name(name)), parts_of_it)),
    )


def _needs_of_the_target(head: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an archive needs from the system that it runs on."""
    platform = head["platform"]
    yield "platform", platform["tag"]
    for key in ("glibc", "glibcxx", "macos", "windows"):
        if key in platform:
            yield f"needs:{key}", platform[key]["version"]
    if head["interpreter"] != "bundled":
        python = head["python"]
        minor = ".".join(python["version"].split(".")[:2])
        yield "needs:interpreter", f"{python['implementation']} {minor} ({python['abi']})"
    for name in head.get("bundle", {}).get("left_to_the_target", ()):
        yield "needs:library", name
    for each in head.get("target_libraries", ()):
        yield "needs:library", each["name"]
    for each in head.get("base_distributions", ()):
        yield "needs:distribution", f"{each['name']} {each['version']}"
    for layer in head.get("neighbours", {}).get("layers", ()):
        yield "needs:layer", layer["path"]


def _first_needed(project: str, components: Sequence[Component]) -> Iterator[str]:
    """Yield the refs from which all others can be reached: the project's, then those nothing needs.

    Components that only need each other in a cycle are reached from the first of them.
    """
    by_ref = {each.ref: each for each in components}
    needed = {ref for each in components for ref in each.needs if ref != each.ref}
    own = [ref for ref in by_ref if ref.startswith(f"pkg:pypi/{project}@")]
    reached: set[str] = set()
    for ref in (*own, *(ref for ref in by_ref if ref not in needed), *by_ref):
        if ref not in reached:
            yield ref
            todo = [ref]
            while todo:
                one = todo.pop()
                if one not in reached and one in by_ref:
                    reached.add(one)
                    todo += by_ref[one].needs


# distributions


def _of_distributions(
    parts: Parts, distributions: Mapping[str, InstalledDistribution]
) -> tuple[list[Component], list[Component]]:
    """Return the distributions, and the components listed by bills of materials in them."""
    refs = {key: purl_of(each) for key, each in distributions.items()}
    markers = marker_environment(parts.environment.interpreter)
    needs: dict[str, dict[str, None]] = {key: {} for key in distributions}
    for distribution, requirement in requirements_of(distributions.values(), markers):
        key = str(canonicalize_name(requirement.name))
        if key in refs:
            needs[distribution.key][refs[key]] = None
    own: list[Component] = []
    embedded: list[Component] = []
    for key, distribution in distributions.items():
        found, more = embedded_components(parts.files, distribution.metadata_dir, refs[key])
        mine = sorted({*needs[key], *more} - {refs[key]})
        own.append(replace(_of_distribution(parts, distribution), needs=tuple(mine)))
        embedded += found
    return own, embedded


def _of_distribution(parts: Parts, distribution: InstalledDistribution) -> Component:
    origin = origin_of(distribution)
    about = distribution.about
    brought = sorted(filter(_BROUGHT.search, distribution.files & parts.files.packed.keys()))
    libraries = [name for name in brought if is_native(parts.files.packed[name])]
    mangled = {
        posixpath.basename(name): _MANGLED.sub("", posixpath.basename(name)) for name in libraries
    }
    return Component(
        ref=purl_of(distribution),
        name=distribution.name,
        version=distribution.version,
        purl=purl_of(distribution),
        description=about.summary or None,
        licence=licence_of(about),
        authors=about.authors,
        hashes=parts.hashes.get(distribution.key) or _hashes(origin),
        references=tuple(_references(origin)),
        files=tuple(libraries),
        facts=tuple(
            ("library", f"{name} ({plain})") for name, plain in mangled.items() if name != plain
        ),
    )


def purl_of(distribution: InstalledDistribution) -> str:
    """Return a distribution's package URL, with the commit or archive it came from, if any."""
    name = distribution.name.lower().replace("_", "-")
    references = dict(_references(origin_of(distribution)))
    return package_url(
        "pypi",
        name,
        version=distribution.version,
        vcs_url=references.get("vcs"),
        download_url=references.get("distribution"),
    )


def _references(origin: DirectUrl | None) -> Iterator[tuple[str, str]]:
    """Yield the URL of a commit or an archive, without credentials; never a local path."""
    if origin is None:
        return
    url = public_url(origin.url)
    if url is None:
        return
    if origin.vcs_info is not None:
        yield "vcs", f"{origin.vcs_info.vcs}+{url}@{origin.vcs_info.commit_id}"
    elif origin.archive_info is not None:
        yield "distribution", url


def _hashes(origin: DirectUrl | None) -> dict[str, str]:
    if origin is None or origin.archive_info is None:
        return {}
    return hashes_as_listed(origin.archive_info.hashes or {})


# the interpreter and its libraries


def _of_bundle(parts: Parts) -> Iterator[Component]:
    bundle = parts.plan.head.get("bundle")
    if bundle is None:
        return
    packages = [*_packages(parts, bundle["libraries"])]
    yield from packages
    owner = bundle.get("package") or {}
    own = [*_packages(parts, [owner])] if owner else []
    yield from own
    yield from systems_of([*packages, *own])
    needs = sorted({each.ref for each in (*own, *packages)})
    yield replace(_cpython(parts, packaged=bool(own)), needs=tuple(needs))


def _cpython(parts: Parts, *, packaged: bool) -> Component:
    """Return the interpreter; one from a system package has that package's vulnerabilities."""
    python = parts.environment.interpreter
    purl = package_url("generic", "python", version=python.version)
    return Component(
        ref=purl,
        # Scanners ignore the type `platform`, which would fit better (the CycloneDX decoder of
        # anchore/syft accepts applications, frameworks and libraries).
        kind="application",
        name="CPython",
        version=python.version,
        purl=purl,
        cpe=None if packaged else _cpe(python.version),
        description="The Python interpreter and its standard library",
        licence=Licence(text="Python-2.0", is_expression=True),
        authors=(FOUNDATION,),
        files=tuple(sorted(filter(_OF_CPYTHON.fullmatch, parts.files.packed))),
        facts=(
            ("implementation", python.implementation),
            ("abi", python.abi),
            ("platform", python.platform),
        ),
    )


def _cpe(version: str) -> str:
    try:
        parsed = Version(version.rstrip("+"))
    except InvalidVersion:
        return f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"
    update = "*" if parsed.pre is None else "".join(map(str, parsed.pre))
    return f"cpe:2.3:a:python:python:{parsed.base_version}:{update}:*:*:*:*:*:*"


def _packages(parts: Parts, libraries: Iterable[Mapping[str, Any]]) -> Iterator[Component]:
    """Yield the packages that libraries came from, each with its files, and files from none."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for each in libraries:
        grouped.setdefault(each.get("purl") or each.get("package") or each["name"], []).append(each)
    for ref, members in grouped.items():
        first = members[0]
        files = [name for each in members for name in _files_named(parts, each.get("name"))]
        yield Component(
            ref=ref if ref.startswith("pkg:") else f"file:{ref}",
            kind="library" if "package" in first else "file",
            name=first.get("package") or first["name"],
            version=first.get("version"),
            purl=first.get("purl"),
            licence=licence_named(first.get("license")),
            files=tuple(files),
        )


def _files_named(parts: Parts, name: str | None) -> Iterator[str]:
    """Yield the paths of a bundled library: in `lib`, or where the interpreter has it."""
    if name is None:
        return
    if f"lib/{name}" in parts.files.packed:
        yield f"lib/{name}"
    else:
        yield from sorted(
            each
            for each, entry in parts.files.packed.items()
            if each.startswith("lib/") and posixpath.basename(each) == name and is_native(entry)
        )


def systems_of(packages: Iterable[Component]) -> Iterator[Component]:
    """Yield the systems that packages belong to, by which scanners choose their advisories."""
    found = {
        match[1]
        for each in packages
        if (match := re.search(r"[?&]distro=([^&]+)", each.purl or "")) is not None
    }
    for distro in sorted(found):
        name, _, version = distro.partition("-")
        yield Component(
            ref=f"operating-system:{distro}",
            kind="operating-system",
            name=name,
            version=version or None,
            description="Not packed: the system whose packages the shared libraries come from",
        )


def licences_of(bom: Bom) -> Iterator[tuple[str, Licence | None]]:
    """Yield each component that can have a licence, with what brings it, and the licence."""
    users: dict[str, list[str]] = {}
    for each in bom.components:
        for ref in each.needs:
            users.setdefault(ref, []).append(each.label)
    for each in bom.components:
        if each.kind != "operating-system":
            brought = each.purl is None or not each.purl.startswith("pkg:pypi/")
            of = ", ".join(users.get(each.ref, ())) if brought else ""
            yield f"{each.label} (of {of})" if of else each.label, each.licence
