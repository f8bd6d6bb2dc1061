"""The keys of what a release is asked for: bill of materials, notices, licences, provenance."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

RELEASE_KEYS: Final = (
    Key(
        name="sbom",
        parse=values.boolean_or("beside"),
        values=(
            "a bill of materials (CycloneDX 1.6, [release documents](docs/release-documents.md)):"
            ' `true`: in the archive and beside it; `"beside"`: beside it alone; `false`: none'
        ),
        default="`true`",
        option=Option(
            group="documents",
            metavar="WHERE",
            help=(
                "a bill of materials in CycloneDX; true: in the archive and beside it; beside:"
                " beside it alone; false: none"
            ),
            default="true",
            convert=values.word,
        ),
    ),
    Key(
        name="notices",
        parse=values.boolean,
        values=(
            "whether `share/licenses/NOTICES.txt` names every component with its licence, and"
            " has their texts, each once"
        ),
        default="`true`",
        option=Option(
            group="documents",
            metavar="BOOL",
            help=(
                "true: share/licenses/NOTICES.txt names every component with its licence and has"
                " their texts; false: it is not made"
            ),
            default="true",
            convert=values.word,
        ),
    ),
    Key(
        name="deny-licenses",
        parse=values.licence_patterns,
        values=(
            'patterns of SPDX identifiers (`["GPL-3.0-*", "AGPL-*"]`) that stop the packing'
            " ([what is compared](docs/release-documents.md#licences-that-are-denied))"
        ),
        option=Option(
            group="documents",
            metavar="PATTERN",
            help=(
                "a pattern of SPDX identifiers, such as 'GPL-3.0-*': refuse to pack what is under"
                " such a licence; repeatable"
            ),
            flags=("--deny-license", "--deny-licenses"),
            repeated=True,
        ),
    ),
    Key(
        name="provenance",
        parse=values.boolean,
        values=(
            "whether `<archive>.intoto.jsonl` states where the archive came from"
            " ([SLSA provenance](docs/release-documents.md#provenance), not signed yet)"
        ),
        default="`false`",
        option=Option(
            group="documents",
            metavar="BOOL",
            help=(
                "true: an in-toto statement beside the archive tells the commit, the wheels and"
                " the CI that it came from"
            ),
            default="false",
            convert=values.word,
        ),
    ),
    Key(
        name="max-glibc",
        parse=values.version_limit,
        values=(
            'the newest glibc that the target may be asked for (`"2.28"`): packing is an error that'
            " names each file above it, and the way out"
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
