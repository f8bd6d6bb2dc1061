"""Licence notices: every component is named, each text is there once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.fakes import distribution, environment, file, inputs, plan

from hatch_pack_venv.documents.bom import Parts, bill_of_materials
from hatch_pack_venv.documents.notices import notices
from hatch_pack_venv.documents.packed_files import PackedFiles
from hatch_pack_venv.metadata.licences import text_names
from hatch_pack_venv.model.distribution import About

if TYPE_CHECKING:
    from hatch_pack_venv.model.distribution import InstalledDistribution
    from hatch_pack_venv.model.entries import ScannedEntry

BUNDLE: dict[str, Any] = {
    "package": {"package": "python3.11", "version": "3"},
    "libraries": [{"name": "libssl.so.3", "package": "libssl3", "version": "3.0"}],
    "left_to_the_target": {},
}


def text_of(*distributions: InstalledDistribution, entries: tuple[ScannedEntry, ...]) -> str:
    there = environment(*distributions)
    planned = plan(*entries, environment=there, inputs=inputs()).with_facts({"bundle": BUNDLE}, ())
    parts = Parts(plan=planned, environment=there, files=PackedFiles(planned))
    return notices(parts, bill_of_materials(parts)).decode()


def test_each_text_is_there_once() -> None:
    """Two components share a text that differs only in line endings; numbers refer to it."""
    a, b = (
        distribution(name, about=About(licence_expression="MIT", licence_files=("TERMS",)))
        for name in ("a", "b")
    )
    text = text_of(
        a,
        b,
        entries=(
            file(f"{a.metadata_dir}/licenses/TERMS", b"the terms\r\nof all\r\n"),
            file(f"{b.metadata_dir}/TERMS", b"the terms\nof all\n\n"),
            file(f"{b.metadata_dir}/NOTICE.txt", "für b\n".encode()),
            file(f"{b.metadata_dir}/LICENSE.png", b"\x89PNG\0"),
            file(f"{b.metadata_dir}/LICENSE-\udce9", b"the terms\nof all\n"),  # not UTF-8
        ),
    )
    assert text.count("the terms\nof all") == 1
    assert "a 1.0\n  licence: MIT\n  texts: [1]\n" in text
    assert "b 1.0\n  licence: MIT\n  texts: [1], [2]\n" in text
    assert "[1] TERMS of a 1.0; LICENSE-\\udce9 of b 1.0; TERMS of b 1.0\n" in text
    assert text.endswith("für b\n")


def test_a_bundles_interpreter_and_libraries_are_named() -> None:
    """CPython's text is its own, or its package's; each library is named with its package."""
    licences = (
        file("share/licenses/libssl3/copyright", b"of ssl\n"),
        file("share/licenses/python3.11/copyright", b"of the package\n"),
    )
    library = file("lib/libssl.so.3", b"x")
    text = text_of(entries=(*licences, library))
    assert "CPython 3.11.7\n  licence: Python-2.0\n  texts: [1]\n" in text
    assert "libssl3 3.0\n  licence: not stated\n  files: libssl.so.3\n  texts: [2]\n" in text
    own = file("lib/python3.11/LICENSE.txt", b"of Python\n")
    assert "of Python" in text_of(entries=(*licences, own))


def test_what_has_no_text_is_told() -> None:
    """A component without a text is listed, with a remark that none was found."""
    assert "a 1.0\n  licence: not stated\n  texts: none was found\n" in text_of(
        distribution("a"), entries=()
    )


def test_texts_of_licences_are_known_by_place_and_name() -> None:
    """Those that metadata declare, those in `licenses`, and files named as licences are."""
    names = ["LICENSE", "licenses/a/b", "COPYING.LESSER", "METADATA", "x/LICENSE", "terms", "z"]
    found = text_names("a.dist-info", [f"a.dist-info/{name}" for name in names], ["terms"])
    assert [name.removeprefix("a.dist-info/") for name in found] == [
        "COPYING.LESSER",
        "LICENSE",
        "licenses/a/b",
        "terms",
    ]
