"""The bill of materials of a plan: its components, their origins, what needs what."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import SITE, distribution, environment, file, inputs, plan

from hatch_pack_venv.documents.bom import Parts, bill_of_materials, licences_of
from hatch_pack_venv.documents.cyclonedx import content_of, cyclonedx, rendered
from hatch_pack_venv.documents.packed_files import PackedFiles
from hatch_pack_venv.documents.spdx import is_ours, spdx
from hatch_pack_venv.model.components import Licence, package_url, public_url
from hatch_pack_venv.model.distribution import About
from hatch_pack_venv.plan.select import BY_PATTERN, REPLACED

if TYPE_CHECKING:
    from hatch_pack_venv.model.components import Bom, Component
    from hatch_pack_venv.model.distribution import InstalledDistribution
    from hatch_pack_venv.model.entries import ScannedEntry


def bom_of(
    *distributions: InstalledDistribution,
    entries: tuple[ScannedEntry, ...] = (),
    name: str = "app",
    **head: Any,
) -> Bom:
    there = environment(*distributions)
    planned = plan(*entries, environment=there, inputs=inputs(name=name)).with_facts(head, ())
    parts = Parts(plan=planned, environment=there, files=PackedFiles(planned))
    return bill_of_materials(parts)


def by_name(bom: Bom) -> dict[str, Component]:
    return {each.name: each for each in bom.components}


def document(bom: Bom) -> dict[str, Any]:
    return cyclonedx(bom, "d" * 64, lambda name: f"{len(name):064x}", "1.0")


def test_requirements_are_the_graph() -> None:
    """Components depend on packed requirements; the application on what nothing else depends on."""
    bom = bom_of(
        distribution("app", requires=("Web_Server", "gone", 'other; python_version < "3"')),
        distribution("web-server", requires=("web-server[fast]",)),
        distribution("alone"),
        distribution("one", requires=("two",)),
        distribution("two", requires=("one",)),
    )
    needs = {each.name: each.needs for each in bom.components}
    purl = {name: f"pkg:pypi/{name}@1.0" for name in needs}
    assert needs["app"] == (purl["web-server"],)
    assert needs["web-server"] == ()
    assert (needs["one"], needs["two"]) == ((purl["two"],), (purl["one"],))
    assert bom.root.needs == (purl["app"], purl["alone"], purl["one"])


def test_a_distribution_has_what_its_metadata_say() -> None:
    """Licence, authors and summary are copied; the package URL has the name in its own spelling."""
    about = About(summary="Does it.", authors=("Ann",), licence_expression="MIT")
    found = by_name(bom_of(distribution("Zope_Thing.x", about=about)))["Zope_Thing.x"]
    assert found.purl == "pkg:pypi/zope-thing.x@1.0"
    assert (found.description, found.authors) == ("Does it.", ("Ann",))
    assert found.licence == Licence(text="MIT", is_expression=True)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://ann:secret@host.example/o/r.git", "https://host.example/o/r.git"),
        ("https://host.example:8080/a b.whl?token=secret#x", "https://host.example:8080/a%20b.whl"),
        ("ssh://git@host.example/o/r.git", "ssh://git@host.example/o/r.git"),
        ("ssh://ann:secret@host.example/o/r.git", "ssh://host.example/o/r.git"),
        ("https://ghp_secret@host.example/r", "https://host.example/r"),
        ("file:///home/ann/r", None),
        ("https://host.example:port/r", None),
        ("/home/ann/r", None),
        ("https://[::1]:80/r", "https://[::1]:80/r"),
        ("https://[v6/x.git", None),
    ],
)
def test_no_url_tells_who_may_read_it_or_a_local_path(url: str, public: str | None) -> None:
    """Users (except `git`), passwords, queries and fragments are removed, local URLs dropped."""
    assert public_url(url) == public


def test_a_commit_and_an_archive_are_told_without_secrets() -> None:
    """`direct_url.json` gives the reference, the hash and the package URL."""
    commit = {
        "url": "https://ann:secret@host.example/r.git",
        "vcs_info": {"vcs": "git", "commit_id": "0" * 40},
    }
    digest = "ab" * 32
    wheel = {
        "url": "https://host.example/b-1.0-py3-none-any.whl?token=secret",
        "archive_info": {"hashes": {"sha256": digest, "odd": "x", "sha512": digest}},
    }
    local = {"url": "file:///home/ann/c.whl", "archive_info": {"hashes": {"sha256": digest}}}
    found = by_name(
        bom_of(
            distribution("a", direct_url=json.dumps(commit)),
            distribution("b", direct_url=json.dumps(wheel)),
            distribution("c", direct_url=json.dumps(local)),
        )
    )
    assert found["a"].references == (("vcs", f"git+https://host.example/r.git@{'0' * 40}"),)
    assert "vcs_url=git%2Bhttps://host.example/r.git%40000" in str(found["a"].purl)
    assert found["b"].references == (
        ("distribution", "https://host.example/b-1.0-py3-none-any.whl"),
    )
    assert found["b"].hashes == {"SHA-256": digest}
    assert (found["c"].references, found["c"].hashes) == ((), {"SHA-256": digest})
    all_of_them = [("a", commit), ("b", wheel), ("c", local)]
    told = json.dumps(
        document(bom_of(*(distribution(n, direct_url=json.dumps(u)) for n, u in all_of_them)))
    )
    assert "secret" not in told
    assert "/home" not in told


def embedded(*components: dict[str, Any], **more: Any) -> bytes:
    root = {"bom-ref": "r", "type": "library", "name": "a", "purl": "pkg:pypi/a@1.0?file_name=x"}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.4",
        "metadata": {"component": root},
        "components": [root, *components],
        **more,
    }
    return json.dumps(bom).encode()


def test_bills_of_materials_in_wheels_are_taken_over() -> None:
    """What auditwheel lists (PEP 770) becomes components that the distribution needs."""
    purl = "pkg:rpm/almalinux/libgfortran@8.5.0-22.el8"
    data = embedded(
        {"bom-ref": "1", "type": "library", "name": "libgfortran", "version": "8", "purl": purl},
        {"bom-ref": "2", "name": "inner", "purl": "pkg:cargo/inner@1?download_url=file:///home/a"},
        {"bom-ref": "3", "name": "nameless", "licenses": [{"license": {"id": "mit"}}]},
        {"bom-ref": 4, "name": ""},
        dependencies=[{"ref": "r", "dependsOn": ["1", "3"]}, {"ref": "1", "dependsOn": ["2", "9"]}],
    )
    a = distribution("a", f"{SITE}/a.libs/libgfortran-040039e1.so.5", f"{SITE}/a.libs/x.txt")
    found = by_name(
        bom_of(
            a,
            entries=(
                file(f"{a.metadata_dir}/sboms/auditwheel.cdx.json", data),
                file(f"{a.metadata_dir}/sboms/other.spdx.json", b"{}"),
                file(f"{a.metadata_dir}/sboms/broken.cdx.json", b"{"),
                file(f"{SITE}/a.libs/libgfortran-040039e1.so.5", b"\x7fELF"),
                file(f"{SITE}/a.libs/x.txt", b""),
            ),
        )
    )
    assert found.keys() == {"a", "libgfortran", "inner", "nameless"}
    assert found["a"].needs == ("pkg:pypi/a@1.0#nameless", purl)
    assert found["libgfortran"].needs == ("pkg:cargo/inner@1",)
    assert found["nameless"].licence == Licence(text="MIT", is_expression=True)
    assert found["a"].files == (f"{SITE}/a.libs/libgfortran-040039e1.so.5",)
    assert found["a"].facts == (("library", "libgfortran-040039e1.so.5 (libgfortran.so.5)"),)


def test_what_is_installed_knows_itself_best() -> None:
    """Another distribution's bill of materials changes nothing about it, such as its licence."""
    a, b = distribution("a"), distribution("b", about=About(licence_expression="GPL-3.0-only"))
    said = {"bom-ref": "1", "name": "b", "version": "1.0", "purl": "pkg:pypi/b@1.0"}
    gpl = [{"expression": "GPL-2.0-only"}]
    part = {"bom-ref": "2", "type": "file", "name": "x.c", "licenses": gpl}
    data = embedded({**said, "licenses": [{"expression": "MIT"}]}, part)
    bom = bom_of(a, b, entries=(file(f"{a.metadata_dir}/sboms/a.cdx.json", data),))
    licences = dict(licences_of(bom))
    assert licences["b 1.0"] == Licence(text="GPL-3.0-only", is_expression=True)
    assert licences["x.c (of a 1.0)"] == Licence(text="GPL-2.0-only", is_expression=True)


def test_names_that_are_no_utf_8_are_text() -> None:
    """Strict JSON readers refuse lone surrogates; two such names stay distinct."""
    names = [f"{SITE}/a.libs/lib\udce9.so.1", f"{SITE}/a.libs/lib\udce8.so.1"]
    a = distribution("a", *names, about=About(authors=("\ud800",)))
    text = rendered(document(bom_of(a, entries=tuple(file(each, b"\x7fELF") for each in names))))
    refs = {each["bom-ref"] for each in json.loads(text)["components"][0]["components"]}
    assert len(refs) == 2
    assert all(ref.isascii() for ref in refs)


def test_a_file_of_two_has_a_reference_in_each() -> None:
    """References are unique (ECMA-424); in SPDX, too, both contain it."""
    name = f"{SITE}/shared.libs/libx.so.1"
    bom = bom_of(
        distribution("a", name), distribution("b", name), entries=(file(name, b"\x7fELF"),)
    )
    one, other = document(bom)["components"]
    assert [each["name"] for each in (*one["components"], *other["components"])] == [name, name]
    assert one["components"][0]["bom-ref"] != other["components"][0]["bom-ref"]
    relations = spdx(document(bom))["relationships"]
    held = [each for each in relations if each["relationshipType"] == "CONTAINS"]
    assert len({each["relatedSpdxElement"] for each in held}) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"bomFormat": "CycloneDX", "components": 3, "dependencies": {"a": 1}}',
        b'{"bomFormat": "CycloneDX", "components": [1, {"name": 2}], "metadata": []}',
        b'{"bomFormat": "CycloneDX", "components": [{"name": "x", "hashes": [{"alg": "SHA-256"}],'
        b' "licenses": "MIT", "bom-ref": [], "type": {}}], "dependencies": [{"ref": []}]}',
        b"\xff\xfe",
    ],
)
def test_others_bills_of_materials_may_hold_anything(data: bytes) -> None:
    """A file that is not a bill of materials is ignored, and so are invalid parts of one."""
    a = distribution("a")
    bom = bom_of(a, entries=(file(f"{a.metadata_dir}/sboms/x.cdx.json", data),))
    assert {each.name for each in bom.components} <= {"a", "x"}


BUNDLE = {
    "package": {"package": "python3.11", "version": "3", "purl": "pkg:deb/debian/python3.11@3"},
    "libraries": [
        {
            "name": "libssl.so.3",
            "package": "libssl3",
            "version": "3.0",
            "license": "Apache-2.0",
            "purl": "pkg:deb/debian/libssl3@3.0?arch=amd64&distro=debian-12",
        },
        {"name": "libcrypto.so.3", "package": "libssl3", "version": "3.0",
         "purl": "pkg:deb/debian/libssl3@3.0?arch=amd64&distro=debian-12"},
        {"name": "libown.so"},
    ],
    "left_to_the_target": {"libreadline.so.8": ["readline"]},
}  # fmt: skip


def test_the_interpreter_and_its_libraries_are_components() -> None:
    """Each package is one component with its files, a file of no package one of its own."""
    files = [file(f"lib/{name}", b"x") for name in ("libssl.so.3", "libcrypto.so.3", "libown.so")]
    bom = bom_of(entries=(*files, file("bin/python3.11", b"x")), bundle=BUNDLE)
    found = by_name(bom)
    assert found["libssl3"].files == ("lib/libssl.so.3", "lib/libcrypto.so.3")
    assert found["libssl3"].licence == Licence(text="Apache-2.0", is_expression=True)
    assert (found["libown.so"].kind, found["libown.so"].files) == ("file", ("lib/libown.so",))
    python = found["CPython"]
    assert (python.version, python.purl) == ("3.11.7", "pkg:generic/python@3.11.7")
    assert python.cpe is None  # its package's advisories are the ones that count
    assert python.needs == ("file:libown.so", found["libssl3"].ref, "pkg:deb/debian/python3.11@3")
    assert (found["debian"].kind, found["debian"].version) == ("operating-system", "12")
    assert ("needs:library", "libreadline.so.8") in bom.root.facts
    told = document(bom)
    (own,) = [each for each in told["components"] if each["name"] == "libown.so"]
    assert own["hashes"] == [{"alg": "SHA-256", "content": f"{len('lib/libown.so'):064x}"}]
    assert "components" not in own


def test_an_interpreter_of_no_package_has_its_name_in_the_nvd() -> None:
    """Scanners identify interpreters that were compiled or downloaded by their CPE."""
    bundle = {**BUNDLE, "package": None, "libraries": []}
    python = by_name(bom_of(bundle=bundle))["CPython"]
    assert python.cpe == "cpe:2.3:a:python:python:3.11.7:*:*:*:*:*:*:*"


def test_what_the_target_has_to_bring_is_told() -> None:
    """The platform and missing libraries are listed, and the interpreter if it is not bundled."""
    facts = dict(bom_of().root.facts)
    assert facts["needs:interpreter"] == "cpython 3.11 (cp311)"
    assert facts["platform"] == "linux_x86_64"
    library = {"name": "libz.so.1", "file": "lib/a.so"}
    assert ("needs:library", "libz.so.1") in bom_of(target_libraries=[library]).root.facts


def test_the_serial_number_is_made_from_the_text() -> None:
    """The same text has the same number; another content digest is recorded and changes it."""
    bom = bom_of(distribution("a", about=About(summary="\udce9")))
    one, two = (cyclonedx(bom, digest * 64, lambda _: "f" * 64, "1.0") for digest in "de")
    assert one["serialNumber"].startswith("urn:uuid:")
    assert one == cyclonedx(bom, "d" * 64, lambda _: "f" * 64, "1.0")
    assert one["serialNumber"] != two["serialNumber"]
    assert content_of(json.loads(rendered(one))) == "d" * 64
    assert content_of(cyclonedx(bom, None, lambda _: "f" * 64, "1.0")) is None


def test_a_hash_that_is_no_content_changes_serial_number_and_namespace() -> None:
    """A local `direct_url.json` is not packed, but the wheel's hash in it is listed."""
    local = {"url": "file:///home/ann/c.whl", "archive_info": {"hashes": {"sha256": "ab" * 32}}}
    one = document(bom_of(distribution("c")))
    two = document(bom_of(distribution("c", direct_url=json.dumps(local))))
    assert one["components"] != two["components"]
    assert one["serialNumber"] != two["serialNumber"]
    assert spdx(one)["documentNamespace"] != spdx(two)["documentNamespace"]


def test_spdx_has_the_same_components_and_edges() -> None:
    """Each component is a package, and so is each of its files; relationships form the graph."""
    about = About(licence_expression="LicenseRef-Ours OR MIT", authors=("Ann",))
    files = (file("lib/libssl.so.3", b"x"), file("lib/libcrypto.so.3", b"x"))
    bom = bom_of(distribution("a", requires=("b",), about=about), distribution("b"),
                 entries=files, bundle=BUNDLE)  # fmt: skip
    told = document(bom)
    assert is_ours(told)
    found = spdx(told)
    names = {each["name"] for each in found["packages"]}
    assert names >= {"app", "a", "b", "CPython", "libssl3", "lib/libssl.so.3", "libown.so"}
    ids = {each["name"]: each["SPDXID"] for each in found["packages"]}
    edges = {
        (each["spdxElementId"], each["relationshipType"], each["relatedSpdxElement"])
        for each in found["relationships"]
    }
    assert (ids["a"], "DEPENDS_ON", ids["b"]) in edges
    assert (ids["libssl3"], "CONTAINS", ids["lib/libssl.so.3"]) in edges
    a = next(each for each in found["packages"] if each["name"] == "a")
    assert a["licenseComments"] == "Declared: LicenseRef-Ours OR MIT"
    assert not is_ours({**told, "components": [{"name": "x"}]})


def test_package_urls_are_quoted_as_the_standard_says() -> None:
    """Names and values are quoted, colons of versions are not, and qualifiers are sorted."""
    url = package_url("deb", "debian", "g++", version="1:2+b1", z="a b", arch="x", none=None)
    assert url == "pkg:deb/debian/g%2B%2B@1:2%2Bb1?arch=x&z=a%20b"


def test_metadata_that_patterns_leave_out_are_still_read() -> None:
    """Licences must be stated, even if `exclude-files` leaves out their files.

    The metadata of a distribution that a wheel replaces describe nothing that is packed.
    """
    a = distribution("a")
    scanned = [file(f"{a.metadata_dir}/{name}", b"text\r\n") for name in ("LICENSE", "NOTICE")]
    planned = replace(plan(), scanned=tuple(scanned))
    planned.log.leave_out(scanned[0].arcname, BY_PATTERN)
    planned.log.leave_out(scanned[1].arcname, f"of a 1.0, {REPLACED}")
    files = PackedFiles(planned)
    assert files.of_metadata(a.metadata_dir) == [f"{a.metadata_dir}/LICENSE"]
    assert files.text(f"{a.metadata_dir}/LICENSE") == "text\n"
