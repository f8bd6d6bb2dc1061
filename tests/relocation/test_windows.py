"""Environments of Windows with real wheels: planned, packed, read back file by file on any system.

What runs here is Python's part of a launcher; tests of the launchers themselves need Wine.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.pe import small_pe
from support.trees import tree_state
from support.wheels import make_wheel
from support.windows import (
    ACTIVATION,
    BUILT_AT,
    PYTHONS,
    SITE,
    archived,
    make_base,
    make_environment,
    setuptools_launcher,
    stub,
    trampolines,
    uv_launcher,
)

from hatch_pack_venv import PackOptions, cli, create_archive, export_venv, pack
from hatch_pack_venv.archived.verify import verify
from hatch_pack_venv.environment import Environment
from hatch_pack_venv.errors import InterpreterProblem, PlanError, WheelProblem
from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.packing import Project, pack_project, plan_environment, preview_pack
from hatch_pack_venv.windows.pe import PeFile

if TYPE_CHECKING:
    from hatch_pack_venv.archives import PackResult

MANIFEST = "share/venv/metadata/pack-venv.json"
WHEELS = ("charset_normalizer", "markupsafe", "pygments", "pywin32")
PYTHON = rf"{BUILT_AT}\Scripts\python.exe"


def one(results: list[PackResult]) -> dict[str, bytes]:
    """Return what the one zip archive of a pack holds, below its top folder."""
    (result,) = results
    assert result.path.suffix == ".zip"
    return members(result.path)


def members(path: Path) -> dict[str, bytes]:
    """Return the files of a zip archive, of which none is a link."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert not [i for i in archive.infolist() if i.external_attr >> 28 == 0xA]
        return {name.partition("/")[2]: archive.read(name) for name in names}


def options(**table: Any) -> PackOptions:
    """Return options from a table whose keys have underscores."""
    return PackOptions.from_mapping({key.replace("_", "-"): value for key, value in table.items()})


def shebang(launcher: bytes) -> str:
    """Return what a launcher of distlib's kind starts."""
    program = PeFile.from_bytes(launcher)
    assert program is not None
    return launcher[program.end :].partition(b"\n")[0].decode()


def facts(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the manifest."""
    found: dict[str, Any] = json.loads(files[MANIFEST])
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "Python312")


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, windows_wheels: dict[str, Path], base: Path
) -> Path:
    """Return an environment with real wheels, made by hand as venv and pip do."""
    wheels = [windows_wheels[name] for name in WHEELS]
    return make_environment(tmp_path_factory.mktemp("real") / "app", wheels, home=base)


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_an_environment_of_real_wheels_is_packed_file_by_file(
    real: Path, tmp_path: Path, interpreter: str
) -> None:
    """Every file is there as it was installed, but for those that name their place."""
    before = tree_state(real)
    files = one(pack(real, tmp_path / "app", options(interpreter=interpreter)))
    assert tree_state(real) == before
    site = {name: content for name, content in files.items() if name.startswith(f"{SITE}/")}
    there = {p.relative_to(real).as_posix(): p for p in (real / SITE).rglob("*") if p.is_file()}
    added = {f"{SITE}/000-pack-venv.pth"} if interpreter == "bundled" else set()
    assert site.keys() == there.keys() | added
    changed = {name for name, path in there.items() if path.read_bytes() != site[name]}
    assert {name.rpartition("/")[2] for name in changed} == {"RECORD"}
    assert f"{SITE}/markupsafe/_speedups.cp312-win_amd64.pyd" in site
    assert site[f"{SITE}/pywin32.pth"] == (real / SITE / "pywin32.pth").read_bytes()
    scripts = {name.partition("/")[2] for name in files if name.startswith("Scripts/")}
    installed = {path.name for path in (real / "Scripts").iterdir()}
    installed -= {*ACTIVATION["venv"], *PYTHONS["venv"]}
    assert scripts == installed | {
        *("Activate.ps1", "activate", "activate.bat", "activate.csh", "activate.fish"),
        *("activate.nu", "activate_this.py", "deactivate.bat"),
    }
    launchers = {name for name in installed if name.endswith(".exe")}
    assert {"normalizer.exe", "pygmentize.exe"} <= launchers
    folder = "..\\" if interpreter == "bundled" else ""
    for name in launchers:
        assert shebang(files[f"Scripts/{name}"]) == f"#!<launcher_dir>\\{folder}python.exe"
    assert "pyvenv.cfg" not in files
    assert not [name for name, content in files.items() if BUILT_AT.encode() in content]


def test_records_are_true_for_what_is_packed(real: Path, tmp_path: Path) -> None:
    """Each hash is that of the member, the changed launchers' among them."""
    files = one(pack(real, tmp_path / "app", options(interpreter="target")))
    rows = 0
    for record in (name for name in files if name.endswith("/RECORD")):
        for name, digest, size in csv.reader(files[record].decode().splitlines()):
            arcname = f"{SITE}/{name}"
            arcname = arcname.replace(f"{SITE}/../../", "")
            if digest:
                hashed = hashlib.sha256(files[arcname]).digest()
                assert digest == f"sha256={base64.urlsafe_b64encode(hashed).decode().rstrip('=')}"
                assert int(size) == len(files[arcname])
                rows += 1
    assert rows > 100


def test_the_manifest_tells_platform_and_path_budget(real: Path, tmp_path: Path) -> None:
    """The tag comes from `python.exe`, the budget from the longest member."""
    files = one(pack(real, tmp_path / "app", options(interpreter="target")))
    platform = facts(files)["platform"]
    assert (platform["system"], platform["machine"]) == ("win32", "amd64")
    assert platform["tag"] == "win_amd64"
    headers = [PeFile.from_bytes(files[name]) for name in files if name.endswith((".pyd", ".dll"))]
    assert max(each.version for each in headers if each is not None) <= (6, 3)
    assert platform["windows"] == {"version": "8.1", "file": "CPython 3.12"}
    budget = platform["path_budget"]
    folders = {name.rpartition("/")[0] for name in files}
    rooms = [259 - 1 - len(name) for name in files] + [247 - 1 - len(name) for name in folders]
    assert budget["deepest_prefix_length"] == min(rooms)
    assert budget["longest_member_length"] == len(budget["longest_member"])
    assert budget["limit"] == 260


def test_the_budget_is_printed(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After packing, and when an archive is looked at."""
    output = str(tmp_path / "app")
    commands = (
        ["pack", str(real), "-o", output, "--interpreter", "target", "-q"],
        ["inspect", f"{output}.zip"],
    )
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            cli.main(command)
        assert ended.value.code == 0
        told = capsys.readouterr().out
        assert "Windows 8.1 or later (CPython 3.12)" in told
        assert "a folder whose path has at most" in told


def test_zip_is_the_default_and_tar_holds_copies(tmp_path: Path, base: Path) -> None:
    """A tar archive for Windows holds no links either, and has the same content digest."""
    prefix = make_environment(tmp_path / "env", home=base)
    (prefix / "share").mkdir()
    (prefix / "share/file").write_text("text")
    (prefix / "share/link").symlink_to("file")
    digests = set()
    for format in (None, "zip", "tar.gz"):
        table = {} if format is None else {"format": format}
        (result,) = pack(prefix, tmp_path / f"out-{format}", options(interpreter="target", **table))
        assert result.path.name == f"out-{format}.{format or 'zip'}"
        if format == "tar.gz":
            with tarfile.open(result.path) as archive:
                assert {each.type for each in archive} == {tarfile.REGTYPE, tarfile.DIRTYPE}
                assert archive.getmember("env/share/link").size == 4
        digests.add(result.content_digest)
    assert len(digests) == 1


# bundles


def expected_runtime(trim: str) -> set[str]:
    """Return what a bundle brings of the interpreter that `make_base` lays out."""
    names = {
        *("python.exe", "pythonw.exe", "python3.dll", "python312.dll"),
        *("vcruntime140.dll", "vcruntime140_1.dll", "share/licenses/python/LICENSE.txt"),
        *(f"DLLs/{name}" for name in ("_ssl.pyd", "libcrypto-3.dll", "py.ico", "unicodedata.pyd")),
        *(f"Lib/{name}.py" for name in ("json/__init__", "os", "site", "sysconfig")),
        *(f"Lib/venv/scripts/nt/{name}.exe" for name in ("python", "pythonw")),
        "Lib/LICENSE.txt",
        f"{SITE}/000-pack-venv.pth",
    }
    if trim != "minimal":
        names |= {f"DLLs/{name}" for name in ("_tkinter.pyd", "tcl86t.dll", "tk86t.dll")}
        names |= {"Lib/ensurepip/__init__.py", "Lib/tkinter/__init__.py", "tcl/tcl8.6/init.tcl"}
    if trim == "none":
        names |= {"DLLs/_testcapi.pyd", "Lib/idlelib/__init__.py", "Lib/test/test_os.py"}
        names |= {"Include/Python.h", "libs/python312.lib"}
    return names


@pytest.mark.parametrize("trim", ["none", "default", "minimal"])
@pytest.mark.parametrize("kind", ["python.org", "python-build-standalone"])
def test_a_bundle_is_an_installation_of_its_own(tmp_path: Path, kind: str, trim: str) -> None:
    """`python.exe` lies in the root, beside its libraries; no `pyvenv.cfg` misleads `site`."""
    base = make_base(tmp_path / "base", kind=kind)
    prefix = make_environment(tmp_path / "env", home=base, by="uv")
    before = tree_state(base)
    files = one(pack(prefix, tmp_path / "app", options(interpreter_trim=trim)))
    assert tree_state(base) == before
    own = {MANIFEST, "postinstall.py", *(n for n in files if n.startswith("Scripts/"))}
    assert files.keys() - own == expected_runtime(trim)
    for name in ("python.exe", "DLLs/_ssl.pyd", "Lib/os.py"):
        assert files[name] == (base / name).read_bytes()
    assert facts(files)["bundle"]["trim"] == trim


@pytest.mark.parametrize("free", [True, False])
def test_of_two_builds_in_one_folder_the_environments_is_bundled(
    tmp_path: Path, free: bool
) -> None:
    """python.org installs the free-threaded build beside the ordinary one; one is `python.exe`."""
    base = make_base(tmp_path / "base", minor="3.13")
    names = ("python3.13t.exe", "pythonw3.13t.exe", "python313t.dll", "python3t.dll")
    tagged = "DLLs/_ssl.cp313t-win_amd64.pyd"
    for name in (*names, tagged):
        (base / name).write_bytes(small_pe(tail=b"free"))
    prefix = make_environment(tmp_path / "env", home=base)
    (prefix / "pyvenv.cfg").write_text(f"home = {base}\nversion = 3.13.0\n")
    if free:
        (prefix / "Scripts/python3.13t.exe").write_bytes(small_pe())
    files = one(pack(prefix, tmp_path / "app", options()))
    assert files["python.exe"].endswith(b"free") is free
    assert files["pythonw.exe"].endswith(b"free") is free
    assert facts(files)["python"]["abi"] == ("cp313t" if free else "cp313")
    of_build = {*names, tagged} if free else {"python3.dll", "python313.dll", "DLLs/_ssl.pyd"}
    of_other = {"python3.dll", "python313.dll", "DLLs/_ssl.pyd"} if free else {*names, tagged}
    assert of_build <= files.keys()
    assert not of_other & files.keys()
    assert "DLLs/unicodedata.pyd" in files


def test_the_bases_packages_come_along_where_they_are_seen(tmp_path: Path) -> None:
    """PEP 405's `include-system-site-packages` means the base's `Lib/site-packages`."""
    base = make_base(tmp_path / "base")
    prefix = make_environment(tmp_path / "env", home=base)
    config = prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    (base / SITE / "here.pth").write_text("D:\\work\n")
    (base / SITE / "fine.pth").write_text("pip\\x\n")
    files = one(pack(prefix, tmp_path / "app", options()))
    assert f"{SITE}/pip/__init__.py" in files
    assert f"{SITE}/fine.pth" in files
    assert f"{SITE}/here.pth" not in files
    assert f"{SITE}/000-pack-venv.pth" not in files


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("python.exe", "is not on this machine"),
        ("Lib/os.py", "does not hold its standard library's files"),
        ("python312.dll", "there is no python312.dll beside python.exe"),
    ],
)
def test_what_cannot_be_bundled_is_told(tmp_path: Path, missing: str, message: str) -> None:
    """An interpreter that is elsewhere, an embeddable package, and half an installation."""
    base = make_base(tmp_path / "base")
    (base / missing).unlink()
    prefix = make_environment(tmp_path / "env", home=base)
    with pytest.raises(InterpreterProblem, match=message):
        pack(prefix, tmp_path / "app", options())
    assert not list(tmp_path.glob("app*"))
    pack(prefix, tmp_path / "app", options(interpreter="target"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"bytecode": "checked-hash"}, 'set bytecode = "none", or pack on Windows'),
        ({"interpreter": "/opt/python/bin/python3.12", "format": "tar"}, "no link can name"),
    ],
)
def test_what_needs_another_system_is_refused(
    tmp_path: Path, table: dict[str, str], message: str
) -> None:
    """Nothing for Windows compiles here, and no promise of a POSIX path means anything there."""
    prefix = make_environment(tmp_path / "env")
    with pytest.raises(InterpreterProblem, match=message):
        pack(prefix, tmp_path / "app", options(**table))


# names


def test_all_names_that_windows_cannot_hold_are_one_error(tmp_path: Path) -> None:
    """Devices, ends, characters and names that differ by case are listed together."""
    prefix = make_environment(tmp_path / "env")
    site = prefix / SITE
    for name in ("aux.py", "what?.txt", "end.", "Data.txt", "data.txt", "fine.py"):
        (site / name).touch()
    (site / "COM1").mkdir()
    (site / "COM1/x.py").touch()
    with pytest.raises(PlanError) as caught:
        pack(prefix, tmp_path / "app", options(interpreter="target"))
    told = sorted(problem.partition(" ")[0] for problem in caught.value.problems)
    bad = ("COM1", "Data.txt", "aux.py", "end.", "what?.txt")
    assert told == [f"{SITE}/{name}" for name in bad]
    assert preview_pack(prefix, options(interpreter="target")).refused == caught.value.problems
    patterns = ["aux.py", "what*", "end.", "Data.txt", "COM1"]
    pack(prefix, tmp_path / "app", options(interpreter="target", exclude_files=patterns))


def test_the_top_folders_name_is_one_of_them(tmp_path: Path) -> None:
    """What Windows cannot hold is no install target; none at all is."""
    prefix = make_environment(tmp_path / "env")
    with pytest.raises(PlanError, match="the top folder 'nul' is the device NUL on Windows"):
        pack(prefix, tmp_path / "app", options(interpreter="target", install_target="nul"))
    pack(prefix, tmp_path / "app", options(interpreter="target", install_target="."))


def test_a_bundle_that_collides_with_the_environment_is_an_error(tmp_path: Path) -> None:
    """The environment's `lib` and the interpreter's `Lib` are one folder on Windows."""
    prefix = make_environment(tmp_path / "env", home=make_base(tmp_path / "base"))
    (prefix / "lib").mkdir()
    (prefix / "lib/x.txt").touch()
    with pytest.raises(PlanError, match="Lib and lib are one name on Windows"):
        pack(prefix, tmp_path / "app", options())


# launchers


def with_script(prefix: Path, name: str, content: bytes) -> Path:
    (prefix / "Scripts" / name).write_bytes(content)
    return prefix


def with_entry_point(prefix: Path, name: str = "greet") -> Path:
    info = prefix / SITE / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[console_scripts]\n{name} = greeter:main\n")
    return prefix


def test_uvs_launchers_are_packed_relative(windows_wheels: dict[str, Path], tmp_path: Path) -> None:
    """Those of today's uv, with the interpreter's place in their resources."""
    trampoline = trampolines(windows_wheels["uv"])["console"]
    launcher = uv_launcher(trampoline, PYTHON)
    prefix = with_script(make_environment(tmp_path / "env", by="uv"), "greet.exe", launcher)
    files = one(pack(with_entry_point(prefix), tmp_path / "app", options(interpreter="target")))
    packed = files["Scripts/greet.exe"]
    assert len(packed) == len(launcher)
    assert BUILT_AT.encode() not in packed
    assert b"#!python.exe" in packed


def test_setuptools_launchers_are_packed_relative(tmp_path: Path) -> None:
    """The program stays, and the script beside it names the interpreter below the prefix."""
    prefix = with_entry_point(make_environment(tmp_path / "env"))
    with_script(prefix, "greet.exe", setuptools_launcher())
    with_script(prefix, "greet-script.py", f"#!{PYTHON}\nprint()\n".encode())
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files["Scripts/greet.exe"] == setuptools_launcher()
    assert files["Scripts/greet-script.py"] == b"#!Scripts\\python.exe\nprint()\n"


def test_an_unknown_launcher_of_an_entry_point_is_made_anew(tmp_path: Path) -> None:
    """Another program of the same name is one that names its interpreter in its own way."""
    prefix = with_entry_point(make_environment(tmp_path / "env"))
    with_script(prefix, "greet.exe", small_pe(tail=b"C:\\Python\\python.exe"))
    with_script(prefix, "tool.exe", small_pe(tail=b"a program"))
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert shebang(files["Scripts/greet.exe"]) == "#!<launcher_dir>\\python.exe"
    assert b"from greeter import main" in files["Scripts/greet.exe"]
    assert files["Scripts/tool.exe"] == small_pe(tail=b"a program")


def test_a_launcher_of_another_python_is_kept(tmp_path: Path) -> None:
    """What starts none of the environment's Pythons is not ours to change."""
    foreign = stub() + b"#!C:\\Other\\python.exe\n" + archived()
    prefix = with_script(make_environment(tmp_path / "env"), "other.exe", foreign)
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files["Scripts/other.exe"] == foreign


# wheels


def project_wheel(folder: Path, name: str = "greeter-2.0-py3-none-any.whl") -> Path:
    return make_wheel(
        folder,
        {
            "greeter/__init__.py": b"def main(): return 'hello'\n",
            "greeter-2.0.data/scripts/tool.py": b"#!python -u\nprint('tool')\n",
            "greeter-2.0.data/scripts/note.bat": b"@echo note\r\n",
            "greeter-2.0.data/headers/greeter.h": b"/* */\n",
            "greeter-2.0.data/data/include/more.h": b"/* more */\n",
            "greeter-2.0.data/data/share/greeter/x.txt": b"x",
            "greeter-2.0.dist-info/entry_points.txt": (
                b"[console_scripts]\ngreet = greeter:main\n[gui_scripts]\nwindow = greeter:main\n"
            ),
        },
        name=name,
    )


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_the_projects_wheel_is_laid_over(tmp_path: Path, base: Path, interpreter: str) -> None:
    """It replaces what the environment has of it, with launchers as installers make them."""
    prefix = with_entry_point(make_environment(tmp_path / "env", home=base), name="old")
    with_script(prefix, "old.exe", stub() + f"#!{PYTHON}\n".encode() + archived())
    (prefix / SITE / "greeter-1.0.dist-info/RECORD").write_text("../../Scripts/old.exe,,\n")
    project = Project(name="greeter", version="2.0", wheel=project_wheel(tmp_path))
    files = one(pack_project(prefix, tmp_path / "out", options(interpreter=interpreter), project))
    assert (tmp_path / "out/greeter-2.0-cp312-win_amd64.zip").is_file()
    scripts = {n.partition("/")[2] for n in files if n.startswith("Scripts/") and "activ" not in n}
    folder = "..\\" if interpreter == "bundled" else ""
    assert scripts - {"Activate.ps1"} == {"greet.exe", "window.exe", "tool.exe", "note.bat"}
    start = f"#!<launcher_dir>\\{folder}"
    assert shebang(files["Scripts/greet.exe"]) == f"{start}python.exe"
    assert shebang(files["Scripts/window.exe"]) == f"{start}pythonw.exe"
    assert shebang(files["Scripts/tool.exe"]) == f"{start}python.exe -u"
    assert files["Scripts/note.bat"] == b"@echo note\r\n"
    assert files["Include/site/python3.12/greeter/greeter.h"] == b"/* */\n"
    assert files["Include/more.h"] == b"/* more */\n"  # one folder on Windows
    assert files["share/greeter/x.txt"] == b"x"
    record = files[f"{SITE}/greeter-2.0.dist-info/RECORD"].decode()
    assert "../../Scripts/greet.exe,sha256=" in record
    assert f"{SITE}/greeter-1.0.dist-info/METADATA" not in files


def test_a_wheel_has_to_be_for_windows(tmp_path: Path) -> None:
    """One for this machine does not fit an environment of Windows; one for it does."""
    prefix = make_environment(tmp_path / "env")
    here = project_wheel(tmp_path, "greeter-2.0-cp312-cp312-linux_x86_64.whl")
    with pytest.raises(WheelProblem, match=r"does not fit .* CPython 3\.12\.4 on win-"):
        pack(prefix, tmp_path / "app", options(interpreter="target", wheels=[str(here)]))
    there = project_wheel(tmp_path, "greeter-2.0-cp312-cp312-win_amd64.whl")
    pack(prefix, tmp_path / "app", options(interpreter="target", wheels=[str(there)]))


# path files


def test_path_files_of_windows_are_read_as_windows_reads_them(tmp_path: Path) -> None:
    """Lines into the environment become relative; others with a drive or `..` are errors."""
    prefix = make_environment(tmp_path / "env")
    path = prefix / SITE / "a.pth"
    inside = rf"{BUILT_AT.upper()}\Lib\site-packages\win32"
    path.write_text(f"{inside}\n{BUILT_AT}\\share\nwin32\\lib\nimport sys\n")
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files[f"{SITE}/a.pth"] == b"win32\n..\\..\\share\nwin32\\lib\nimport sys\n"
    path.write_text("D:\\work\\src\n..\\..\\..\\src\n\\\\server\\x\n\\src\nfine\n")
    with pytest.raises(PlanError) as caught:
        pack(prefix, tmp_path / "app", options(interpreter="target"))
    lines = [problem.split(" adds ")[1].split(" to ")[0] for problem in caught.value.problems]
    assert lines == ["D:\\work\\src", "..\\..\\..\\src", "\\\\server\\x", "\\src"]


def test_what_names_the_old_place_is_told(tmp_path: Path) -> None:
    """A text with the path that the environment was made at on Windows is a finding."""
    prefix = make_environment(tmp_path / "env")
    (prefix / "share").mkdir()
    (prefix / "share/kernel.json").write_text(json.dumps({"argv": [PYTHON]}))
    (result,) = pack(prefix, tmp_path / "app", options(interpreter="target"))
    assert [str(finding) for finding in result.findings] == [
        "share/kernel.json names the environment's old place"
    ]


def test_kernelspecs_follow_the_environment(tmp_path: Path) -> None:
    """A kernel that was installed with `--sys-prefix` starts the Python that Jupyter runs on."""
    prefix = make_environment(tmp_path / "env")
    folder = prefix / "share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    argv = [PYTHON, "-m", "ipykernel_launcher", f"{BUILT_AT}\\share\\x.json"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv}))
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    packed = json.loads(files["share/jupyter/kernels/mine/kernel.json"])["argv"]
    end = "{resource_dir}/../../../..\\share\\x.json"
    assert packed == ["python", "-m", "ipykernel_launcher", end]


def test_the_users_packages_stay_out_of_a_bundle(tmp_path: Path, base: Path) -> None:
    """The `.pth` file takes off what `site` has put before the archive's own packages."""
    prefix = make_environment(tmp_path / "env", home=base)
    files = one(pack(prefix, tmp_path / "app", options()))
    site = tmp_path / "site"
    site.mkdir()
    (site / "000-pack-venv.pth").write_bytes(files[f"{SITE}/000-pack-venv.pth"])
    user = subprocess.run(
        [sys.executable, "-m", "site", "--user-site"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONUSERBASE": str(tmp_path / "user")},
    ).stdout.strip()
    code = (
        "import site, sys; site.main(); before = site.USER_SITE in sys.path;"
        f" site.addsitedir({str(site)!r}); print(before, site.USER_SITE in sys.path)"
    )
    Path(user).mkdir(parents=True)
    base_python = os.path.realpath(sys.executable)  # in an environment there is no user site
    done = subprocess.run(
        [base_python, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONUSERBASE": str(tmp_path / "user")},
    )
    assert done.stdout == "True False\n", done.stderr


# floors


@pytest.mark.parametrize(("machine", "tag"), [("arm64", "win_arm64"), ("win32", "win32")])
def test_archives_are_named_for_the_programs_in_them(
    tmp_path: Path, machine: str, tag: str
) -> None:
    """The platform's tag stands in the archive's name."""
    prefix = make_environment(tmp_path / "env", machine=machine)
    project = Project(name="app", version="1.0")
    table = options(interpreter="target", project="installed")
    one(pack_project(prefix, tmp_path / "out", table, project))
    assert (tmp_path / f"out/app-1.0-cp312-{tag}.zip").is_file()


def test_a_library_for_a_newer_windows_decides(tmp_path: Path) -> None:
    """The highest version that a header of this machine asks for counts."""
    prefix = make_environment(tmp_path / "env")
    (prefix / SITE / "new.pyd").write_bytes(small_pe(version=(10, 0)))
    (prefix / SITE / "arm.dll").write_bytes(small_pe("arm64", (11, 0)))
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    needed = facts(files)["platform"]["windows"]
    assert needed == {"version": "10", "file": f"{SITE}/new.pyd"}


def test_a_module_for_another_machine_is_noted(tmp_path: Path) -> None:
    """An extension module that the interpreter cannot load is named."""
    prefix = make_environment(tmp_path / "env")
    (prefix / SITE / "other.pyd").write_bytes(small_pe("arm64"))
    (prefix / SITE / "own.pyd").write_bytes(small_pe())
    environment = Environment.from_prefix(prefix)
    notes = plan_environment(environment, options(interpreter="target"), None).notes
    (note,) = [note for note in notes if "machine" in note]
    assert note.startswith(f"{SITE}/other.pyd is for the machine arm64, and the interpreter for")


# what happens after


def test_a_connected_environment_is_as_it_was_packed(tmp_path: Path) -> None:
    """What postinstall.py writes on Windows is neither added nor changed."""
    prefix = make_environment(tmp_path / "env")
    (result,) = pack(prefix, tmp_path / "app", options(interpreter="target"))
    with zipfile.ZipFile(result.path) as archive:
        archive.extractall(tmp_path / "there")  # noqa: S202 - our own
    root = tmp_path / "there" / "env"
    assert verify(result.path).is_whole
    tree = postinstall.parse_manifest((root / MANIFEST).read_bytes(), str(root))
    base = make_base(tmp_path / "base")
    postinstall.write(tree, postinstall.pieces(tree, str(base / "python.exe"), "3.12.4"))
    result_there = verify(root)
    assert result_there.is_whole, result_there.findings
    assert result_there.connected
    (root / "Scripts/pythonw.exe").write_bytes(b"MZ other")
    assert not verify(root).is_whole


def test_the_seeds_functions_pack_it_too(tmp_path: Path) -> None:
    """They leave the interpreter's names as they are, and no links."""
    prefix = make_environment(tmp_path / "env")
    before = tree_state(prefix)
    path = create_archive(prefix, tmp_path / "out", format="zip", show_progress=False)
    files = members(path)
    assert files["Scripts/python.exe"] == (prefix / "Scripts/python.exe").read_bytes()
    called: list[tuple[Path, Path]] = []
    export_venv(prefix, tmp_path / "exported", lambda *paths: called.append(paths))
    root = tmp_path / "exported"
    assert called == [(root / "Scripts/python.exe", root / "postinstall.py")]
    assert tree_state(prefix) == before


def test_a_preview_tells_the_interpreters_files_apart(tmp_path: Path, base: Path) -> None:
    """What a bundle adds is of the interpreter; its names in `Scripts` stay behind."""
    prefix = make_environment(tmp_path / "env", home=base, by="virtualenv")
    found = preview_pack(prefix, options()).to_dict()
    why = {
        step["path"]: step["why"]
        for steps in found.values()
        if isinstance(steps, list)
        for step in steps
        if isinstance(step, dict) and "why" in step
    }
    of_interpreter = "of the interpreter, or of what it needs"
    assert why["python312.dll"] == why["DLLs/_ssl.pyd"] == of_interpreter
    assert why["Scripts/python3.exe"] == "a name of the interpreter"
    assert why["Scripts/activate.xsh"] == "an activation script of this place"
