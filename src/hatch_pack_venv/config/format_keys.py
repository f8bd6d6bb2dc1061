"""The keys for individual formats, a part of the table."""

from __future__ import annotations

from typing import Final

from . import values
from .key import Key, Option

FORMAT_KEYS: Final = (
    Key(
        name="zip-links",
        parse=values.boolean,
        values=(
            "`true`: store links in a zip file as Info-ZIP does, instead of copies of their"
            " targets; the file is smaller, but only for programs that"
            " [restore links](docs/archive-format.md#links-in-zip-files)"
        ),
        default="`false`",
        option=Option(
            group="format",
            metavar="",
            help=(
                "store links in a zip file, as Info-ZIP's zip -y does, instead of copies of their"
                " targets (unzip, bsdtar and 7-Zip restore links; Python's zipfile, Java and"
                " Windows do not)"
            ),
        ),
    ),
    Key(
        name="entry-point",
        parse=values.script_name,
        values="name of the script in `bin` that a `run` file or an image starts",
        default="the project's only console script",
        option=Option(
            group="format",
            metavar="SCRIPT",
            help="name of the script in bin that a run file or an image starts",
        ),
    ),
    Key(
        name="image-base",
        parse=values.image_base,
        values=(
            'what an image has below the environment: `"scratch"`: the C library, certificates and'
            " time zones of the build machine; or the path of an OCI image (a layout, in a folder"
            " or a tar)"
        ),
        default='`"scratch"`',
        option=Option(
            group="format",
            metavar="BASE",
            help=(
                "what an image has below the environment; scratch: the C library, certificates and"
                " time zones of this machine; or the path of an OCI image"
            ),
            default="scratch",
        ),
    ),
    Key(
        name="image-name",
        parse=values.image_name,
        values="an image's repository and tag: a template with the fields `{name}` and `{version}`",
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
            'how the layers of an image are compressed: `"gzip"`, which every runtime reads; or'
            ' `"zstd"`, which is smaller and unpacks faster (containerd 1.5, Docker 23, Podman 3'
            " and later)"
        ),
        default='`"gzip"`',
        option=Option(
            group="format",
            metavar="NAME",
            help="how the layers of an image are compressed: gzip or zstd",
            default="gzip",
        ),
    ),
)
