"""The keys of single formats; a part of the table."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

FORMAT_KEYS: Final = (
    Key(
        name="zip-links",
        parse=values.boolean,
        values=(
            "`true`: a zip file holds links as Info-ZIP stores them, instead of copies of what they"
            " lead to: smaller, and only for programs that"
            " [restore them](docs/archive-format.md#links-in-zip-files)"
        ),
        default="`false`",
        option=Option(
            group="format",
            metavar="",
            help=(
                "store links in a zip file, as Info-ZIP's zip -y does, instead of copies of what"
                " they lead to (unzip, bsdtar and 7-Zip restore them; Python's zipfile, Java and"
                " Windows do not)"
            ),
        ),
    ),
    Key(
        name="entry-point",
        parse=values.script_name,
        values="the script that a `run` file or an image starts, by its name in `bin`",
        default="the project's only console script",
        option=Option(
            group="format",
            metavar="SCRIPT",
            help="the script that a run file or an image starts, by its name in bin",
        ),
    ),
    Key(
        name="image-base",
        parse=values.image_base,
        values=(
            '`"scratch"`: an image holds the C library, certificates and time zones of the building'
            " machine below the environment; or the path of an OCI image (a layout, in a folder or"
            " a tar) that it is laid upon"
        ),
        default='`"scratch"`',
        option=Option(
            group="format",
            metavar="BASE",
            help=(
                "scratch: an image holds the C library, certificates and time zones of this machine"
                " below the environment; or the path of an OCI image that it is laid upon"
            ),
            default="scratch",
        ),
    ),
    Key(
        name="image-name",
        parse=values.image_name,
        values="a template of `{name}` and `{version}`: an image's repository and tag",
        default="`{name}:{version}`",
        option=Option(
            group="format",
            metavar="NAME:TAG",
            help="an image's repository and tag",
            default="the environment's name, latest",
        ),
    ),
    Key(
        name="image-compression",
        parse=values.image_compression,
        values=(
            '`"gzip"`, which every runtime reads; `"zstd"`: layers are smaller and unpacked faster'
            " (containerd 1.5, Docker 23, Podman 3 and later)"
        ),
        default='`"gzip"`',
        option=Option(
            group="format",
            metavar="NAME",
            help="gzip or zstd: what compresses the layers of an image",
            default="gzip",
        ),
    ),
)
