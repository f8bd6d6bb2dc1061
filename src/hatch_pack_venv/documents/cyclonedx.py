"""A bill of materials as CycloneDX 1.6 JSON (ECMA-424)."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..model.components import Bom, Component, Licence


PREFIX: Final = "hatch-pack-venv:"
"""The prefix of our properties' names."""
_NAMESPACE: Final = uuid.UUID("5f0c4d5e-6a0d-5a9f-9d3b-0f1f4a5b8c11")
_CONTENT: Final = f"{PREFIX}content"


def content_of(document: Mapping[str, Any]) -> str | None:
    """Return the content digest that one of our bills of materials records, if any."""
    properties = document["metadata"].get("properties", ())
    return next((each["value"] for each in properties if each["name"] == _CONTENT), None)


def cyclonedx(
    bom: Bom, digest: str | None, sha256: Callable[[str], str], version: str
) -> dict[str, Any]:
    """Return a bill of materials as JSON-compatible values.

    Parameters:
        digest: the content digest of everything in the archive except the manifest and this bill of
            materials, which records it; `None` if there is no archive.
        sha256: returns a packed file's hash, given its arcname.
        version: the version of this project.
    """
    components = [_component(each, sha256) for each in bom.components]
    _tell_apart(components)
    all_of_them = (bom.root, *bom.components)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(bom.time, UTC).isoformat(),
            "lifecycles": [{"phase": "build"}],
            "tools": {
                "components": [
                    {"type": "application", "name": "hatch-pack-venv", "version": version}
                ]
            },
            "component": _component(bom.root, sha256),
            **({} if digest is None else {"properties": [{"name": _CONTENT, "value": digest}]}),
        },
        "components": components,
        "dependencies": [
            {"ref": each.ref, **({"dependsOn": list(each.needs)} if each.needs else {})}
            for each in all_of_them
        ],
    }
    document = _as_text(document)
    return {**document, "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(document))}"}


def rendered(document: Mapping[str, Any]) -> bytes:
    """Return a document's text."""
    return (json.dumps(document, indent=1) + "\n").encode()


def _as_text(value: Any) -> Any:
    """Return a value whose strings are valid text, even those whose bytes are not UTF-8."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {key: _as_text(each) for key, each in value.items()}
        case list():
            return [_as_text(each) for each in value]
    return value


def _component(component: Component, sha256: Callable[[str], str]) -> dict[str, Any]:
    facts = {
        "type": component.kind,
        "bom-ref": component.ref,
        "name": component.name,
        "version": component.version,
        "description": component.description,
        "authors": [{"name": each} for each in component.authors],
        "hashes": _hashes(component, sha256),
        "licenses": None if component.licence is None else [_licence(component.licence)],
        "cpe": component.cpe,
        "purl": component.purl,
        "externalReferences": [{"type": t, "url": url} for t, url in component.references],
        "properties": [
            {"name": f"{PREFIX}{name}", "value": value} for name, value in component.facts
        ],
        "components": _files(component, sha256),
    }
    return {key: value for key, value in facts.items() if value not in (None, [])}


def _hashes(component: Component, sha256: Callable[[str], str]) -> list[dict[str, str]]:
    """Return hashes of what a component was installed from; for a single file, its own."""
    found = dict(component.hashes)
    if component.kind == "file" and len(component.files) == 1:
        found = {"SHA-256": sha256(component.files[0])}
    return [{"alg": name, "content": value} for name, value in sorted(found.items())]


def _files(component: Component, sha256: Callable[[str], str]) -> list[dict[str, Any]]:
    if component.kind == "file" and len(component.files) == 1:
        return []
    return [
        {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": sha256(name)}],
        }
        for name in component.files
    ]


def _tell_apart(components: Iterable[dict[str, Any]]) -> None:
    """Give a file that several components list a separate reference in each of them."""
    seen: set[str] = set()
    for component in components:
        for file in component.get("components", ()):
            if file["bom-ref"] in seen:
                file["bom-ref"] = f"{component['bom-ref']}#{file['name']}"
            seen.add(file["bom-ref"])


def _licence(licence: Licence) -> dict[str, Any]:
    if licence.is_expression:
        return {"expression": licence.text, "acknowledgement": "declared"}
    return {"license": {"name": licence.text, "acknowledgement": "declared"}}
