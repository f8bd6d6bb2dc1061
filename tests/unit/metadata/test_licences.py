"""Licences: what metadata mean by them, and which of them are denied."""

from __future__ import annotations

import pytest

from hatch_pack_venv.metadata.installed import about_of, headers_of
from hatch_pack_venv.metadata.licences import Alternatives, denied_licences, licence_of
from hatch_pack_venv.model.components import Licence

MIT = "Classifier: License :: OSI Approved :: MIT License\n"
GPL = "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)\n"
BSD = "Classifier: License :: OSI Approved :: BSD License\n"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License-Expression: mit or isc\n", Licence(text="MIT OR ISC", is_expression=True)),
        ("License: bsd-3-clause\n" + MIT, Licence(text="BSD-3-Clause", is_expression=True)),
        ("License: see the file\n" + MIT, Licence(text="MIT", is_expression=True)),
        (MIT + "Classifier: License :: MIT\n", Licence(text="MIT", is_expression=True)),
        (MIT + BSD, Licence(text="MIT License, BSD License")),
        (BSD, Licence(text="BSD License")),
        (GPL, Licence(text="GNU General Public License v3 (GPLv3)")),
        ("Classifier: License :: OSI Approved\n", None),
        ("License: BSD 3-Clause License\n", Licence(text="BSD 3-Clause License")),
        ("License: UNKNOWN\n", None),
        ("License: Copyright (c) 2020\n        All rights reserved.\n", None),
        ("License-Expression: no such thing\n", None),
        ("License-Expression: " + "(" * 5000 + "MIT" + ")" * 5000 + "\n", None),
        ("", None),
    ],
)
def test_metadata_mean_one_licence(metadata: str, expected: Licence | None) -> None:
    """An expression takes precedence, then a classifier of exactly one licence, then plain text."""
    assert licence_of(about_of(headers_of(f"Name: a\n{metadata}"))) == expected


def test_authors_are_named_without_their_addresses() -> None:
    """An address is used only if there is no name; names keep their non-ASCII letters."""
    text = "Name: a\nAuthor: Jürgen Groß\nAuthor-email: Ann <ann@example.org>, b@example.org\n"
    assert about_of(headers_of(text)).authors == ("Jürgen Groß", "Ann", "b@example.org")


@pytest.mark.parametrize(
    ("expression", "patterns", "allowed"),
    [
        ("MIT", ["GPL-3.0-*"], True),
        ("GPL-3.0-only", ["GPL-3.0-*"], False),
        ("GPL-3.0-only", ["gpl-*"], False),
        ("GPL-3.0+", ["GPL-3.0-or-later"], False),
        ("LGPL-3.0-only", ["GPL-*"], True),
        ("MIT OR GPL-3.0-only", ["GPL-*"], True),
        ("MIT AND GPL-3.0-only", ["GPL-*"], False),
        ("(MIT OR GPL-2.0-only) AND (ISC OR GPL-3.0-only)", ["GPL-*"], True),
        ("(MIT OR GPL-2.0-only) AND (AGPL-3.0-only OR GPL-3.0-only)", ["GPL-*", "AGPL-*"], False),
        ("MIT OR ISC AND GPL-3.0-only", ["GPL-*"], True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", ["GPL-*"], True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", ["GPL-* WITH *"], False),
        ("GPL-3.0-or-later", ["GPL-* WITH *"], True),
        ("LicenseRef-Ours", ["LicenseRef-*"], False),
        ("Apache-2.0+", ["Apache-2.0"], False),
    ],
)
def test_a_choice_is_denied_where_each_alternative_is(
    expression: str, patterns: list[str], allowed: bool
) -> None:
    """Of `A OR B` one has to be allowed, of `A AND B` both."""
    assert Alternatives(expression).are_allowed(patterns) is allowed


def test_what_is_denied_and_what_cannot_be_judged_are_named() -> None:
    """Each denied component has a sentence of its own; the unjudged share one."""
    gpl = Licence(text="GPL-3.0-only", is_expression=True)
    mit = Licence(text="MIT", is_expression=True)
    found = [("a 1", gpl), ("b 2", mit), ("c 3", Licence(text="BSD License")), ("d 4", None)]
    denied, notes = denied_licences(found, ["GPL-*"])
    assert [sentence.split(",")[0] for sentence in denied] == ["a 1 is under GPL-3.0-only"]
    assert len(notes) == 1
    assert "c 3 (BSD License), d 4 (no licence)" in notes[0]


@pytest.mark.parametrize(
    ("patterns", "denied"),
    [
        (["GPL-3.0-*"], True),
        (["GPL-3.0-only", "GPL-3.0-or-later"], True),
        (["GPL-3.0-only"], False),
    ],
)
def test_a_classifier_that_means_several_is_denied_with_all_of_them(
    patterns: list[str], *, denied: bool
) -> None:
    """PEP 639 forbids choosing one; if only some are denied, the component cannot be judged."""
    gpl = licence_of(about_of(headers_of(f"Name: a\n{GPL}")))
    sentences, notes = denied_licences([("a 1", gpl)], patterns)
    assert (len(sentences), len(notes)) == ((1, 0) if denied else (0, 1))
