"""The configuration's single table: each key's parser, command-line option and documentation.

It drives the parsing of tables, the command's options, and the README's table (`hatch run docs`).
"""

from __future__ import annotations

from typing import Final

from ..model.formats import CompressionFormat
from ..model.interpreter import LEVELS, OPTIONAL_MODULES
from . import values
from .compression_keys import COMPRESSION_KEYS
from .format_keys import FORMAT_KEYS
from .key import Key, Option
from .release_keys import RELEASE_KEYS

_FORMATS: Final = [format.suffix.removeprefix(".") for format in CompressionFormat]


_KEYS: Final = (
    Key(
        name="source",
        parse=values.path,
        values=(
            "the environment's folder, relative to the project; `HATCH_PACK_VENV_SOURCE`"
            " overrides it and `hatch-env`"
        ),
        default="`.venv`",
    ),
    Key(
        name="hatch-env",
        parse=values.non_blank,
        values=(
            "name of a Hatch environment to pack instead of `source`; the plugin runs `hatch env"
            " find` and creates nothing"
        ),
    ),
    Key(
        name="interpreter",
        parse=values.interpreter,
        values=(
            '`"bundled"`: the archive contains the interpreter; `"target"`: the target provides'
            " it, and `postinstall.py` connects the environment to it; an absolute path: the"
            " interpreter is expected there on the target, and the archive is already connected"
            " to it (not for `zip`; Python's `data` filter refuses that one link, `tar` and"
            ' `filter="tar"` accept it)'
        ),
        default='`"bundled"`',
        option=Option(
            group="interpreter",
            metavar="WHOSE",
            help=(
                "bundled: the archive contains the interpreter; target: the target provides it,"
                " and postinstall.py connects the environment to it; an absolute path: the"
                " interpreter is expected there on the target"
            ),
            default="bundled",
        ),
    ),
    Key(
        name="project",
        parse=values.choice("wheel", "installed", "exclude"),
        values=(
            '`"wheel"`: the wheel being built replaces whatever the environment holds of the'
            ' project; `"installed"`: pack it as installed in the environment; `"exclude"`: leave'
            " it out"
        ),
        default='`"wheel"`',
    ),
    Key(
        name="editables",
        parse=values.choice("error", "copy", "exclude"),
        values=(
            "what to do about other editable installs (and the project, with"
            ' `project = "installed"`): `"error"`: fail, and name each with its source folder;'
            ' `"copy"`: pack what is importable from the source folder like a regular install;'
            ' `"exclude"`: leave them out, unless something packed requires one, which is an error'
        ),
        default='`"error"`',
        option=Option(
            group="contents",
            metavar="RULE",
            help=(
                "what to do about editable installs; error: refuse them; copy: pack what is"
                " importable from their source folders; exclude: leave them out, unless something"
                " packed requires them, which is an error"
            ),
            default="error",
        ),
    ),
    Key(
        name="format",
        parse=values.formats,
        values=(
            "one or a list of `tar`, `tar.gz`, `tar.bz2`, `tar.xz`, `tar.zst`, `zip`; `run`, a file"
            " that [unpacks and starts itself](docs/archive-format.md#run-files); `oci`, a"
            " [container image](docs/archive-format.md#oci-images); `squashfs`, an"
            " [image that is mounted](docs/archive-format.md#squashfs-images)"
        ),
        default="`tar.xz`; `zip` for Windows environments",
        option=Option(
            group="format",
            metavar="FORMAT",
            help=f"one of {', '.join(_FORMATS)}; repeatable",
            default="tar.xz, zip on Windows",
            repeated=True,
        ),
    ),
    *COMPRESSION_KEYS,
    *FORMAT_KEYS,
    Key(
        name="output-directory",
        parse=values.path,
        values="relative to the project",
        default="`dist-venv`",
    ),
    Key(
        name="archive-name",
        parse=values.archive_name,
        values=(
            "a template with the fields `{name}`, `{version}`, `{python_tag}` and"
            " `{platform_tag}`; the last is what the packed files need, such as"
            " `manylinux_2_28_x86_64`, or `linux_x86_64` if nothing packed is compiled"
        ),
        default="`{name}-{version}-{python_tag}-{platform_tag}`",
    ),
    Key(
        name="install-target",
        parse=values.template,
        values='the archive\'s top-level folder, with the same fields; `"."` for none',
        default="`{name}-{version}`",
        option=Option(
            group="format",
            metavar="NAME",
            help="the archive's top-level folder; '.' for none",
            default="the environment's name",
        ),
    ),
    Key(
        name="exclude-files",
        parse=values.patterns_or_presets,
        values=(
            "gitignore-style patterns of files to leave out, and names of presets (below); write"
            " a pattern that begins with `@` as `\\@`"
        ),
        option=Option(
            group="contents",
            metavar="PATTERN",
            help="gitignore-style pattern of files to leave out, or one of"
            f" {', '.join(values.PRESETS)}; repeatable",
            repeated=True,
        ),
    ),
    Key(
        name="include-files",
        parse=values.patterns,
        values="gitignore-style patterns of files to pack although a rule or pattern excludes them",
        option=Option(
            group="contents",
            metavar="PATTERN",
            help=(
                "gitignore-style pattern of files to pack although a rule or pattern excludes them;"
                " repeatable"
            ),
            repeated=True,
        ),
    ),
    Key(
        name="record-files",
        parse=values.choice("update", "exclude"),
        values=(
            '`"update"`: keep RECORD files and update them to match what is packed, so that `pip'
            " install --upgrade`, `pip uninstall` and `importlib.metadata` work in the unpacked"
            ' environment; `"exclude"`: leave them out'
        ),
        default='`"update"`',
        option=Option(
            group="contents",
            metavar="RULE",
            help="update: keep RECORD files and update them to match what is packed; exclude:"
            " leave them out",
            default="update",
        ),
    ),
    Key(
        name="wheels",
        parse=values.paths("wheel files"),
        values=(
            "wheel files, or patterns that match one each (`../dist/my_lib-*.whl`); each replaces"
            " whatever the environment holds of its distribution"
        ),
        option=Option(
            group="contents",
            metavar="FILE",
            help=(
                "a wheel that replaces whatever the environment holds of its distribution;"
                " repeatable"
            ),
            flags=("--wheel", "--wheels"),
            repeated=True,
        ),
    ),
    Key(
        name="wheels-newest",
        parse=values.boolean,
        values="`true`: if a pattern in `wheels` matches several files, use the newest version",
        default="`false`",
        option=Option(
            group="contents",
            metavar="",
            help="if a pattern of --wheel matches several files, use the newest version",
        ),
    ),
    Key(
        name="distributions",
        parse=values.choice("all", "required"),
        values=(
            '`"all"`: the environment as it is; `"required"`: only the project, the distributions'
            " that `wheels` and `keep` name, and everything they require according to the"
            " installed metadata"
        ),
        default='`"all"`',
        option=Option(
            group="contents",
            metavar="WHICH",
            help=(
                "all: the environment as it is; required: only what --keep and --wheel name, and"
                " everything they require according to the installed metadata"
            ),
            default="all",
        ),
    ),
    Key(
        name="extras",
        parse=values.names("names of extras"),
        values="extras of the project whose requirements count as needed",
    ),
    Key(
        name="keep",
        parse=values.kept,
        values=(
            'further distributions to pack with `distributions = "required"`, with everything they'
            ' require (`"uvicorn[standard]"`); on the command line outside a configured project,'
            " this is where extras go: `--keep 'app[extra]'`"
        ),
        option=Option(
            group="contents",
            metavar="NAME",
            help=(
                "with --distributions required, a distribution to pack with everything that it and"
                " its extras require: 'uvicorn[standard]'; repeatable"
            ),
            repeated=True,
        ),
    ),
    Key(
        name="check",
        parse=values.choice("error", "warn", "off"),
        values=(
            "what to do if requirements of the project and its dependency closure are not met:"
            ' `"error"`, `"warn"` or `"off"`; other distributions only cause warnings'
        ),
        default='`"error"`',
        option=Option(
            group="contents",
            metavar="RULE",
            help=(
                "what to do about requirements of --keep and --wheel that the environment does"
                " not meet: error, warn or off. Other distributions only cause warnings"
            ),
            default="error",
        ),
    ),
    Key(
        name="lock",
        parse=values.path,
        values=(
            "a `pylock.toml` (PEP 751), relative to the project, that the installed versions"
            " must match"
        ),
        option=Option(
            group="contents",
            metavar="FILE",
            help="a pylock.toml (PEP 751) that the installed versions must match",
        ),
    ),
    Key(
        name="max-size",
        parse=values.size_limit,
        values=(
            'the largest unpacked size that is allowed: `"250MB"`, `"1GiB"`, or a number of'
            " bytes; the error names the largest distributions"
        ),
        option=Option(
            group="contents",
            metavar="SIZE",
            help="refuse to pack more than this, unpacked: 250MB, 1GiB, or a number of bytes",
        ),
    ),
    Key(
        name="bytecode",
        parse=values.choice("none", "checked-hash", "unchecked-hash"),
        values=(
            '`"none"`: the target compiles; `"checked-hash"`: compile while packing, and check on'
            ' import whether the source was edited; `"unchecked-hash"`: compile while packing;'
            " edited sources are not noticed"
        ),
        default='`"none"`',
        option=Option(
            group="contents",
            metavar="KIND",
            help=(
                "none: the target compiles; checked-hash: compile while packing, and check on"
                " import whether the source was edited; unchecked-hash: compile while packing;"
                " edited sources are not noticed"
            ),
            default="none",
        ),
    ),
    Key(
        name="interpreter-trim",
        parse=values.trim,
        values=(
            'what to leave out of a bundled interpreter. `"none"`: nothing but bytecode;'
            ' `"default"`: tests, IDLE, headers, static libraries and debug information (no C'
            ' builds, no `test.support`, fewer names in native debuggers); `"minimal"`: also'
            " tkinter, turtle, ensurepip (`python -m venv` needs `--without-pip`), lib2to3,"
            ' the texts of `help("if")`, nis, ossaudiodev. A list leaves out further modules'
            f' (`["minimal", "crypt"]`): {", ".join(OPTIONAL_MODULES)}'
        ),
        default='`"default"`',
        option=Option(
            group="interpreter",
            metavar="LEVEL",
            help=(
                "what to leave out of a bundled interpreter; none: nothing but bytecode; default:"
                " tests, IDLE, headers, static libraries and debug information; minimal: also"
                " tkinter, turtle, ensurepip, lib2to3, pydoc's topics, nis and ossaudiodev;"
                f" {', '.join(OPTIONAL_MODULES)}: also this module; repeatable"
            ),
            default="default",
            repeated=True,
            convert=values.words_or_list(*LEVELS),
        ),
    ),
    Key(
        name="vendor-libraries",
        parse=values.vendoring,
        values=(
            "`true`: a bundle includes the shared libraries that a system with nothing but glibc"
            ' lacks; `false`: the target provides them; `["readline", "gdbm"]`: like `true`, with'
            " these libraries as well, which are under the GPL"
        ),
        default="`true`",
        option=Option(
            group="interpreter",
            metavar="WHICH",
            help=(
                "true: a bundle includes the shared libraries that a system with nothing but"
                " glibc lacks; false: the target provides them; readline or gdbm: like true, with"
                " this library as well, which is under the GPL; repeatable"
            ),
            default="true",
            repeated=True,
            convert=values.true_false_or_list,
        ),
    ),
    *RELEASE_KEYS,
    Key(
        name="containing-dir",
        parse=values.path,
        values=(
            "the folder that contains the environment and its layers ([layers](docs/layers.md));"
            " links between them are kept, as relative links; `install-target` is then the"
            " environment's folder name by default"
        ),
        option=Option(
            group="layers",
            metavar="DIRECTORY",
            help=(
                "the folder that contains the environment and its layers, as one will on the"
                " target; links between them are kept, as relative links"
            ),
        ),
    ),
    Key(
        name="base-runtime",
        parse=values.path,
        values="the layer that provides the interpreter",
        option=Option(
            group="layers",
            metavar="DIRECTORY",
            help=(
                "the layer that provides the interpreter; postinstall.py connects the"
                " environment to it"
            ),
        ),
    ),
    Key(
        name="layers",
        parse=values.different_paths("environments"),
        values=(
            "layers whose packages come after the environment's own on `sys.path`, in this order;"
            " the base runtime's come last"
        ),
        option=Option(
            group="layers",
            metavar="DIRECTORY",
            help="a layer whose packages come after the environment's own on sys.path; repeatable,"
            " in order",
            flags=("--layer", "--layers"),
            repeated=True,
        ),
    ),
    Key(
        name="dynlib-dirs",
        parse=values.different_paths("folders of libraries"),
        values=(
            "folders in layers with shared libraries that the environment's modules need:"
            " `LAYER/share/venv/dynlib`"
        ),
        option=Option(
            group="layers",
            metavar="DIRECTORY",
            help=(
                "a folder in a layer with shared libraries that the environment's modules need,"
                " LAYER/share/venv/dynlib; repeatable"
            ),
            flags=("--dynlib-dir", "--dynlib-dirs"),
            repeated=True,
        ),
    ),
    Key(
        name="prove",
        parse=values.proof,
        values=(
            'what must run in a clean room before the archive is released. `"none"`: nothing;'
            ' `"start"`: the interpreter, the project\'s modules and entry points; `"all"`:'
            " everything packed that loads in the environment; a list of commands such as"
            ' `["greet --version"]`: the same as `"start"`, then each command'
        ),
        default='`"start"` if a clean room can be created',
        option=Option(
            group="proof",
            metavar="WHAT",
            help=(
                "what must run in a clean room first; none: nothing; start: the interpreter, the"
                " project's modules and entry points; all: everything packed that loads in the"
                " environment; or a command; repeatable"
            ),
            default="start, if a clean room can be created",
            repeated=True,
            convert=values.words_or_list("none", "start", "all"),
        ),
    ),
    Key(
        name="prove-room",
        parse=values.choice("hidden", "bare", "none"),
        values=(
            '`"hidden"`: this machine without the originals, home and caches; `"bare"`: nothing'
            ' but the C library and a shell; `"none"`: nothing is hidden'
        ),
        default='`"hidden"`',
        option=Option(
            group="proof",
            metavar="ROOM",
            help="hidden: this machine without the originals, your home and caches; bare: nothing"
            " but the C library and a shell; none: nothing is hidden",
            default="hidden",
        ),
    ),
)
KEYS: Final = {key.name: key for key in _KEYS}
"""All keys by name, in documentation order."""


def markdown() -> str:
    """Return the documentation's table, with one row per key."""
    rows = (f"| `{key.name}` | {key.values} | {key.default} |" for key in _KEYS)
    return "\n".join(["| key | values | default |", "|---|---|---|", *rows]) + "\n"
