"""The keys of what compression costs: its level, threads, and what is kept of it."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

COMPRESSION_KEYS: Final = (
    Key(
        name="compression-level",
        parse=values.level,
        values=(
            "an integer of the format's own scale ([what each"
            " costs](docs/archive-format.md#compression-levels))"
        ),
        default="gz, run and oci 5; xz and zip 6; bz2, zst and squashfs 9",
        option=Option(
            group="format",
            metavar="N",
            help="on the format's own scale",
            default="gz, run and oci 5, xz and zip 6, bz2, zst and squashfs 9",
        ),
    ),
    Key(
        name="threads",
        parse=values.threads,
        values=(
            "how many threads compress, or processes compile byte code; the bytes do not"
            " depend on it"
        ),
        default="the CPUs this process may use",
        option=Option(
            group="contents",
            metavar="N",
            help="how many threads compress, copy or compile; the result does not depend on it",
            default="the CPUs this process may use",
        ),
    ),
    Key(
        name="cache",
        parse=values.boolean,
        values=(
            "whether compressed blocks are kept, so that [the next build costs what"
            " changed](docs/archive-format.md#the-second-build); the bytes do not depend on it"
        ),
        default="`true`",
        option=Option(
            group="format",
            metavar="BOOL",
            help=(
                "true: compressed blocks are kept for the next build, 2 GiB at most; false: none"
                " are; the bytes do not depend on it"
            ),
            default="true",
            convert=values.word,
        ),
    ),
)
