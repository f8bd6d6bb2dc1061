"""The same bill of materials as SPDX 2.3 JSON, made from its CycloneDX form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..metadata.licences import normalised
from ..model.components import FOUNDATION
from ..model.manifest import fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_NONE: Final = "NOASSERTION"
_PURPOSES: Final = {
    "application": "APPLICATION",
    "library": "LIBRARY",
    "file": "FILE",
    "operating-system": "OPERATING-SYSTEM",
}
_COMPONENT: Final[dict[str, Any]] = {
    "type": str,
    "bom-ref": str,
    "name": str,
    "version?": str,
    "description?": str,
    "purl?": str,
    "cpe?": str,
    "hashes?": [{"alg": str, "content": str}],
    "licenses?": [dict],
    "authors?": [{"name": str}],
    "externalReferences?": [{"type": str, "url": str}],
    "properties?": [{"name": str, "value": str}],
    "components?": [dict],
}
SHAPE: Final[dict[str, Any]] = {
    "bomFormat": str,
    "specVersion": str,
    "serialNumber": str,
    "metadata": {
        "timestamp": str,
        "component": _COMPONENT,
        "tools": {"components": [dict]},
        "properties?": [{"name": str, "value": str}],
    },
    "components": [{**_COMPONENT, "components?": [_COMPONENT]}],
    "dependencies": [{"ref": str, "dependsOn?": [str]}],
}
"""The types of the values in one of our bills of materials."""


def is_ours(document: Any) -> bool:
    """Whether parsed JSON is a bill of materials as this project writes it."""
    return fits(document, SHAPE)


def spdx(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an SPDX document.

    Parameters:
        document: one of our bills of materials, in CycloneDX form.
    """
    root = document["metadata"]["component"]
    listed = [root, *_walk(document["components"])]
    ids = {each["bom-ref"]: _identifier(number, each) for number, each in enumerate(listed)}
    serial = document["serialNumber"].removeprefix("urn:uuid:")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": root["name"],
        "documentNamespace": f"https://spdx.org/spdxdocs/{_plain(root['name'])}-{serial}",
        "creationInfo": {
            "created": document["metadata"]["timestamp"].replace("+00:00", "Z"),
            "creators": [
                f"Tool: {each.get('name')}-{each.get('version')}"
                for each in document["metadata"]["tools"]["components"]
            ],
        },
        "packages": [_package(each, ids[each["bom-ref"]]) for each in listed],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", ids[root["bom-ref"]]),
            *_relations(document, ids),
        ],
    }


def _walk(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield components, and the files within them, each once."""
    seen: set[str] = set()
    for each in components:
        for one in (each, *each.get("components", ())):
            if one["bom-ref"] not in seen:
                seen.add(one["bom-ref"])
                yield one


def _relations(document: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for each in document["dependencies"]:
        for ref in each.get("dependsOn", ()):
            if each["ref"] in ids and ref in ids:
                yield _relation(ids[each["ref"]], "DEPENDS_ON", ids[ref])
    for each in document["components"]:
        for file in each.get("components", ()):
            yield _relation(ids[each["bom-ref"]], "CONTAINS", ids[file["bom-ref"]])


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _originator(author: str) -> str:
    return f"{'Organization' if author == FOUNDATION else 'Person'}: {author}"


def _package(component: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    facts = {
        "SPDXID": identifier,
        "name": component["name"],
        "versionInfo": component.get("version"),
        "primaryPackagePurpose": _PURPOSES.get(component["type"], "OTHER"),
        "downloadLocation": _location(component),
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        **_licence(component),
        "copyrightText": _NONE,
        "originator": next((_originator(a["name"]) for a in component.get("authors", ())), None),
        "summary": component.get("description"),
        "comment": _comment(component) or None,
        "checksums": [
            {"algorithm": each["alg"].replace("SHA-", "SHA"), "checksumValue": each["content"]}
            for each in component.get("hashes", ())
        ],
        "externalRefs": [*_references(component)],
    }
    return {key: value for key, value in facts.items() if value not in (None, [])}


def _licence(component: Mapping[str, Any]) -> dict[str, str]:
    """Return the declared licence; a name that is not an expression goes into a comment."""
    for each in component.get("licenses", ()):
        expression = normalised(str(each.get("expression", "")))
        if expression is not None and "LicenseRef-" not in expression:
            return {"licenseDeclared": expression}
        named = each.get("license")
        text = expression or (named.get("name") if isinstance(named, dict) else None)
        return {"licenseDeclared": _NONE, "licenseComments": f"Declared: {text}"}
    return {"licenseDeclared": _NONE}


def _location(component: Mapping[str, Any]) -> str:
    kinds = {each["type"]: each["url"] for each in component.get("externalReferences", ())}
    return str(kinds.get("vcs") or kinds.get("distribution") or _NONE)


def _comment(component: Mapping[str, Any]) -> str:
    facts = component.get("properties", ())
    return "\n".join(f"{each['name']}: {each['value']}" for each in facts)


def _references(component: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if "purl" in component:
        yield _reference("PACKAGE-MANAGER", "purl", component["purl"])
    if "cpe" in component:
        yield _reference("SECURITY", "cpe23Type", component["cpe"])


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def _identifier(number: int, component: Mapping[str, Any]) -> str:
    return f"SPDXRef-{number}-{_plain(component['name'])}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)
