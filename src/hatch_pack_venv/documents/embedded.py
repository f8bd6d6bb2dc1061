"""Components taken from bills of materials in wheels (PEP 770), as auditwheel writes them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, get_args
from urllib.parse import unquote

from ..metadata.files import parse_json
from ..metadata.licences import licence_named
from ..model.components import Component, Kind, Licence, is_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .packed_files import PackedFiles


_KINDS: Final = frozenset(get_args(Kind)) - {"operating-system"}
_LOCAL: Final = re.compile(r"\bfile:")


def embedded_components(
    files: PackedFiles, metadata_dir: str, owner: str
) -> tuple[list[Component], list[str]]:
    """Return what a distribution's bills of materials list, except for the distribution itself.

    Parameters:
        owner: the distribution's ref, the prefix for components without a package URL.

    Returns:
        The components, and the refs of those that the distribution needs directly.
    """
    found: dict[str, Component] = {}
    needed: dict[str, None] = {}
    for name in files.of_metadata(metadata_dir):
        if name.startswith(f"{metadata_dir}/sboms/") and name.endswith(".json"):
            for component in _components(files.read(name), owner):
                found.setdefault(component.ref, component)
    inner = {ref for each in found.values() for ref in each.needs}
    needed.update(dict.fromkeys(ref for ref in found if ref not in inner))
    return list(found.values()), list(needed)


def _components(data: bytes | None, owner: str) -> Iterator[Component]:
    try:
        bom = parse_json(data or b"")
    except ValueError:
        return
    if not isinstance(bom, dict) or bom.get("bomFormat") != "CycloneDX":
        return
    root = _dict(_dict(bom.get("metadata")).get("component"))
    listed = [each for each in _walk(bom) if not _is_same(each, root)]
    refs = {
        each["bom-ref"]: _ref(each, owner)
        for each in listed
        if isinstance(each.get("bom-ref"), str)
    }
    needs = {
        each["ref"]: tuple(refs[ref] for ref in _list(each.get("dependsOn")) if _known(ref, refs))
        for each in map(_dict, _list(bom.get("dependencies")))
        if isinstance(each.get("ref"), str)
    }
    for each in listed:
        component = _component(each, owner)
        ref = each.get("bom-ref")
        own = needs.get(ref, ()) if isinstance(ref, str) else ()
        yield replace(component, needs=tuple(dict.fromkeys(r for r in own if r != component.ref)))


def _walk(parent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the components with a name, including nested ones; the depth of JSON is limited."""
    for each in map(_dict, _list(parent.get("components"))):
        if isinstance(each.get("name"), str) and each["name"]:
            yield each
        yield from _walk(each)


def _is_same(component: dict[str, Any], root: dict[str, Any]) -> bool:
    return any(
        root.get(key) is not None and component.get(key) == root[key] for key in ("bom-ref", "purl")
    )


def _known(ref: Any, refs: dict[str, str]) -> bool:
    return isinstance(ref, str) and ref in refs


def _component(data: dict[str, Any], owner: str) -> Component:
    kind = _text(data.get("type"))
    return Component(
        ref=_ref(data, owner),
        kind=cast("Kind", kind) if kind in _KINDS else "library",
        name=data["name"],
        version=_text(data.get("version")),
        purl=_purl(data),
        cpe=_text(data.get("cpe")),
        description=_text(data.get("description")),
        licence=_licence(data),
        hashes={
            each["alg"]: each["content"]
            for each in map(_dict, _list(data.get("hashes")))
            if isinstance(each.get("content"), str)
            and is_hash(str(each.get("alg")), each["content"])
        },
    )


def _licence(data: dict[str, Any]) -> Licence | None:
    names = []
    for each in map(_dict, _list(data.get("licenses"))):
        licence = _dict(each.get("license"))
        named = each.get("expression") or licence.get("id") or licence.get("name")
        names += [named] if isinstance(named, str) else []
    return licence_named(names[0] if len(names) == 1 else ", ".join(names))


def _ref(data: dict[str, Any], owner: str) -> str:
    purl = _purl(data)
    if purl is not None:
        return purl
    version = _text(data.get("version"))
    return f"{owner}#{data['name']}{'' if version is None else f'@{version}'}"


def _purl(data: dict[str, Any]) -> str | None:
    """Return a package URL without paths of the wheel's build machine (maturin adds them)."""
    purl = _text(data.get("purl"))
    if purl is None:
        return None
    name, _, qualifiers = purl.partition("?")
    qualifiers, mark, below = qualifiers.partition("#")
    kept = [each for each in qualifiers.split("&") if each and not _LOCAL.search(unquote(each))]
    return f"{name}{'?' if kept else ''}{'&'.join(kept)}{mark}{below}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
