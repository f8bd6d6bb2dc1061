"""Documents of releases, read by the libraries of those who define their formats."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from support.archives import open_tar

if TYPE_CHECKING:
    from pathlib import Path

SBOM = "share/venv/metadata/sbom.cdx.json"
MANIFEST = "share/venv/metadata/pack-venv.json"


def read_member(archive: Path, arcname: str) -> bytes:
    """Return a file of an archive, whatever its top folder."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            (name,) = [each for each in zipped.namelist() if f"/{each}".endswith(f"/{arcname}")]
            return zipped.read(name)
    with open_tar(archive) as tar:
        (member,) = [each for each in tar if f"/{each.name}".endswith(f"/{arcname}")]
        stream = tar.extractfile(member)
        assert stream is not None
        return stream.read()


def check_cyclonedx(text: bytes) -> dict[str, Any]:
    """Return a bill of materials that the standard's own library finds valid."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode())
    assert problem is None, str(problem)[:2000]
    document: dict[str, Any] = json.loads(text)
    refs = [each["bom-ref"] for each in walk(document)]
    assert len(refs) == len(set(refs))
    assert {each["ref"] for each in document["dependencies"]} <= {*refs}
    return document


def walk(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all components, including the application and files within others."""
    found = [document["metadata"]["component"]]
    for each in document["components"]:
        found += [each, *each.get("components", ())]
    return found


def check_against_manifest(document: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Compare the sets: distributions, vendored libraries, hashes of files."""
    told = {(str(canonicalize_name(d["name"])), d["version"]) for d in manifest["distributions"]}
    listed = {
        (str(canonicalize_name(each["name"])), each.get("version"))
        for each in document["components"]
        if each.get("purl", "").startswith("pkg:pypi/")
    }
    assert told <= listed  # wheels may list others that they vendor
    files = {each["path"]: each["sha256"] for each in manifest["files"]}
    hashes = {
        each["name"]: each["hashes"][0]["content"]
        for component in document["components"]
        for each in component.get("components", ())
    }
    assert hashes == {name: files[name] for name in hashes}
    single = {e["name"]: e["hashes"] for e in document["components"] if e["type"] == "file"}
    for library in manifest.get("bundle", {}).get("libraries", ()):
        name = library["name"]
        assert f"lib/{name}" in hashes or name in single, name
        if "purl" in library:
            assert library["purl"] in {each.get("purl") for each in document["components"]}


def checked_sbom(archive: Path) -> dict[str, Any]:
    """Return an archive's bill of materials, which must be valid and match the manifest."""
    text = read_member(archive, SBOM)
    document = check_cyclonedx(text)
    check_against_manifest(document, json.loads(read_member(archive, MANIFEST)))
    return document
