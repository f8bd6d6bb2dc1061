"""The keys for what a release requires: bill of materials, notices, licences, provenance."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

RELEASE_KEYS: Final = (
    Key(
        name="sbom",
        parse=values.boolean_or("beside"),
        values=(
            "where to write a bill of materials (CycloneDX 1.6, see [release"
            " documents](docs/release-documents.md)): `true`: in the archive and next to it;"
            ' `"beside"`: only next to it; `false`: nowhere'
        ),
        default="`true`",
        option=Option(
            group="documents",
            metavar="WHERE",
            help=(
                "where to write a bill of materials (CycloneDX); true: in the archive and next to"
                " it; beside: only next to it; false: nowhere"
            ),
            default="true",
            convert=values.word,
        ),
    ),
    Key(
        name="notices",
        parse=values.boolean,
        values=(
            "whether to pack `share/licenses/NOTICES.txt`, which lists every component with its"
            " licence and contains each licence text once"
        ),
        default="`true`",
        option=Option(
            group="documents",
            metavar="BOOL",
            help=(
                "true: pack share/licenses/NOTICES.txt, which lists every component with its"
                " licence and contains the licence texts; false: do not"
            ),
            default="true",
            convert=values.word,
        ),
    ),
    Key(
        name="deny-licenses",
        parse=values.licence_patterns,
        values=(
            'patterns of SPDX identifiers (`["GPL-3.0-*", "AGPL-*"]`); packing fails if a'
            " component is under such a licence ([how they are"
            " compared](docs/release-documents.md#licences-that-are-denied))"
        ),
        option=Option(
            group="documents",
            metavar="PATTERN",
            help=(
                "refuse to pack components under a licence that matches this pattern of SPDX"
                " identifiers, such as 'GPL-3.0-*'; repeatable"
            ),
            flags=("--deny-license", "--deny-licenses"),
            repeated=True,
        ),
    ),
    Key(
        name="provenance",
        parse=values.boolean,
        values=(
            "whether to write `<archive>.intoto.jsonl`, which states where the archive came from"
            " ([SLSA provenance](docs/release-documents.md#provenance), not signed yet)"
        ),
        default="`false`",
        option=Option(
            group="documents",
            metavar="BOOL",
            help=(
                "true: write an in-toto statement next to the archive, with the commit, the wheels"
                " and the CI that it came from"
            ),
            default="false",
            convert=values.word,
        ),
    ),
    Key(
        name="max-glibc",
        parse=values.version_limit,
        values=(
            'the newest glibc that packed files may need (`"2.28"`); packing fails if a file needs'
            " more, with an error that names each such file and what helps"
        ),
        option=Option(
            group="documents",
            metavar="VERSION",
            help="refuse to pack files that need a newer glibc than this: 2.28",
        ),
    ),
    Key(
        name="max-macos",
        parse=values.version_limit,
        values='the same for macOS: `"13"`, `"10.15"`',
        option=Option(
            group="documents",
            metavar="VERSION",
            help="refuse to pack files that need a newer macOS than this: 13",
        ),
    ),
)
