"""The configuration: right, wrong type, wrong value, unknown, misspelt; all problems together."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from hatch_pack_venv import CompressionFormat, PackOptions
from hatch_pack_venv.config.options import HATCHLING_HOOK_KEYS
from hatch_pack_venv.config.table import KEYS
from hatch_pack_venv.model.errors import OptionsError
from hatch_pack_venv.model.interpreter import Trim, Vendoring

_LAYERS = {"containing-dir": "layers", "base-runtime": "layers/python"}
ABOUT_IMAGES = ("image-base", "image-compression", "image-name")
BESIDE: dict[str, dict[str, Any]] = {
    "entry-point": {"format": "run"},
    "image-base": {"format": "oci"},
    "image-compression": {"format": "oci"},
    "image-name": {"format": "oci"},
    "keep": {"distributions": "required"},
    "base-runtime": {"containing-dir": "layers"},
    "layers": _LAYERS,
    "dynlib-dirs": _LAYERS,
}
"""Other keys that a key requires."""

WHERE = "tool.hatch.build.hooks.pack-venv"


def problems_of(table: dict[str, Any]) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        PackOptions.from_mapping(table)
    return list(caught.value.problems)


def test_defaults_are_those_of_the_documentation() -> None:
    """An empty table gives the documented defaults."""
    options = PackOptions.from_mapping({})
    assert options == PackOptions(
        source=Path(".venv"),
        interpreter="bundled",
        project="wheel",
        editables="error",
        formats=(),  # the default for the environment
        compression_level=None,
        output_directory=Path("dist-venv"),
        archive_name="{name}-{version}-{python_tag}-{platform_tag}",
        install_target="{name}-{version}",
        exclude_files=(),
        include_files=(),
        record_files="update",
        wheels=(),
        interpreter_trim=Trim.DEFAULT,
        vendor_libraries=Vendoring(wanted=True),
    )


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("source", "envs/release", "source", Path("envs/release")),
        ("hatch-env", "release", "hatch_env", "release"),
        ("interpreter", "target", "interpreter", "target"),
        ("project", "exclude", "project", "exclude"),
        ("editables", "copy", "editables", "copy"),
        ("interpreter-trim", "minimal", "interpreter_trim", Trim.MINIMAL),
        (
            "interpreter-trim",
            ["minimal", "crypt", "dbm.gnu"],
            "interpreter_trim",
            Trim(level="minimal", modules=("crypt", "dbm.gnu")),
        ),
        ("interpreter-trim", ["crypt"], "interpreter_trim", Trim(modules=("crypt",))),
        ("max-glibc", "2.28", "max_glibc", (2, 28)),
        ("max-macos", "13", "max_macos", (13,)),
        ("vendor-libraries", False, "vendor_libraries", Vendoring(wanted=False)),
        ("vendor-libraries", ["gdbm"], "vendor_libraries", Vendoring(copyleft=("gdbm",))),
        ("format", "tar.zst", "formats", (CompressionFormat.ZSTD,)),
        ("format", "tgz", "formats", (CompressionFormat.GZIP,)),
        ("format", ["tzst", "txz"], "formats", (CompressionFormat.ZSTD, CompressionFormat.XZ)),
        (
            "format",
            ["zip", "tar"],
            "formats",
            (CompressionFormat.ZIP, CompressionFormat.UNCOMPRESSED),
        ),
        ("compression-level", 9, "compression_level", 9),
        ("entry-point", "greet", "entry_point", "greet"),
        ("image-base", "base.tar", "image_base", Path("base.tar")),
        ("image-base", "scratch", "image_base", None),
        ("image-name", "reg:5000/{name}:{version}", "image_name", "reg:5000/{name}:{version}"),
        ("image-compression", "zstd", "image_compression", CompressionFormat.ZSTD),
        ("threads", 3, "threads", 3),
        ("cache", False, "cache", False),
        ("output-directory", "out", "output_directory", Path("out")),
        ("archive-name", "{name}-{platform_tag}", "archive_name", "{name}-{platform_tag}"),
        ("install-target", ".", "install_target", "."),
        ("exclude-files", ["*.h"], "exclude_files", ("*.h",)),
        ("include-files", ["bin/activate"], "include_files", ("bin/activate",)),
        ("record-files", "exclude", "record_files", "exclude"),
        ("bytecode", "checked-hash", "bytecode", "checked-hash"),
        ("exclude-files", ["*.h", "@docs"], "exclude_files", ("*.h", "@docs")),
        ("exclude-files", ["\\@odd"], "exclude_files", ("\\@odd",)),
        ("distributions", "required", "distributions", "required"),
        ("extras", ["cli", "Fast_API"], "extras", ("cli", "Fast_API")),
        ("check", "warn", "check", "warn"),
        ("keep", ["uvicorn[standard]", "pip"], "keep", ("uvicorn[standard]", "pip")),
        ("lock", "locks/pylock.toml", "lock", Path("locks/pylock.toml")),
        ("max-size", "250MB", "max_size", 250_000_000),
        ("max-size", "1.5 GiB", "max_size", 3 << 29),
        ("max-size", 1000, "max_size", 1000),
        ("max-size", "1000", "max_size", 1000),
        ("zip-links", False, "zip_links", False),
        ("wheels-newest", True, "wheels_newest", True),
        ("sbom", False, "sbom", False),
        ("notices", False, "notices", False),
        ("provenance", True, "provenance", True),
        (
            "deny-licenses",
            ["GPL-3.0-*", "GPL-* WITH *"],
            "deny_licenses",
            ("GPL-3.0-*", "GPL-* WITH *"),
        ),
        ("sbom", "beside", "sbom", "beside"),
        ("wheels", ["dist/a-1-py3-none-any.whl"], "wheels", (Path("dist/a-1-py3-none-any.whl"),)),
        ("containing-dir", "layers", "containing_dir", Path("layers")),
        ("base-runtime", "layers/python", "base_runtime", Path("layers/python")),
        ("layers", ["layers/b", "layers/a"], "layers", (Path("layers/b"), Path("layers/a"))),
        ("dynlib-dirs", ["layers/a/so"], "dynlib_dirs", (Path("layers/a/so"),)),
        ("prove", "all", "prove", "all"),
        ("prove", ["greet 'two words'", "x"], "prove", ("greet 'two words'", "x")),
        ("prove-room", "bare", "prove_room", "bare"),
    ],
)
def test_each_key_is_read(key: str, value: Any, field: str, expected: Any) -> None:
    """A valid value of each key ends up in its field."""
    table = {key: value, **BESIDE.get(key, {})}
    assert getattr(PackOptions.from_mapping(table), field) == expected


@pytest.mark.parametrize(
    ("key", "value", "expectation"),
    [
        ("source", 1, "must be a path, not 1"),
        ("source", "", "must be a path, not ''"),
        ("hatch-env", True, "must be a non-empty string, not True"),
        ("hatch-env", " ", "must be a non-empty string, not ' '"),
        ("interpreter", "system", "must be 'bundled', 'target' or the absolute path"),
        ("interpreter", ["target"], "must be 'bundled', 'target' or the absolute path"),
        ("project", True, "must be 'wheel' or 'installed' or 'exclude', not True"),
        ("editables", "wheel", "must be 'error' or 'copy' or 'exclude', not 'wheel'"),
        ("format", "rar", "must be one or a list of 'tar', 'tar.bz2', 'tar.gz'"),
        ("format", [], "must be one or a list of"),
        ("format", ["zip", "zip"], "each once"),
        ("format", 7, "must be one or a list of"),
        ("entry-point", "bin/greet", "must be the name of a script in the environment's bin"),
        ("entry-point", ["greet"], "must be the name of a script"),
        ("image-compression", "xz", "must be 'gzip' or 'zstd'"),
        ("image-base", 1, "must be 'scratch' or the path of an OCI image"),
        ("image-base", "", "must be 'scratch' or the path of an OCI image"),
        ("image-name", "{nmae}", "must be a name such as 'registry/{name}:{version}'"),
        ("image-name", 1, "must be a name such as"),
        ("image-compression", 1, "must be 'gzip' or 'zstd', not 1"),
        ("cache", "blocks", "must be true or false, not 'blocks'"),
        ("cache", 1, "must be true or false, not 1"),
        ("threads", 0, "must be a whole number of threads, 1 or more, not 0"),
        ("threads", True, "must be a whole number of threads"),
        ("compression-level", "9", "must be an integer on the format's own scale, not '9'"),
        ("compression-level", True, "must be an integer"),
        ("compression-level", 10, "must be from 0 to 9 for 'tar.xz', not 10"),
        ("output-directory", [], "must be a path, not []"),
        ("archive-name", "{nmae}", "with no fields but {name}, {version}"),
        ("archive-name", "out/{name}", "must be a name without path separators"),
        ("archive-name", "{name", "must be a name without path separators"),
        ("archive-name", "{name!r}", "must be a name without path separators"),
        ("archive-name", ".", "must be a file name"),
        ("install-target", "/opt/x", "must be a name without path separators"),
        ("install-target", "..", "must be a name without path separators"),
        ("install-target", 3, "must be a non-empty string"),
        ("exclude-files", "*.h", "must be a list of gitignore-style patterns, not '*.h'"),
        ("include-files", [1], "must be a list of gitignore-style patterns"),
        ("record-files", False, "must be 'update' or 'exclude', not False"),
        ("wheels-newest", "yes", "must be true or false, not 'yes'"),
        ("zip-links", True, "only applies to format 'zip': remove it, or choose that format"),
        ("zip-links", 1, "must be true or false, not 1"),
        ("wheels-newest", 1, "must be true or false, not 1"),
        ("wheels", "a.whl", "must be a list of paths of wheel files"),
        ("containing-dir", ["layers"], "must be a path, not ['layers']"),
        ("containing-dir", "", "must be a path, not ''"),
        ("base-runtime", True, "must be a path, not True"),
        ("base-runtime", "", "must be a path, not ''"),
        ("layers", "layers/a", "must be a list of paths of environments, each once"),
        ("layers", ["layers/a", "./layers/a"], "must be a list of paths of environments, each"),
        ("layers", [""], "must be a list of paths of environments"),
        ("dynlib-dirs", "so", "must be a list of paths of folders of libraries, each once"),
        ("dynlib-dirs", [1], "must be a list of paths of folders of libraries"),
        (
            "exclude-files",
            ["@test"],
            "'@static-libraries', '@type-stubs' ('@test' is neither; write",
        ),
        ("exclude-files", ["*.h", "[z-a].py"], "patterns ('[z-a].py' is not one), not ['*.h', "),
        ("include-files", ["!"], "must be a list of gitignore-style patterns ('!' is not one)"),
        ("exclude-files", ["a\\"], "is not one"),
        ("include-files", ["@tests"], "presets such as '@tests' only apply to exclude-files"),
        ("distributions", "some", "must be 'all' or 'required', not 'some'"),
        ("extras", "cli", "must be a list of names of extras, not 'cli'"),
        ("extras", ["a b"], "must be a list of names of extras, not ['a b']"),
        ("keep", ["pip>=20"], "must be a list of names of distributions, optionally with [extras]"),
        ("keep", "pip", "must be a list of names of distributions"),
        ("check", False, "must be 'error' or 'warn' or 'off', not False"),
        ("lock", "", "must be a path, not ''"),
        ("max-size", "big", "must be a number of bytes, or a size such as '250MB'"),
        ("max-size", "10ib", "must be a number of bytes"),
        ("max-size", 0, "must be a number of bytes"),
        ("max-size", "9" * 400, "must be a number of bytes"),
        ("exclude-files", ["*.h", "!"], "'!' is not one"),
        ("include-files", ["a\\"], "is not one"),
        ("max-size", True, "must be a number of bytes"),
        ("bytecode", True, "must be 'none' or 'checked-hash' or 'unchecked-hash', not True"),
        ("interpreter-trim", "all", "must be 'none' or 'default' or 'minimal', not 'all'"),
        ("vendor-libraries", "yes", "must be true, false, or a list of further libraries"),
        ("vendor-libraries", 7, "must be true, false, or a list of further libraries"),
        ("project", "weel", "must be 'wheel' or 'installed' or 'exclude', not 'weel'"),
        ("editables", True, "must be 'error' or 'copy' or 'exclude', not True"),
        ("threads", "2", "must be a whole number of threads, 1 or more, not '2'"),
        ("output-directory", "", "must be a path, not ''"),
        ("archive-name", 3, "must be a non-empty string"),
        ("include-files", "*.h", "must be a list of gitignore-style patterns, not '*.h'"),
        ("record-files", "no", "must be 'update' or 'exclude', not 'no'"),
        ("wheels", [1], "must be a list of paths of wheel files"),
        ("distributions", True, "must be 'all' or 'required', not True"),
        ("check", "no", "must be 'error' or 'warn' or 'off', not 'no'"),
        ("lock", 1, "must be a path, not 1"),
        ("bytecode", "yes", "must be 'none' or 'checked-hash' or 'unchecked-hash', not 'yes'"),
        ("prove", "greet", "must be 'none', 'start', 'all', or a list of commands such as"),
        ("prove", [], "or a list of commands such as 'greet --version', not []"),
        ("prove", ["all"], "must be 'none', 'start', 'all', or a list of commands"),
        ("prove", ["greet 'x"], "is empty or has an unterminated quote"),
        ("prove", True, "must be 'none', 'start', 'all', or a list of commands"),
        ("prove-room", "empty", "must be 'hidden' or 'bare' or 'none', not 'empty'"),
        ("prove-room", False, "must be 'hidden' or 'bare' or 'none', not False"),
        ("sbom", "inside", "must be true, false or 'beside', not 'inside'"),
        ("notices", "yes", "must be true or false, not 'yes'"),
        ("interpreter-trim", ["crypto"], "or a list of modules (crypt, nis, "),
        ("interpreter-trim", ["none", "minimal"], "each once, with at most one of the levels"),
        ("max-glibc", 2.28, "must be a version such as '2.28', in quotation marks, not 2.28"),
        ("max-glibc", "2.28-1", "must be a version such as '2.28', not '2.28-1'"),
        ("max-macos", 13, "must be a version such as '2.28', in quotation marks, not 13"),
        ("max-macos", "", "must be a version such as '2.28', not ''"),
        ("provenance", "slsa", "must be true or false, not 'slsa'"),
        ("provenance", 1, "must be true or false, not 1"),
        ("notices", 1, "must be true or false, not 1"),
        ("deny-licenses", "GPL-3.0-*", "must be a list of patterns of SPDX identifiers"),
        ("deny-licenses", ["MIT OR ISC"], "('MIT OR ISC' is not one)"),
        ("sbom", 1, "must be true, false or 'beside', not 1"),
        ("interpreter-trim", 1, "must be 'none' or 'default' or 'minimal', or a list of modules"),
    ],
)
def test_each_wrong_value_is_named(key: str, value: Any, expectation: str) -> None:
    """A wrong value gives one sentence with the TOML path, the value and what was expected."""
    table = {key: value, **(BESIDE.get(key, {}) if key in ABOUT_IMAGES else {})}
    (problem,) = problems_of(table)
    assert problem.startswith(f"{WHERE}.{key} ")
    assert expectation in problem


def test_every_key_is_among_these_tests() -> None:
    """No key goes without a right value, a wrong one and one of a wrong type."""
    for test in (test_each_key_is_read, test_each_wrong_value_is_named):
        (mark,) = test.pytestmark
        keys = [row[0] for row in mark.args[1]]
        assert [key for key in KEYS if key not in keys] == []
    # The last test's rows are those of wrong values.
    types = {key: {type(row[1]) for row in mark.args[1] if row[0] == key} for key in KEYS}
    assert [key for key in KEYS if len(types[key]) < 2] == []


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_suggested_when_a_letter_is_missing(key: str) -> None:
    """A slip in any key is refused with that key."""
    (problem,) = problems_of({key[:2] + key[3:]: "x"})
    assert problem.endswith(f"did you mean {key!r}?")


def test_what_is_kept_needs_something_to_be_left_behind() -> None:
    """`keep` goes with `required`, and is refused where everything is packed anyhow."""
    assert problems_of({"keep": ["pip"]}) == [
        f"{WHERE}.keep only applies with distributions = 'required', but everything is packed:"
        " remove it, or set `distributions`"
    ]


def test_two_environments_are_refused() -> None:
    """`source` and `hatch-env` exclude each other."""
    (problem,) = problems_of({"source": "x", "hatch-env": "y"})
    assert problem == f"{WHERE}.source and {WHERE}.hatch-env name two environments: remove one"


def test_all_problems_come_together() -> None:
    """Several mistakes are one message, a line each."""
    with pytest.raises(OptionsError) as caught:
        PackOptions.from_mapping({"format": "rar", "sorce": "x", "layers": "x"})
    lines = str(caught.value).splitlines()
    assert lines[0] == "the configuration is wrong:"
    assert [line.split()[1].rpartition(".")[2] for line in lines[1:]] == [
        "format",
        "sorce",
        "layers",
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("sorce", "source"), ("formats", "format"), ("exclude_files", "exclude-files")],
)
def test_a_misspelt_key_suggests_the_nearest(key: str, meant: str) -> None:
    """A key with a slip of the pen is refused with the key that was meant."""
    (problem,) = problems_of({key: "x"})
    assert problem == f"{WHERE}.{key} is unknown; did you mean {meant!r}?"


def test_an_unknown_key_lists_the_keys() -> None:
    """A key that resembles no other is refused with a list of all keys."""
    (problem,) = problems_of({"zzz": 1})
    assert problem.startswith(f"{WHERE}.zzz is unknown; the keys are source, hatch-env, ")


@pytest.mark.parametrize("key", sorted(HATCHLING_HOOK_KEYS))
def test_hatchlings_own_keys_may_stand_beside_ours(key: str) -> None:
    """Keys that hatchling reads from the same table are accepted."""
    assert PackOptions.from_mapping({key: True}) == PackOptions()


def test_the_level_must_fit_every_format() -> None:
    """A level is checked against the scale of each format, and refused for a plain tar."""
    problems = problems_of({"format": ["tar", "tar.zst", "zip"], "compression-level": 19})
    assert problems == [
        f"{WHERE}.compression-level cannot be used with 'tar', which does not compress: remove it",
        f"{WHERE}.compression-level must be from 0 to 9 for 'zip', not 19",
    ]


def test_the_table_is_not_modified() -> None:
    """Reading leaves the caller's table as it was."""
    table = {"format": ["zip"], "exclude-files": ["*.h"], "dependencies": ["hatch-pack-venv"]}
    before = copy.deepcopy(table)
    PackOptions.from_mapping(table)
    assert table == before


@pytest.mark.parametrize("value", ["libssl", ["openssl"], [], 1, [["gdbm"]]])
def test_only_gpl_libraries_are_asked_for_by_name(value: object) -> None:
    """Other names, empty lists and values of other types are refused with the choices."""
    (problem,) = problems_of({"vendor-libraries": value})
    assert problem.startswith(f"{WHERE}.vendor-libraries must be true, false, or a list of")
    assert "'readline' and 'gdbm'" in problem
    assert problem.endswith(f"not {value!r}")


def test_keys_about_a_bundled_interpreter_need_one() -> None:
    """With the target's interpreter they would do nothing, and are refused."""
    table = {"interpreter": "target", "interpreter-trim": "none", "vendor-libraries": True}
    assert problems_of(table) == [
        f"{WHERE}.{key} only applies to a bundled interpreter, but the interpreter is 'target':"
        " remove it"
        for key in ("interpreter-trim", "vendor-libraries")
    ]


@pytest.mark.parametrize(
    "value", ["", "python3", "./python3", "/python3", "/opt/../bin/python3", "/opt/py\nthon", 3]
)
def test_an_interpreter_that_is_promised_has_a_plain_absolute_path(value: object) -> None:
    """A path that pyvenv.cfg cannot contain, or that is not absolute and normalised, is refused."""
    with pytest.raises(OptionsError, match="'target' or the absolute path of an interpreter"):
        PackOptions.from_mapping({"interpreter": value})


def test_what_starts_by_itself_needs_an_interpreter() -> None:
    """It must be bundled or promised; keys about starting and images need a suitable format."""
    (problem,) = problems_of({"format": "run", "interpreter": "target"})
    assert problem == (
        f"{WHERE}.format cannot be 'run' if the interpreter is 'target', which postinstall.py"
        " must connect first: bundle the interpreter, or choose another format"
    )
    (problem,) = problems_of({"format": ["tar", "squashfs"], "interpreter": "target"})
    assert problem.startswith(f"{WHERE}.format cannot be 'squashfs' if the interpreter is 'target")
    for format in ("run", "squashfs"):
        PackOptions.from_mapping({"format": format, "interpreter": "/opt/python/bin/python3.11"})
    (problem,) = problems_of({"format": "zip", "entry-point": "greet"})
    assert problem == (
        f"{WHERE}.entry-point only applies to the formats 'run' and 'oci': remove it, or choose"
        " one of them"
    )
    (problem,) = problems_of({"format": "run", "image-base": "scratch"})
    assert problem == (
        f"{WHERE}.image-base only applies to format 'oci': remove it, or choose that format"
    )
    zstd = {"format": "oci", "image-compression": "zstd", "compression-level": 19}
    PackOptions.from_mapping(zstd)
    (problem,) = problems_of({**zstd, "image-compression": "gzip"})
    assert problem == f"{WHERE}.compression-level must be from 0 to 9 for 'oci', not 19"
    (problem,) = problems_of({"format": "oci", "interpreter": "/opt/python/bin/python3.11"})
    assert problem == (
        f"{WHERE}.image-base must name an image that contains the interpreter"
        " '/opt/python/bin/python3.11'"
    )


def test_a_zip_file_cannot_hold_the_link_to_a_promised_interpreter() -> None:
    """A zip file is refused; a tar is accepted."""
    table = {"interpreter": "/opt/python/bin/python3", "format": ["tar.gz", "zip"]}
    with pytest.raises(OptionsError, match="a zip file cannot contain a link to it"):
        PackOptions.from_mapping(table)
    assert (
        PackOptions.from_mapping({**table, "format": "tar.gz"}).interpreter == table["interpreter"]
    )


LAYERED = {
    "source": "layers/app",
    "containing-dir": "layers",
    "base-runtime": "layers/python",
    "layers": ["layers/a"],
    "dynlib-dirs": ["layers/a/share/venv/dynlib"],
}


def test_a_layered_environment_is_configured() -> None:
    """The layer keys work together; by default, the top folder is named after the environment."""
    options = PackOptions.from_mapping(LAYERED)
    assert options.install_target == "{source}"
    named = PackOptions.from_mapping({**LAYERED, "install-target": "{name}"})
    assert named.install_target == "{name}"
    assert PackOptions.from_mapping({**LAYERED, "interpreter": "target"}).base_runtime is not None


def test_layers_need_the_folder_that_holds_them() -> None:
    """Each key that names layers requires `containing-dir`; one message covers them all."""
    table = {key: value for key, value in LAYERED.items() if key != "containing-dir"}
    assert problems_of(table) == [
        f"{WHERE}.{key} needs {WHERE}.containing-dir, the folder that contains the environment and"
        " its layers"
        for key in ("base-runtime", "layers", "dynlib-dirs")
    ]


def test_all_that_is_wrong_with_layers_is_told_together() -> None:
    """Each wrong key is named, such as a path outside the folder or a second interpreter."""
    table = {
        "source": ".venv",
        "interpreter": "bundled",
        "interpreter-trim": "none",
        "containing-dir": "layers",
        "base-runtime": "other/python",
        "layers": ["layers", "layers/../a", "other/python"],
        "dynlib-dirs": ["/elsewhere"],
    }
    assert problems_of(table) == [
        f"{WHERE}.interpreter-trim only applies to a bundled interpreter, but the interpreter is"
        " the base runtime's: remove it",
        f"{WHERE}.interpreter is 'bundled', but {WHERE}.base-runtime names the layer that"
        " provides the interpreter: remove one",
        f"{WHERE}.containing-dir must be a folder that contains the environment ('.venv'), not"
        " 'layers'",
        f"{WHERE}.base-runtime must be inside containing-dir ('layers'), not 'other/python'",
        f"{WHERE}.layers must be inside containing-dir ('layers'), not 'layers'",
        f"{WHERE}.layers must be inside containing-dir ('layers'), not 'layers/../a'",
        f"{WHERE}.layers must be inside containing-dir ('layers'), not 'other/python'",
        f"{WHERE}.layers names the base runtime 'other/python', whose packages come last anyway:"
        " remove it from there",
    ]


def test_layers_need_an_interpreter_that_is_not_bundled() -> None:
    """Without a base runtime, the target provides the interpreter; `dynlib-dirs` needs layers."""
    table = {"containing-dir": "layers", "layers": ["layers/a"]}
    (problem,) = problems_of(table)
    assert problem.startswith(f"{WHERE}.layers needs {WHERE}.base-runtime")
    assert PackOptions.from_mapping({**table, "interpreter": "target"}).layers
    (problem,) = problems_of({"containing-dir": "x", "dynlib-dirs": ["x/so"]})
    assert problem.startswith(f"{WHERE}.dynlib-dirs names folders in layers")
