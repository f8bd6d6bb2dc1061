"""The keys for the cost of compression: its level, its threads and its cache."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

COMPRESSION_KEYS: Final = (
    Key(
        name="compression-level",
        parse=values.level,
        values=(
            "an integer on the format's own scale ([what each"
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
            "the number of threads that compress, or of processes that compile bytecode; the"
            " output does not depend on it"
        ),
        default="the number of CPUs available to the process",
        option=Option(
            group="contents",
            metavar="N",
            help="number of threads that compress, copy or compile; the output does not depend on"
            " it",
            default="the CPUs available to this process",
        ),
    ),
    Key(
        name="cache",
        parse=values.boolean,
        values=(
            "whether compressed blocks are kept, so that [the next build compresses only what"
            " changed](docs/archive-format.md#the-second-build); the output does not depend on it"
        ),
        default="`true`",
        option=Option(
            group="format",
            metavar="BOOL",
            help=(
                "true: keep compressed blocks for the next build, 2 GiB at most; false: keep none;"
                " the output does not depend on it"
            ),
            default="true",
            convert=values.word,
        ),
    ),
)
