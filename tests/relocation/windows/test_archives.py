"""Archives of Windows environments with real wheels, read back file by file on any system."""

from __future__ import annotations

import base64
import csv
import hashlib
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.binaries import small_pe
from support.documents import checked_sbom
from support.trees import tree_state
from support.windows import (
    ACTIVATION,
    BUILT_AT,
    MANIFEST,
    PYTHONS,
    SITE,
    facts,
    make_base,
    make_environment,
    members,
    one,
    options,
    shebang,
)

from hatch_pack_venv import create_archive, export_venv, pack
from hatch_pack_venv.api.pack import pack_project, preview_pack
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.binary.pe import PeFile
from hatch_pack_venv.cli import main as cli
from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.plan.validate import for_windows
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.scan.probe import read_environment

if TYPE_CHECKING:
    from pathlib import Path

WHEELS = ("charset_normalizer", "markupsafe", "pygments", "pywin32")


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
    """Every file is packed as installed, except for those that contain their location."""
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


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_the_bill_of_materials_is_valid(real: Path, tmp_path: Path, interpreter: str) -> None:
    """It lists what the manifest does, and the interpreter if it is packed."""
    (result,) = pack(real, tmp_path / "app", options(interpreter=interpreter))
    names = {each["name"] for each in checked_sbom(result.path)["components"]}
    assert ("CPython" in names) == (interpreter == "bundled")


def test_records_are_true_for_what_is_packed(real: Path, tmp_path: Path) -> None:
    """Each hash is that of the member, including those of changed launchers."""
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
    """Both `pack` and `inspect` print it."""
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
    """A tar archive for Windows contains no links either, and has the same content digest."""
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


# names


def test_all_names_that_windows_cannot_hold_are_one_error(tmp_path: Path) -> None:
    """Device names, trailing dots, characters and names that differ by case are listed together."""
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
    """A name that Windows does not allow is refused as the install target; none at all is fine."""
    prefix = make_environment(tmp_path / "env")
    with pytest.raises(PlanError, match="the top-level folder 'nul' is the device NUL on Windows"):
        pack(prefix, tmp_path / "app", options(interpreter="target", install_target="nul"))
    pack(prefix, tmp_path / "app", options(interpreter="target", install_target="."))


# floors


@pytest.mark.parametrize(("machine", "tag"), [("arm64", "win_arm64"), ("win32", "win32")])
def test_archives_are_named_for_the_programs_in_them(
    tmp_path: Path, machine: str, tag: str
) -> None:
    """The archive's name contains the platform tag."""
    prefix = make_environment(tmp_path / "env", machine=machine)
    project = Project(name="app", version="1.0")
    table = options(interpreter="target", project="installed")
    one(pack_project(Source.read(prefix, table), tmp_path / "out", project))
    assert (tmp_path / f"out/app-1.0-cp312-{tag}.zip").is_file()


def test_a_library_for_a_newer_windows_decides(tmp_path: Path) -> None:
    """The highest version that a header for the environment's machine requires counts."""
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
    environment = read_environment(prefix)
    plan = plan_source(Source.of(environment, options(interpreter="target")), None)
    notes = for_windows(plan, environment).notes
    (note,) = [note for note in notes if ".pyd" in note]
    assert note.startswith(f"{SITE}/other.pyd is built for arm64, but the interpreter is")


# what happens after


def test_a_connected_environment_is_as_it_was_packed(tmp_path: Path) -> None:
    """What postinstall.py writes on Windows counts neither as added nor as changed."""
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
    """They pack the interpreter's program unchanged, and pass its path to the caller."""
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
