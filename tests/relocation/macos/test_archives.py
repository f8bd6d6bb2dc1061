"""Trees of macOS environments, made from real wheels, packed and read back on this system.

Their interpreters and their home are those of a Mac: none of them can run here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from macholib.mach_o import LC_BUILD_VERSION, LC_ID_DYLIB, LC_RPATH, LC_VERSION_MIN_MACOSX
from macholib.MachO import MachO as Oracle
from packaging.markers import Marker
from support.binaries import EXECUTABLE, LIBRARY, module, packed
from support.documents import checked_sbom
from support.environments import run, shared, tool
from support.trees import extract, make_wheel

from hatch_pack_venv import PackOptions, PackVenvError, pack
from hatch_pack_venv.binary.macho import MAGICS, MachO
from hatch_pack_venv.requirements.closure import marker_environment
from hatch_pack_venv.scan.probe import read_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac its own interpreter is asked"),
    pytest.mark.network,
]
SITE = "lib/python3.12/site-packages"
MAC = "/Users/me/app/.venv"
FRAMEWORK = "/Library/Frameworks/Python.framework/Versions/3.12/bin"
# One module; libraries next to a ctypes package (@rpath); libraries added by delocate.
REQUIREMENTS = ["markupsafe==3.0.2", "rtree==1.4.1", "shapely==2.1.2"]
HELLO = {
    "hello.py": b"def main():\n    print('hello')\n",
    "hello-1.0.dist-info/entry_points.txt": b"[console_scripts]\nhello = hello:main\n",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Download wheels for macOS, and make one with a script."""

    def download(folder: Path) -> None:
        options = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.12"]
        options += ["--platform", "macosx_11_0_arm64", "-d", str(folder)]
        run(sys.executable, "-m", "pip", "download", "-q", *options, *REQUIREMENTS)
        make_wheel(folder, dict(HELLO), "hello-1.0-py3-none-any.whl")

    return sorted(shared(tmp_path_factory, "macos", download).iterdir())


def make_tree(prefix: Path, wheels: list[Path], base: str = FRAMEWORK) -> Path:
    """Make what venv makes on a Mac, with wheels unpacked as pip does."""
    site = prefix / SITE
    site.mkdir(parents=True)
    scripts = prefix / "bin"
    scripts.mkdir()
    links = {"python3.12": f"{base}/python3.12", "python3": "python3.12", "python": "python3.12"}
    for name, target in links.items():
        (scripts / name).symlink_to(target)
    (prefix / "pyvenv.cfg").write_text(
        f"home = {base}\ninclude-system-site-packages = false\nversion = 3.12.4\n"
        f"executable = {base}/python3.12\ncommand = {base}/python3.12 -m venv {MAC}\n"
    )
    (scripts / "activate").write_text(f"VIRTUAL_ENV={MAC}\nexport VIRTUAL_ENV\n")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)  # noqa: S202 - wheels of the tests own download
    launcher = scripts / "hello"
    body = "import sys\nfrom hello import main\nsys.exit(main())\n"
    launcher.write_text(f"#!{MAC}/bin/python3.12\n{body}")
    launcher.chmod(0o755)
    for junk in (prefix / ".DS_Store", site / "._hello.py", site / ".DS_Store"):
        junk.write_bytes(b"\0\0\0\1Bud1")
    return prefix


@pytest.fixture(scope="module")
def tree(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the environment of a framework's Python, which is not on this machine."""
    return make_tree(tmp_path_factory.mktemp("mac") / ".venv", wheels)


def read_archive(path: Path) -> dict[str, bytes]:
    """Return every file of an archive by its name below the top folder."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            found = {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}
    else:
        with tarfile.open(path) as tar:
            found = {
                member.name: stream.read()
                for member in tar
                if (stream := tar.extractfile(member)) is not None and member.isfile()
            }
    return {name.partition("/")[2]: content for name, content in found.items()}


def source_files(prefix: Path) -> dict[str, bytes]:
    """Return the files of site-packages that an archive must contain."""
    files = {
        str(path.relative_to(prefix)): path.read_bytes()
        for path in (prefix / SITE).rglob("*")
        if path.is_file()
    }
    return {
        name: content
        for name, content in files.items()
        if not name.endswith((".DS_Store", "/._hello.py"))
    }


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_a_framework_environment_is_packed_file_by_file(
    tree: Path, tmp_path: Path, suffix: str
) -> None:
    """Every file is unchanged, those of Finder are left out; launchers and manifest are ours."""
    before = {path: path.lstat().st_mtime_ns for path in tree.rglob("*")}
    table = {"interpreter": "target", "format": suffix, "check": "off", "record-files": "exclude"}
    (result,) = pack(tree, tmp_path / "app", PackOptions.from_mapping(table))
    packed = read_archive(result.path)
    assert "CPython" not in {each["name"] for each in checked_sbom(result.path)["components"]}
    wanted = {n: c for n, c in source_files(tree).items() if not n.endswith("/RECORD")}
    assert {name: packed[name] for name in wanted} == wanted
    rest = set(packed) - set(wanted)
    activation = {name for name in rest if name.startswith("bin/") and "ctivate" in name}
    manifest = "share/venv/metadata/pack-venv.json"
    documents = {"share/venv/metadata/sbom.cdx.json", "share/licenses/NOTICES.txt"}
    assert rest - activation - documents == {"bin/hello", "postinstall.py", manifest}
    assert packed["bin/hello"].startswith(b"#!/bin/sh\n")
    assert b"/Users/me" not in b"".join(packed[name] for name in rest)
    head: dict[str, Any] = json.loads(packed[manifest])
    assert head["platform"] == {
        "system": "darwin",
        "machine": "arm64",
        "tag": "macosx_11_0_arm64",
        "macos": {"version": "11.0", "file": head["platform"]["macos"]["file"]},
    }
    assert head["python"]["version"] == "3.12.4"
    sums = {entry["path"]: entry["sha256"] for entry in head["files"]}
    own = {name: hashlib.sha256(content).hexdigest() for name, content in packed.items()}
    assert sums == {name: digest for name, digest in own.items() if name != manifest}
    assert result.needs[0].startswith("macOS 11.0 or later (")
    assert {path: path.lstat().st_mtime_ns for path in tree.rglob("*")} == before


def test_a_launcher_of_the_archive_is_a_shell_script_that_finds_python(
    tree: Path, tmp_path: Path
) -> None:
    """Linked by hand to this machine's Python it runs; postinstall.py refuses to connect it."""
    options = PackOptions.from_mapping({"interpreter": "target", "format": "tar", "check": "off"})
    (result,) = pack(tree, tmp_path / "app", options)
    with tarfile.open(result.path) as tar:
        extract(tar, tmp_path / "x")
    (root,) = (tmp_path / "x").iterdir()
    done = subprocess.run(
        [sys.executable, root / "postinstall.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "The archive needs the system darwin, but" in done.stderr
    assert "The archive needs macOS 11.0 or later" in done.stderr
    run(tool("pack-venv"), "verify", root)
    (root / "bin/python").symlink_to(sys.executable)
    text = (root / "bin/hello").read_text()
    assert "os.uname().release" in text
    variables = {"PATH": os.defpath, "PYTHONPATH": str(root / SITE)}
    assert run(root / "bin/hello", env=variables) == "hello\n"


def test_a_wheel_for_the_mac_is_laid_over(tree: Path, tmp_path: Path) -> None:
    """The wheel's files replace those of the environment, and its launcher is ours."""
    wheel = make_wheel(
        tmp_path, {**HELLO, "hello.py": b"main = print\n"}, "hello-1.0-py3-none-any.whl"
    )
    table = {"interpreter": "target", "format": "tar", "check": "off", "wheels": [str(wheel)]}
    (result,) = pack(tree, tmp_path / "app", PackOptions.from_mapping(table))
    packed = read_archive(result.path)
    assert packed[f"{SITE}/hello.py"] == b"main = print\n"
    assert b"from hello import main" in packed["bin/hello"]


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("cp312-cp312-macosx_11_0_arm64", True),
        ("cp312-abi3-macosx_10_9_universal2", True),
        ("cp312-cp312-macosx_10_9_x86_64", False),
        ("cp312-cp312-manylinux_2_17_x86_64", False),
    ],
)
def test_only_wheels_for_the_mac_can_be_laid_over(
    tree: Path, tmp_path: Path, tag: str, fits: bool
) -> None:
    """Wheels must fit its processor; what this machine could use does not count."""
    wheel = make_wheel(tmp_path, dict(HELLO), f"hello-1.0-{tag}.whl")
    table = {"interpreter": "target", "format": "tar", "check": "off", "wheels": [str(wheel)]}
    options = PackOptions.from_mapping(table)
    if fits:
        assert len(pack(tree, tmp_path / "app", options)) == 1
        return
    with pytest.raises(PackVenvError, match="is not compatible with the environment's CPython"):
        pack(tree, tmp_path / "app", options)


def test_markers_are_those_of_a_mac(tree: Path) -> None:
    """Requirements are evaluated for the target's system."""
    values = marker_environment(read_environment(tree).interpreter)
    wanted = "sys_platform == 'darwin' and platform_machine == 'arm64' and os_name == 'posix'"
    assert Marker(f"{wanted} and platform_system == 'Darwin'").evaluate(dict(values))


def macho_files(wheels: list[Path]) -> Iterator[tuple[str, bytes]]:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                if content[:4] in MAGICS:
                    yield name, content


def test_real_files_are_read_as_macholib_reads_them(wheels: list[Path], tmp_path: Path) -> None:
    """Both find the same libraries, search paths, install name and floor in every Mach-O file."""
    seen = 0
    for name, content in macho_files(wheels):
        path = tmp_path / Path(name).name
        path.write_bytes(content)
        ours = MachO.from_stream(io.BytesIO(content))
        assert ours is not None
        for part, header in zip(ours.slices, Oracle(str(path)).headers, strict=True):
            texts: dict[int, list[str]] = {LC_RPATH: [], LC_ID_DYLIB: []}
            floors = []
            for command, data, rest in header.commands:
                if command.cmd in texts:
                    texts[command.cmd].append(rest.rstrip(b"\0").decode())
                if command.cmd in (LC_BUILD_VERSION, LC_VERSION_MIN_MACOSX):
                    floors.append(int(getattr(data, "minos", 0) or data.version))
            assert [load.name for load in part.loads] == [
                text for *_, text in header.walkRelocatables() if text not in texts[LC_ID_DYLIB]
            ]
            assert list(part.rpaths) == texts[LC_RPATH]
            assert part.install_name == next(iter(texts[LC_ID_DYLIB]), None)
            assert [packed(part.minos)] == floors
            seen += 1
    assert seen >= 8


def make_base(folder: Path, *loads: str) -> Path:
    """Make an installation in the layout of python-build-standalone."""
    lib = folder / "lib/python3.12"
    (lib / "lib-dynload").mkdir(parents=True)
    (lib / "test").mkdir()
    (lib / "site-packages").mkdir()
    for name in ("os.py", "test/test_os.py", "site-packages/own.py"):
        (lib / name).write_text("x = 1\n")
    (lib / "_sysconfigdata__darwin_darwin.py").write_text(
        f"build_time_vars = {{'p': '{folder}'}}\n"
    )
    (lib / "lib-dynload/_ssl.cpython-312-darwin.so").write_bytes(
        module("@rpath/libssl.3.dylib", rpaths=["@loader_path/../.."], minos=(11, 0))
    )
    (folder / "lib/libssl.3.dylib").write_bytes(
        module("@loader_path/libcrypto.3.dylib", kind=LIBRARY)
    )
    (folder / "lib/libcrypto.3.dylib").write_bytes(module(kind=LIBRARY, minos=(11, 0)))
    (folder / "lib/libpython3.12.dylib").write_bytes(module(kind=LIBRARY))
    (folder / "lib/libunused.dylib").write_bytes(module(kind=LIBRARY))
    (folder / "bin").mkdir()
    loads = loads or ("@executable_path/../lib/libpython3.12.dylib",)
    (folder / "bin/python3.12").write_bytes(module(*loads, kind=EXECUTABLE))
    (folder / "bin/python3.12").chmod(0o755)
    return folder


def test_an_interpreter_that_finds_its_libraries_itself_is_bundled(
    wheels: list[Path], tmp_path: Path
) -> None:
    """In the layout of python-build-standalone no byte of a Mach-O file is changed."""
    base = make_base(tmp_path / "python")
    tree = make_tree(tmp_path / ".venv", wheels[:1], f"{base}/bin")
    table = {"interpreter": "bundled", "format": "tar", "check": "off"}
    (result,) = pack(tree, tmp_path / "app", PackOptions.from_mapping(table))
    packed = read_archive(result.path)
    same = ["bin/python3.12", "lib/python3.12/lib-dynload/_ssl.cpython-312-darwin.so"]
    same += [f"lib/{name}.dylib" for name in ("libpython3.12", "libssl.3", "libcrypto.3")]
    for name in [*same, "lib/python3.12/os.py"]:
        assert packed[name] == (base / name).read_bytes(), name
    assert not {"lib/libunused.dylib", "lib/python3.12/test/test_os.py", f"{SITE}/own.py"} & set(
        packed
    )
    assert str(base).encode() not in b"".join(packed.values())
    assert "CPython" in {each["name"] for each in checked_sbom(result.path)["components"]}
    assert b"home" not in packed["pyvenv.cfg"]
    with tarfile.open(result.path) as tar:
        links = {m.name.partition("/")[2]: m.linkname for m in tar if m.issym()}
        modes = {m.name.partition("/")[2]: m.mode for m in tar if m.isfile()}
    assert links == {"bin/python": "python3.12", "bin/python3": "python3.12"}
    assert modes["bin/python3.12"] == 0o755
    assert json.loads(packed["share/venv/metadata/pack-venv.json"])["bundle"]["libraries"] == [
        {"name": "libcrypto.3.dylib"},
        {"name": "libpython3.12.dylib"},
        {"name": "libssl.3.dylib"},
    ]


@pytest.mark.parametrize(
    ("folder", "load", "why"),
    [
        ("python", "/opt/homebrew/lib/libintl.8.dylib", "loads /opt/homebrew/lib/libintl.8.dylib"),
        ("python", "@executable_path/../lib/gone.dylib", "loads @executable_path/../lib/gone"),
        ("Python.framework/Versions/3.12", "@executable_path/../Python", "it is a framework build"),
    ],
)
def test_interpreters_that_name_their_place_are_refused(
    wheels: list[Path], tmp_path: Path, folder: str, load: str, why: str
) -> None:
    """Homebrew's and framework builds are refused in a sentence that names an alternative."""
    base = make_base(tmp_path / folder, load)
    tree = make_tree(tmp_path / ".venv", wheels[:1], f"{base}/bin")
    with pytest.raises(PackVenvError, match=why) as error:
        pack(tree, tmp_path / "app", PackOptions.from_mapping({"check": "off"}))
    assert 'interpreter = "target"' in str(error.value)


def test_what_needs_the_macs_own_python_is_refused(tree: Path, tmp_path: Path) -> None:
    """An interpreter that is not on this machine can neither be bundled nor compile bytecode."""
    for table, why in (
        ({"interpreter": "bundled"}, "it is not on this machine"),
        ({"interpreter": "target", "bytecode": "checked-hash"}, "cannot compile bytecode on"),
    ):
        with pytest.raises(PackVenvError, match=why):
            pack(tree, tmp_path / "app", PackOptions.from_mapping({**table, "check": "off"}))
    assert list(tmp_path.iterdir()) == []


def test_the_environment_tells_what_its_interpreter_would(tree: Path, tmp_path: Path) -> None:
    """Version, ABI and processor come from pyvenv.cfg, names and Mach-O files."""
    facts = read_environment(tree).interpreter
    assert (facts.version, facts.abi, facts.machine, facts.system) == (
        "3.12.4",
        "cp312",
        "arm64",
        "darwin",
    )
    assert facts.executable == Path(FRAMEWORK, "python3.12")
    free = tmp_path / "free"
    make_tree(free, [])
    (free / "lib/python3.12").rename(free / "lib/python3.13t")
    config = (free / "pyvenv.cfg").read_text().replace("3.12.4", "3.13.1")
    (free / "pyvenv.cfg").write_text(config)
    assert read_environment(free).interpreter.abi == "cp313t"
    (free / "pyvenv.cfg").write_text(config.replace("version = 3.13.1", ""))
    with pytest.raises(PackVenvError, match="does not state the Python version"):
        read_environment(free)
