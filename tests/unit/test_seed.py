"""The seed API, promise by promise, in every format."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from support.environments import make_environment
from support.interpreters import Python, newest_of_each
from support.reading import Member, members
from support.terminals import shown_on_a_terminal
from support.trees import tree_state

import hatch_pack_venv
from hatch_pack_venv import (
    CompressionFormat,
    PackVenvError,
    convert_symlinks,
    create_archive,
    export_venv,
    formats,
    get_archive_path,
    seed,
)

FORMATS = list(CompressionFormat)
every_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
OLD: Final = 1_500_000_000  # 2017-07-14 02:40:00 UTC
LATE: Final = 4_000_000_000  # 2096-10-02 07:06:40 UTC


@pytest.fixture(scope="module")
def python() -> Python:
    """Give the newest CPython that environments may have."""
    return newest_of_each()[-1]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, python: Python) -> Path:
    """Make a real environment with something for each promise."""
    env = make_environment(tmp_path_factory.mktemp("seed") / "env", python, by="uv")
    site = f"lib/python{python.minor}/site-packages"
    for name, content in {
        f"{site}/pkg/__init__.py": "VALUE = 1\n",
        f"{site}/pkg/__pycache__/__init__.cpython-311.pyc": "byte code",
        f"{site}/pkg/sitecustomize.py": "# of a package, not of the site\n",
        f"{site}/pkg-1.0.dist-info/METADATA": "Name: pkg\nVersion: 1.0\n",
        f"{site}/pkg-1.0.dist-info/RECORD": "pkg/__init__.py,,\n",
        f"{site}/pkg-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = pkg:main\n",
        "share/data": "data\n",
        "share/RECORD": "not a distribution's\n",
        "outside/file": "outside\n",
    }.items():
        path = (env if not name.startswith("outside") else env.parent) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (env / "share/inner").symlink_to("data")
    (env / "share/outer").symlink_to(env.parent / "outside/file")
    return env


@pytest.fixture
def source(template: Path, tmp_path: Path) -> Path:
    """Copy the environment for one test."""
    shutil.copytree(template, tmp_path / "source/env", symlinks=True)
    return tmp_path / "source/env"


@pytest.fixture
def site(python: Python) -> str:
    """Give the arcname of site-packages below the top folder."""
    return f"env/lib/python{python.minor}/site-packages"


def packed(source: Path, format: CompressionFormat | str | None = None, **more: object) -> Path:
    arguments: dict[str, object] = {"show_progress": False, "format": format, **more}
    return create_archive(source, source.parents[1] / "out/app", **arguments)  # type: ignore[arg-type]


def contents(path: Path) -> dict[str, Member]:
    return members(path)


# the interface itself


def test_the_signatures_are_those_of_the_interface() -> None:
    """Names, order, kinds and defaults of the parameters are what callers rely on."""

    def parameters(function: object) -> str:
        signature = inspect.signature(function)  # type: ignore[arg-type]
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        return str(inspect.Signature(plain))

    assert parameters(convert_symlinks) == "(env_dir, containing_dir=None)"
    assert parameters(get_archive_path) == "(archive_base_name, format=None)"
    assert parameters(create_archive) == (
        "(source_dir, archive_base_name, *, install_target=None, clamp_mtime=None, work_dir=None,"
        " show_progress=True, format=None)"
    )
    assert parameters(export_venv) == "(source_dir, target_dir, run_postinstall=None)"
    values = {member.name: member.value for member in CompressionFormat}
    assert values == {
        "UNCOMPRESSED": "",
        "BZIP2": "bzip2",
        "GZIP": "gzip",
        "XZ": "xz",
        "ZSTD": "zstd",
        "ZIP": "zip",
    }
    assert {"pack", "PackOptions", "PackResult", "PackVenvError"} <= set(hatch_pack_venv.__all__)


SUFFIXES: Final = {
    "": ".tar",
    "tar": ".tar",
    "bzip2": ".tar.bz2",
    "tar.bz2": ".tar.bz2",
    "gzip": ".tar.gz",
    "tar.gz": ".tar.gz",
    "xz": ".tar.xz",
    "tar.xz": ".tar.xz",
    "zstd": ".tar.zst",
    "tar.zst": ".tar.zst",
    "zip": ".zip",
    None: ".tar.xz",
}


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize("base", ["app", "app-1.0", "some/folder/app.v2", "/abs/app"])
def test_the_archives_name_is_the_base_name_and_the_suffix(name: str | None, base: str) -> None:
    """Every spelling of a format is known, and a dot in the base name is no suffix."""
    assert get_archive_path(base, name) == Path(base + SUFFIXES[name])
    assert get_archive_path(Path(base), CompressionFormat.get_format(name)) == Path(
        base + SUFFIXES[name]
    )


def test_zip_is_the_format_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a format, Windows gets zip and everything else tar.xz."""
    assert CompressionFormat.get_format(None) is CompressionFormat.XZ
    monkeypatch.setattr(formats, "os", SimpleNamespace(name="nt", fspath=os.fspath))
    assert CompressionFormat.get_format(None) is CompressionFormat.ZIP
    assert get_archive_path("app") == Path("app.zip")


@pytest.mark.parametrize("name", ["rar", "tar.lzma", ".zip", "ZIP", " xz"])
def test_an_unknown_format_is_a_value_error_with_the_choices(name: str, source: Path) -> None:
    """The names that there are stand in the message; nothing is written."""
    for call in (
        lambda: get_archive_path("app", name),
        lambda: CompressionFormat.get_format(name),
        lambda: packed(source, name),
    ):
        with pytest.raises(ValueError, match=r"expected one of 'tar', .*'zip', not") as caught:
            call()
        assert isinstance(caught.value, PackVenvError)
    assert not (source.parents[1] / "out").exists()


@every_format
def test_the_archive_is_where_get_archive_path_says(
    source: Path, format: CompressionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is returned, what is told before and what is on the disk are one path."""
    monkeypatch.chdir(source.parent)
    told = get_archive_path("deep/app-1.0", format)
    assert create_archive("env", "deep/app-1.0", show_progress=False, format=format) == told
    assert sorted(path.name for path in Path("deep").iterdir()) == [told.name, f"{told.name}.json"]


def test_by_default_it_is_a_tar_xz(source: Path) -> None:
    """Without a format the archive is a tar.xz here, and really one."""
    path = packed(source)
    assert path.name == "app.tar.xz"
    assert path.read_bytes()[:6] == b"\xfd7zXZ\x00"


# what is in it


@every_format
def test_the_source_is_only_read(source: Path, format: CompressionFormat, python: Python) -> None:
    """Every inode of the environment, of what it links to and of its interpreter is untouched."""
    linked = source / "share/linked"
    linked.hardlink_to(source / "share/data")
    roots = [source, source.parents[1] / "source", python.prefix / "bin"]
    before = [tree_state(root) for root in roots]
    packed(source, format)
    export_venv(source, source.parents[1] / "exported")
    assert [tree_state(root) for root in roots] == before


@every_format
def test_what_goes_in_and_what_stays_out(
    source: Path, site: str, format: CompressionFormat
) -> None:
    """No byte code, no RECORD, no pyvenv.cfg; only what is meant, and the post-install script."""
    found = contents(packed(source, format))
    names = set(found)
    script = (files("hatch_pack_venv.injected") / "postinstall.py").read_bytes()
    assert found["env/postinstall.py"].content == script
    assert f"{site}/pkg/__init__.py" in names
    assert f"{site}/pkg-1.0.dist-info/METADATA" in names
    assert f"{site}/pkg-1.0.dist-info/RECORD" not in names
    assert "env/share/RECORD" in names
    assert not [name for name in names if "__pycache__" in name]
    assert not [name for name in names if name.endswith("pyvenv.cfg")]
    assert f"{site}/pkg/sitecustomize.py" in names
    assert {name.split("/")[0] for name in names} == {"env"}


@every_format
def test_sitecustomize_is_left_out_and_named(
    source: Path, site: str, format: CompressionFormat, caplog: pytest.LogCaptureFixture
) -> None:
    """One directly in site-packages stays out with a word in the log; without one, no word."""
    packed(source, format)
    assert caplog.messages == []
    arcname = f"{site}/sitecustomize.py"
    (source.parent / arcname).write_text("import sys\n")
    assert arcname not in contents(packed(source, format))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name.startswith("hatch_pack_venv")
    assert arcname.removeprefix("env/") in record.getMessage()


@every_format
def test_links(source: Path, python: Python, format: CompressionFormat) -> None:
    """Tars keep links, `bin/python`'s own included; zip files hold copies of what they lead to."""
    found = contents(packed(source, format))
    kinds = {name: found[f"env/{name}"].kind for name in ("share/inner", "share/outer")}
    python_links = [found[f"env/bin/{name}"] for name in ("python", "python3")]
    if format is CompressionFormat.ZIP:
        assert kinds == {"share/inner": "file", "share/outer": "file"}
        assert found["env/share/inner"].content == b"data\n"
        assert found["env/share/outer"].content == b"outside\n"
        assert {each.content for each in python_links} == {python.path.read_bytes()}
        assert {each.mode for each in python_links} == {0o755}
        return
    assert kinds == {"share/inner": "link", "share/outer": "link"}
    assert found["env/share/inner"].link == "data"
    assert found["env/share/outer"].link == os.readlink(source / "share/outer")
    assert python_links[0].link == os.readlink(source / "bin/python")
    assert os.path.isabs(python_links[0].link)
    assert {each.kind for each in python_links} == {"link"}


@every_format
def test_on_windows_all_links_are_copies(
    source: Path, python: Python, format: CompressionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, a tar holds copies, too."""
    monkeypatch.setattr(seed, "os", SimpleNamespace(name="nt", path=os.path))
    found = contents(packed(source, format))
    assert {each.kind for each in found.values()} == {"file", "folder"}
    assert found["env/share/inner"].content == b"data\n"
    assert found["env/share/outer"].content == b"outside\n"
    assert found["env/bin/python"].content == python.path.read_bytes()


def test_the_content_digest_is_the_same_in_every_format(source: Path) -> None:
    """It is taken before a format turns links into copies."""
    digests = {
        json.loads(Path(f"{packed(source, format)}.json").read_text())["content_digest"]
        for format in FORMATS
    }
    assert len(digests) == 1


@every_format
def test_modes_and_owners(source: Path, format: CompressionFormat) -> None:
    """No setuid, setgid, sticky, group-write or other-write bit, no owner, whoever it was."""
    strange = source / "share/strange"
    strange.mkdir()
    for name, mode in {
        "setuid": 0o4777,
        "setgid": 0o2775,
        "sticky": 0o1666,
        "group": 0o664,
        "private": 0o600,
        "mine": 0o700,
    }.items():
        (strange / name).write_text(name)
        if os.geteuid() == 0:
            os.chown(strange / name, 12345, 54321)
        (strange / name).chmod(mode)
    strange.chmod(0o3777)
    found = contents(packed(source, format))
    modes = {
        name.rpartition("/")[2]: each.mode
        for name, each in found.items()
        if name.startswith("env/share/strange/")
    }
    assert modes == {
        "setuid": 0o755,
        "setgid": 0o755,
        "sticky": 0o644,
        "group": 0o644,
        "private": 0o644,
        "mine": 0o755,
    }
    assert found["env/share/strange"].mode == 0o755
    for each in found.values():
        assert each.kind == "link" or not each.mode & 0o7022
        assert each.owner == (0, 0, "", "")


@every_format
def test_times_are_kept_and_clamped(source: Path, format: CompressionFormat) -> None:
    """Earlier times stay, later ones become the limit, to the second; links and folders, too."""
    times = {"data": OLD, "RECORD": OLD + 10, "inner": OLD + 20, "outer": OLD + 30}
    for name, moment in times.items():
        os.utime(source / "share" / name, (moment, moment), follow_symlinks=False)
    outside = Path(os.readlink(source / "share/outer"))
    os.utime(outside, (OLD + 40, OLD + 40))
    os.utime(source / "share", (LATE, LATE))
    limit = OLD + 15
    late = datetime.fromtimestamp(limit, UTC) + timedelta(milliseconds=700)

    def share(**more: object) -> dict[str, int]:
        found = contents(packed(source, format, **more))
        return {
            name.removeprefix("env/share").removeprefix("/"): each.mtime
            for name, each in found.items()
            if name.startswith("env/share") and "venv" not in name
        }

    if format is CompressionFormat.ZIP:
        # A copy has the time of the file that it is a copy of.
        times |= {"inner": times["data"], "outer": OLD + 40}
    exact = 2 if format is CompressionFormat.ZIP else 1
    kept = {"": LATE, **times}
    assert share() == {name: moment // exact * exact for name, moment in kept.items()}
    clamped = {name: min(moment, limit) // exact * exact for name, moment in kept.items()}
    assert share(clamp_mtime=late) == clamped


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "XYZ+3:30"])
def test_a_naive_time_is_local(source: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datetime` without a zone means the clock on the wall; with one, the zone's."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        naive = datetime(2017, 7, 14, 2, 40)  # noqa: DTZ001 - that is what is tested
        local = int(naive.timestamp())
        offset = {"UTC": 0, "Asia/Tokyo": -9 * 3600, "XYZ+3:30": 12600}[zone]
        assert local == OLD + offset
        found = contents(packed(source, "tar", clamp_mtime=naive))
        assert found["env/share/data"].mtime == local
        found = contents(packed(source, "tar", clamp_mtime=datetime.fromtimestamp(OLD, UTC)))
        assert found["env/share/data"].mtime == OLD
    finally:
        monkeypatch.undo()
        time.tzset()


@every_format
def test_clamped_archives_are_the_same_bytes(source: Path, format: CompressionFormat) -> None:
    """A second archive of a touched copy of the environment does not differ, umask or not."""
    limit = datetime.fromtimestamp(OLD, UTC)
    first = packed(source, format, clamp_mtime=limit).read_bytes()
    other = source.parents[1] / "other/place/env"
    mask = os.umask(0o077)
    try:
        shutil.copytree(source, other, symlinks=True, copy_function=shutil.copyfile)
        for name in os.listdir(source / "bin"):
            mode = (source / "bin" / name).lstat().st_mode
            if not (source / "bin" / name).is_symlink():
                (other / "bin" / name).chmod(mode & 0o700)
        second = packed(other, format, clamp_mtime=limit).read_bytes()
    finally:
        os.umask(mask)
    assert first == second


@pytest.mark.parametrize("target", ["app", "with space é", "."])
@every_format
def test_the_install_target_is_the_top_folder(
    source: Path, format: CompressionFormat, target: str
) -> None:
    """It may be named, or left out by `.`."""
    names = set(contents(packed(source, format, install_target=target)))
    wanted = "share/data" if target == "." else f"{target}/share/data"
    assert wanted in names
    if target != ".":
        assert {name.split("/")[0] for name in names} == {target}


@pytest.mark.parametrize("target", ["", "..", "a/b", "/abs", "a\\b"])
def test_an_install_target_that_leaves_is_refused(source: Path, target: str) -> None:
    """It is a folder's name and no path."""
    with pytest.raises(ValueError, match="install_target must be a folder's name"):
        packed(source, install_target=target)
    assert not (source.parents[1] / "out").exists()


# progress

SHOW: Final = """
import sys
from hatch_pack_venv import create_archive
create_archive(sys.argv[1], sys.argv[2], format="tar", **eval(sys.argv[3]))
"""


def shown(source: Path, arguments: str, columns: int = 80) -> str:
    command: list[str | Path] = [
        sys.executable,
        "-c",
        SHOW,
        source,
        source.parents[1] / "out/app",
        arguments,
    ]
    seen, output = shown_on_a_terminal(command, columns)
    assert output == ""
    return seen


@pytest.mark.parametrize("columns", [80, 0])
def test_progress_is_shown_by_default(source: Path, columns: int) -> None:
    """On a terminal, also one that does not know its size, there is a bar that counts bytes."""
    (source / "share/big").write_bytes(os.urandom(30_000_000))
    seen = shown(source, "{}", columns)
    assert "Packing" in seen
    assert "B/s" in seen
    assert seen.rstrip(" ").endswith("\r")


def test_progress_can_be_turned_off(source: Path) -> None:
    """Then nothing is shown, even on a terminal."""
    assert shown(source, "{'show_progress': False}") == ""


def test_progress_is_silent_without_a_terminal(
    source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs are not filled with bars."""
    create_archive(source, source.parents[1] / "out/app", format="tar")
    assert capfd.readouterr() == ("", "")


# temporary files

# Prints each path that this process makes, opens for writing or renames.
WATCH: Final = """
import os, sys
from hatch_pack_venv import create_archive
seen = set()
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.add(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.symlink", "os.link"):
        seen.update(map(str, arguments[:2] if event != "os.mkdir" else arguments[:1]))
sys.addaudithook(watch)
create_archive(sys.argv[1], sys.argv[2], work_dir=sys.argv[3], format=sys.argv[4])
print(*sorted(seen), sep="\\n")
"""


@every_format
def test_temporary_files_go_to_the_work_dir(
    source: Path, tmp_path: Path, format: CompressionFormat
) -> None:
    """Beside the archive there are only the partial archive and its facts; nothing is in TMPDIR."""
    work = tmp_path / "work"
    work.mkdir()
    base = tmp_path / "out/app"
    base.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, str(source), str(base), str(work), format.value],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "no-such-folder")},
    )
    assert done.returncode == 0, done.stderr
    name = get_archive_path(base, format).name
    final = {name, f"{name}.json"}
    for path in map(Path, done.stdout.splitlines()):
        partial = path.name.startswith(f".{name}.") and path.name.endswith(".partial")
        ours = path.parent == base.parent and (path.name in final or partial)
        made = path == base.parent
        assert ours or made or path.is_relative_to(work) or str(path) == os.devnull, path
    assert {path.name for path in base.parent.iterdir()} == final
    assert list(work.iterdir()) == []


def test_a_work_dir_that_is_not_there_is_refused(source: Path, tmp_path: Path) -> None:
    """It is named before anything is read."""
    with pytest.raises(PackVenvError, match=r"folder for temporary files.*does not exist"):
        packed(source, work_dir=tmp_path / "none")


# export


def exported_names(root: Path) -> set[str]:
    return {str(path.relative_to(root.parent)) for path in root.rglob("*")}


def test_an_export_is_what_an_archive_holds(source: Path) -> None:
    """The same names, kinds, modes, link texts and bytes, in a folder of another name."""
    found = contents(packed(source, "tar"))
    target = source.parents[1] / "exported"
    assert export_venv(source, target) == target
    here = {f"env/{path.relative_to(target)}": path for path in target.rglob("*")}
    assert here.keys() == found.keys() - {"env"}
    for name, path in here.items():
        each = found[name]
        if each.kind == "link":
            assert os.readlink(path) == each.link
            continue
        assert path.is_dir() == (each.kind == "folder")
        assert path.stat().st_mode & 0o7777 == each.mode
        assert int(path.stat().st_mtime) == each.mtime
        assert path.is_dir() or path.read_bytes() == each.content
        assert path.is_dir() or path.stat().st_nlink == 1


def test_an_export_returns_the_absolute_path(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path and a string are taken."""
    monkeypatch.chdir(source.parent)
    assert export_venv("env", "there/exported") == source.parent / "there/exported"


def test_the_post_install_script_is_only_run_by_the_caller(source: Path) -> None:
    """It is called with an executable Python and the script, and not run otherwise."""
    calls: list[tuple[Path, Path]] = []
    target = source.parents[1] / "exported"
    export_venv(source, target, lambda python, script: calls.append((python, script)))
    assert calls == [(target / "bin/python", target / "postinstall.py")]
    ((python, script),) = calls
    assert python.is_symlink()
    assert os.path.realpath(python) == os.path.realpath(source / "bin/python")
    assert os.access(python, os.X_OK)
    assert script.is_file()
    assert not (target / "pyvenv.cfg").exists()


def test_what_the_caller_raises_comes_through(source: Path) -> None:
    """An error of `run_postinstall` is the caller's own; the export stands."""
    target = source.parents[1] / "exported"

    def fail(_python: Path, _script: Path) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        export_venv(source, target, fail)
    assert (target / "postinstall.py").is_file()


def check_copies(target: Path, python: Python) -> None:
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert (target / "share/inner").read_text() == "data\n"
    assert (target / "share/outer").read_text() == "outside\n"
    assert (target / "bin/python").read_bytes() == python.path.read_bytes()
    assert os.access(target / "bin/python", os.X_OK)


def test_an_export_holds_copies_where_no_link_can_be_made(
    source: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, where making a link is an error (EPERM)."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    target = source.parents[1] / "exported"
    export_venv(source, target)
    check_copies(target, python)


# Forbids this process to make symbolic links, then exports. See landlock(7): MAKE_SYM is bit 12;
# REFER, bit 13, would be forbidden too if it were not allowed for all below the root.
WITHOUT_LINKS: Final = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
ruleset = libc.syscall(444, struct.pack("Q", 3 << 12), 8, 0)
if ruleset < 0:
    sys.exit(77)
rule = struct.pack("=Qi", 1 << 13, os.open("/", os.O_PATH))
assert libc.syscall(445, ruleset, 1, rule, 0) == 0
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(446, ruleset, 0) == 0
from hatch_pack_venv import export_venv
export_venv(sys.argv[1], sys.argv[2])
"""


def test_an_export_holds_copies_where_the_kernel_refuses_links(
    source: Path, python: Python
) -> None:
    """The same with a kernel that really refuses to make links."""
    target = source.parents[1] / "exported"
    command: list[str | Path] = [sys.executable, "-c", WITHOUT_LINKS, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no Landlock; the test before this one stands for it")
    assert done.returncode == 0, done.stderr
    check_copies(target, python)


def test_an_export_on_windows_holds_copies(
    source: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are not even tried there."""
    monkeypatch.setattr(seed, "os", SimpleNamespace(name="nt", path=os.path))
    target = source.parents[1] / "exported"
    export_venv(source, target)
    check_copies(target, python)
