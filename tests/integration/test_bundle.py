"""Bundles: what each trim packs and what is refused, for real and made-up interpreters."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.binaries import compile_library, rpath
from support.environments import run, tool
from support.hiding import run_hidden
from support.interpreters import system_python
from support.machine import needs

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.pack import export
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.entries import FileEntry, SymlinkEntry
from hatch_pack_venv.model.errors import InterpreterProblem
from hatch_pack_venv.plan.explain import preview
from hatch_pack_venv.plan.links import without_links
from hatch_pack_venv.scan.probe import ask_interpreter, read_environment

if TYPE_CHECKING:
    from hatch_pack_venv.model.interpreter import Interpreter
    from hatch_pack_venv.model.plan import PackPlan


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty environment of the running Python."""
    path = tmp_path_factory.mktemp("environments") / "plain"
    run(tool("uv"), "venv", "--quiet", "--python", sys.executable, path)
    return path


def plan(prefix: Path, table: dict[str, Any], **facts: Any) -> PackPlan:
    """Plan an environment, with some of its interpreter's facts replaced."""

    def ask(path: Path) -> Interpreter:
        return replace(ask_interpreter(path), **facts)

    environment = read_environment(prefix, ask=ask)
    return plan_source(Source.of(environment, PackOptions.from_mapping(table)), None)


def parts(packed: PackPlan) -> set[str]:
    """Return the parts of all names."""
    return {part for entry in packed.entries for part in entry.arcname.split("/")}


@needs("whole standard library")
def test_each_trim_leaves_out_what_it_says(prefix: Path) -> None:
    """`none` keeps tests, headers and symbols, `default` what may be needed, `minimal` less."""
    by_trim = {
        trim: plan(prefix, {"interpreter-trim": trim}) for trim in ("none", "default", "minimal")
    }
    none, default, minimal = (parts(packed) for packed in by_trim.values())
    header = {"Python.h"} & none  # systems may have them in a separate package
    assert {"test", "idlelib", "ensurepip", "pydoc_data", *header} <= none
    assert not {"test", "tests", "idlelib", "Python.h", "turtledemo"} & default
    assert {"ensurepip", "pydoc_data", "lib2to3" if "lib2to3" in none else "json"} <= default
    assert not {"ensurepip", "pydoc_data", "lib2to3", "tkinter", "turtle.py"} & minimal
    assert {"json", "venv", "asyncio", "sqlite3"} <= minimal
    for names in (none, default, minimal):
        assert not {"__pycache__", "EXTERNALLY-MANAGED", "sitecustomize.py"} & names
    sizes = [packed.size for packed in by_trim.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[1]


@needs("whole standard library")
def test_a_preview_tells_what_trim_leaves_out(prefix: Path) -> None:
    """It names the folder or file and the key; without a trim it names none."""
    for trim, expected in (("default", True), ("none", False)):
        left = preview(plan(prefix, {"interpreter-trim": trim})).left_out
        named = {each.path for each in left if each.why == f'interpreter-trim = "{trim}"'}
        assert any(name.endswith("/idlelib") for name in named) is expected
        assert any(name.startswith("include/python3") for name in named) is expected


@needs("whole standard library")
@pytest.mark.parametrize(
    ("trim", "pattern", "inside"),
    [
        ("default", "/include/", "include/"),
        ("default", "lib/python3*/idlelib/help*", "/idlelib/help"),
        ("minimal", "**/lib-dynload/_tkinter*", "/lib-dynload/_tkinter"),
    ],
)
def test_patterns_bring_back_what_trim_leaves_out(
    prefix: Path, trim: str, pattern: str, inside: str
) -> None:
    """Headers, files of a folder that stays out, an extension module with what it needs."""
    asked = {"interpreter-trim": trim}
    before = {each.arcname for each in plan(prefix, asked).entries}
    packed = plan(prefix, {**asked, "include-files": [pattern]})
    added = {each.arcname for each in packed.entries if isinstance(each, FileEntry)} - before
    brought = {name for name in added if inside in name}
    assert brought
    libraries = ("lib/lib", "lib/tcl", "lib/tk", "share/licenses/")  # what _tkinter needs
    assert all(name.startswith(libraries) for name in added - brought)
    assert not [note for note in packed.notes if "matches nothing" in note]


def test_patterns_and_the_key_leave_libraries_out(prefix: Path) -> None:
    """`exclude-files` applies to bundled files too; `false` bundles only Python's own library."""
    with_all = parts(plan(prefix, {}))
    assert "libcrypto.so.3" in with_all or "libcrypto.so.1.1" in with_all
    some = parts(plan(prefix, {"exclude-files": ["lib/libcrypto.so*"]}))
    assert {name for name in with_all - some if ".so" in name} == {
        name for name in with_all if name.startswith("libcrypto.so")
    }
    packed = plan(prefix, {"vendor-libraries": False})
    lib = {name for name in parts(packed) if name.startswith("lib") and ".so" in name}
    assert all(name.startswith("libpython") for name in lib)


def test_libraries_that_do_not_come_along_are_told(prefix: Path) -> None:
    """The target must have the libraries that the key or a pattern leaves out, and no others."""
    brought = {each["name"] for each in plan(prefix, {}).head["bundle"]["libraries"]}
    packed = plan(prefix, {"vendor-libraries": False})
    told = {each["name"] for each in packed.head["target_libraries"]}
    assert {name for name in brought if name.startswith(("libcrypto", "libffi"))} <= told
    assert not told & {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    assert any("libcrypto.so" in need for need in packed.needs)
    packed = plan(prefix, {"exclude-files": ["lib/libcrypto.so*"]})
    assert [each["name"] for each in packed.head["target_libraries"]] == [
        name for name in brought if name.startswith("libcrypto.so")
    ]
    assert "target_libraries" not in plan(prefix, {}).head


def test_the_manifest_and_a_note_tell_of_libraries(prefix: Path) -> None:
    """The manifest has each library's package and version; notes name those left to the target."""
    packed = plan(prefix, {})
    libraries = packed.head["bundle"]["libraries"]
    names = {entry.arcname for entry in packed.entries}
    assert all(f"lib/{each['name']}" in names for each in libraries)
    left = packed.head["bundle"]["left_to_the_target"]
    for name in left:
        told = [*packed.notes, *packed.remarks]
        assert any(each.startswith(f"{name} is not packed; the target must ") for each in told)
    if Path("/var/lib/dpkg/status").exists():
        assert all(each["version"] for each in libraries)
        packages = {each["package"] for each in libraries}
        assert {f"share/licenses/{package}/copyright" for package in packages} <= names


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"system": "freebsd14"}, "it is for freebsd14, and only interpreters for Linux can"),
        ({"stdlib": Path("/nowhere/python3.11")}, "does not contain its standard library"),
        ({"executable": Path(__file__)}, "is not an ELF file"),
    ],
)
def test_an_interpreter_that_cannot_be_bundled_is_refused(
    prefix: Path, facts: dict[str, Any], reason: str
) -> None:
    """The message is one line with the interpreter, the reason and the way out."""
    with pytest.raises(InterpreterProblem) as caught:
        plan(prefix, {}, **facts)
    told = str(caught.value)
    assert reason in told
    assert told.startswith("the base interpreter ")
    assert 'interpreter = "target"' in told
    assert "\n" not in told


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
@pytest.mark.parametrize("copies", [False, True], ids=["links", "copies"])
def test_every_name_of_the_interpreter_is_known(
    tmp_path: Path, copies: bool, interpreter: str
) -> None:
    """Links to it and copies of it become links; in target mode they add no size and no floor."""
    environment = tmp_path / "environment"
    option = "--copies" if copies else "--symlinks"
    run(sys.executable, "-m", "venv", "--without-pip", option, environment)
    python = environment / "bin/python"
    for name in ("\U0001d70bthon", "snake"):  # the one from CPython 3.14's venv, and a user's
        (environment / "bin" / name).unlink(missing_ok=True)
        if copies:
            shutil.copy(python, environment / "bin" / name)
        else:
            (environment / "bin" / name).symlink_to("python")
    packed = plan(environment, {"interpreter": interpreter})
    entries = {entry.arcname: entry for entry in packed.entries}
    for name in ("\U0001d70bthon", "snake"):
        link = entries[f"bin/{name}"]
        assert isinstance(link, SymlinkEntry)
        assert link.linkname == "python{}.{}".format(*sys.version_info)
    in_zip = {entry.arcname for entry in without_links(packed.entries)}
    assert ("bin/snake" in in_zip) is (interpreter == "bundled")
    if interpreter == "target":
        assert "glibc" not in packed.head["platform"]
        assert sum(e.size for e in packed.entries if isinstance(e, FileEntry)) < 200_000


@needs("system CPython")
def test_a_system_python_keeps_none_of_its_settings(tmp_path: Path) -> None:
    """Its links into /etc, its marker and its packages stay out; its schemes are upstream's."""
    system = system_python()
    assert system is not None
    environment = tmp_path / "environment"
    run(tool("uv"), "venv", "--quiet", "--python", system.path, environment)
    packed = plan(environment, {})
    names = {entry.arcname: entry for entry in packed.entries}
    stdlib = f"lib/python{system.minor}"
    assert f"{stdlib}/os.py" in names
    assert f"{stdlib}/sitecustomize.py" not in names
    assert f"{stdlib}/EXTERNALLY-MANAGED" not in names
    module = f"{stdlib}/sysconfig.py"  # a package since 3.14, and in Debian's 3.13
    sysconfig = names.get(module) or names[f"{stdlib}/sysconfig/__init__.py"]
    assert isinstance(sysconfig, FileEntry)
    if Path("/usr/lib/python3/dist-packages").is_dir():
        inside = {name for name in names if name.startswith("lib/python3/dist-packages/")}
        assert inside == {"lib/python3/dist-packages/site-packages.pth"}
        assert f"{stdlib}/_distutils_system_mod.py" not in names
        assert isinstance(sysconfig.content, bytes)
        assert b'"posix_prefix"' in sysconfig.content


@needs("gcc")
def test_a_packed_library_s_data_are_told_unless_they_are_packed(tmp_path: Path) -> None:
    """A note names the data, unless it is packed or only a manylinux wheel uses the library."""
    library = compile_library(tmp_path / "geo/lib/libproj.so.99")
    data = tmp_path / "geo/share/proj/proj.db"
    data.parent.mkdir(parents=True)
    data.touch()
    env = tmp_path / "env"
    run(tool("uv"), "venv", "--quiet", "--python", sys.executable, env)
    flags = ["-Wl,--no-as-needed", str(library), *rpath(str(library.parent))]
    compile_library(env / "lib/module.so", *flags)

    def told() -> list[str]:
        return [note for note in plan(env, {}).notes if "PROJ_DATA" in note]

    (note,) = told()
    wheel = env / "lib" / f"python3.{sys.version_info[1]}" / "site-packages/geo-1.0.dist-info"
    wheel.mkdir()
    (wheel / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp39-abi3-manylinux_2_17_x86_64\n")
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: geo\nVersion: 1.0\n")
    (wheel / "RECORD").write_text("../../module.so,,\n")
    assert told() == []
    (wheel / "RECORD").write_text("")
    assert note.startswith(f"libproj.so.99 is packed without the data that it reads ({data}): ")
    (env / "share/proj").mkdir(parents=True)
    (env / "share/proj/proj.db").touch()
    assert told() == []


ANSWERS = """
import json, os, site, sys, sysconfig, warnings
warnings.simplefilter("ignore")
def below(answer):
    if isinstance(answer, str):
        return os.path.relpath(answer, sys.prefix) if answer.startswith("/") else answer
    items = answer.items() if isinstance(answer, dict) else enumerate(answer)
    return {key: below(value) for key, value in items}
answers = {
    "path": below([each for each in sys.path if each.startswith(sys.prefix)]),
    "site": below(site.getsitepackages()),
    "paths": below(sysconfig.get_paths()),
    "purelib": below(sysconfig.get_path("purelib")),
}
if hasattr(sysconfig, "get_default_scheme"):
    answers["scheme"] = sysconfig.get_default_scheme()
os.environ["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"
try:
    from distutils.command.install import install
    from distutils.dist import Distribution
    from distutils.sysconfig import get_python_lib
except ImportError:
    pass
else:
    command = install(Distribution({"name": "x"}))
    command.finalize_options()
    answers["distutils"] = below([
        get_python_lib(), get_python_lib(True), get_python_lib(standard_lib=True),
        command.install_purelib, command.install_scripts, command.install_headers,
    ])
print(json.dumps(answers))
"""


@needs("system CPython", "namespaces")
def test_a_system_python_answers_as_upstreams_does(tmp_path: Path) -> None:
    """site, sysconfig and distutils report upstream's paths for importing and installing."""
    system = system_python()
    assert system is not None
    run(tool("uv"), "venv", "--quiet", "--python", system.path, tmp_path / "environment")
    root = tmp_path / "moved"
    export(tmp_path / "environment", root, PackOptions.from_mapping({}))
    hidden = [tmp_path / "environment", Path(f"/usr/lib/python{system.minor}")]
    done = run_hidden([root / "bin/python", "-c", ANSWERS], hide=hidden)
    assert (done.returncode, done.stderr) == (0, "")
    answers, library = json.loads(done.stdout), f"lib/python{system.minor}"
    packages = f"{library}/site-packages"
    zipped = f"lib/python{system.minor.replace('.', '')}.zip"
    searched = [zipped, library, f"{library}/lib-dynload", packages]
    assert list(answers["path"].values()) == searched
    assert list(answers["site"].values()) == [packages]
    assert answers["purelib"] == answers["paths"]["purelib"] == packages
    assert answers["paths"]["platlib"] == packages
    assert (answers["paths"]["scripts"], answers["paths"]["data"]) == ("bin", ".")
    assert answers.get("scheme", "posix_prefix") == "posix_prefix"
    if "distutils" in answers:
        headers = f"include/python{system.minor}/x"
        expected = [packages, packages, library, packages, "bin", headers]
        assert list(answers["distutils"].values()) == expected
