"""`verify` and `inspect` on archives, unpacked folders and connected environments."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.archives import FORMAT_NAMES, SQUASHFS, every_name, make_packed
from support.trees import extract, tree_state

from hatch_pack_venv import create_archive
from hatch_pack_venv.cli.render import Style, inspection_lines
from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.model.manifest import ARCNAME, own_digest, render
from hatch_pack_venv.read.inspect import inspect
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
INIT = f"{SITE}/my_app/__init__.py"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def folder(archives: dict[str, Path], tmp_path: Path) -> Path:
    """Unpack the archive."""
    with tarfile.open(archives["tar"]) as tar:
        extract(tar, tmp_path)
    return tmp_path / "env"


def found(path: Path, **options: Any) -> list[tuple[str, str]]:
    return [(finding.what, finding.path) for finding in verify(path, **options).findings]


@every_name
def test_an_archive_is_as_packed(archives: dict[str, Path], format: str) -> None:
    """Every format agrees with its manifest, its digest computed again, and its facts."""
    result = verify(archives[format])
    assert result.findings == ()
    facts = json.loads(archives[format].with_name(f"{archives[format].name}.json").read_text())
    assert result.to_dict()["content_digest"] == facts["content_digest"]
    assert result.entry_count == facts["entry_count"]
    assert result.size == facts["unpacked_size"]


def test_entries_are_counted_alike(archives: dict[str, Path], folder: Path) -> None:
    """Every format has the same number, with copies or links, and so has a folder."""
    counts = {name: verify(path).entry_count for name, path in archives.items()}
    counts["folder"] = verify(folder).entry_count
    counts["inspected"] = inspect(archives["zip"]).entry_count
    assert counts == dict.fromkeys(counts, len([*folder.rglob("*")]))


def test_an_unpacked_folder_is_as_packed(folder: Path) -> None:
    """Nothing is found in it, and it is only read."""
    before = tree_state(folder)
    assert found(folder) == []
    assert tree_state(folder) == before


@pytest.mark.parametrize("format", [*FORMAT_NAMES, SQUASHFS, "folder"])
def test_progress_counts_what_is_read(archives: dict[str, Path], folder: Path, format: str) -> None:
    """All bytes of an archive, or of a folder's files, are reported as they are read."""
    path = folder if format == "folder" else archives[format]
    counted: list[int] = []

    @contextmanager
    def count(total: int) -> Iterator[Callable[[int], None]]:
        yield counted.append
        assert sum(counted) == total

    size = verify(path, report=count).size
    assert sum(counted) == (size if format == "folder" else path.stat().st_size)
    assert all(count >= 0 for count in counted)
    assert len(counted) > 1


def test_an_umask_and_a_read_only_tree_are_no_findings(folder: Path) -> None:
    """Bits that an unpacker's umask or an owner's caution takes away do not count."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o500)
    try:
        assert found(folder) == []
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def test_after_postinstall_and_a_run_all_is_well(folder: Path) -> None:
    """The interpreter's links, pyvenv.cfg and byte code are neither added nor changed."""
    subprocess.run([sys.executable, folder / "postinstall.py", "-q"], check=True)
    told = subprocess.run([folder / "bin/my-app"], capture_output=True, text=True, check=True)
    assert told.stdout == "hello\n"
    result = verify(folder)
    assert result.findings == ()
    assert result.connected
    assert result.byte_code > 0


def test_a_broken_connection_is_found(folder: Path) -> None:
    """What postinstall.py wrote is judged by its own rules."""
    subprocess.run([sys.executable, folder / "postinstall.py", "-q"], check=True)
    (folder / "bin" / "python3").unlink()
    (folder / "bin" / "python3").symlink_to("/bin/sh")
    assert found(folder) == [("connection", "pyvenv.cfg")]


@pytest.mark.parametrize("module", ["shlex", "json", "stat", "ctypes", "concurrent"])
def test_nothing_beside_postinstall_is_imported(folder: Path, module: str) -> None:
    """In a folder that others may write to, a module cannot take the place of Python's own."""
    (folder / f"{module}.py").write_text("open(__file__ + '.ran', 'w')\n")
    subprocess.run([sys.executable, folder / "postinstall.py", "-q"], check=True, cwd=folder)
    assert not (folder / f"{module}.py.ran").exists()


@pytest.mark.parametrize("name", ["pyvenv.cfg", f"{SITE}/my_app/fifo.py", "bin/python3"])
def test_postinstall_waits_for_no_fifo(folder: Path, name: str) -> None:
    """A planted FIFO is named by `verify`, and postinstall.py replaces or skips it."""
    os.mkfifo(folder / name)
    assert ("added", name) in found(folder)
    run = partial(subprocess.run, capture_output=True, text=True, timeout=30, check=False)
    done = run([sys.executable, folder / "postinstall.py", "-q"])
    assert (done.returncode, done.stderr) == (0, "")


def test_devices_and_deep_folders_are_only_named(folder: Path) -> None:
    """Devices are not read, and 1,100 nested folders are walked."""
    subprocess.run([sys.executable, folder / "postinstall.py", "-q"], check=True)
    (folder / "bin/python3").unlink()
    (folder / "bin/python3").symlink_to("/dev/zero")
    (folder / "zero").symlink_to("/dev/zero")
    deep = str(folder)
    for _ in range(1100):
        deep += "/d"
        os.mkdir(deep)
    try:
        told = found(folder)
    finally:
        subprocess.run(["rm", "-r", folder / "d"], check=True)  # too deep for `shutil`
    assert ("leaves", "zero") in told
    assert ("connection", "pyvenv.cfg") in told
    assert len([name for what, name in told if what == "added" and name.startswith("d/")]) == 1099


def told_of(path: Path) -> str:
    """Return the findings, or the error for a damaged archive."""
    try:
        return str(found(path))
    except ArchiveProblem as problem:
        return str(problem)


def add_file(path: Path) -> None:
    path.write_bytes(b"x")


def flip(path: Path, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= bit
    path.write_bytes(data)


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("my_app")


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "one bit": (INIT, flip, "changed"),
    "a missing file": (INIT, lambda path: path.unlink(), "missing"),
    "an added file": ("bin/more", add_file, "added"),
    "an added folder": ("empty", lambda path: path.mkdir(), "added"),
    "a FIFO": ("fifo", os.mkfifo, "added"),
    "a lost execute bit": ("bin/my-app", lambda path: path.chmod(0o644), "mode"),
    "writable for all": (INIT, lambda path: path.chmod(0o666), "mode"),
    "set user id": ("bin/my-app", lambda path: path.chmod(0o4755), "mode"),
    "another link text": ("share/alias", relink, "link"),
    "a file that is a folder": (INIT, to_folder, "changed"),
    "stray byte code": (f"{SITE}/my_app/stray.pyc", add_file, "added"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_a_folder_is_named(folder: Path, change: str) -> None:
    """One change, one finding, with the file's name."""
    name, act, what = CHANGES[change]
    act(folder / name)
    assert found(folder) == [(what, name)]


def test_byte_code_counts_only_beside_its_source(folder: Path) -> None:
    """A file in `__pycache__` whose source was not packed was added by somebody."""
    cache = folder / SITE / "my_app" / "__pycache__"
    cache.mkdir()
    (cache / "evil.cpython-311.pyc").write_bytes(b"")
    (cache / "__init__.cpython-311.pyc").write_bytes(b"")
    assert found(folder) == [("added", f"{SITE}/my_app/__pycache__/evil.cpython-311.pyc")]
    assert verify(folder).byte_code == 1


def test_one_flipped_bit_of_the_manifest_is_found(folder: Path) -> None:
    """Wherever it is: 60 places over the whole text, the head's values among them."""
    path = folder / ARCNAME
    original = path.read_bytes()
    for place in range(0, len(original), len(original) // 60):
        data = bytearray(original)
        data[place] ^= 1 << place % 7
        path.write_bytes(data)
        told = told_of(folder)
        assert ARCNAME in told, (place, bytes(data[place - 20 : place + 20]))
    path.write_bytes(original)
    assert found(folder) == []


def test_a_rewritten_manifest_has_another_digest(folder: Path) -> None:
    """If a folder is removed and the manifest rewritten, the content digest no longer matches."""
    path = folder / ARCNAME
    data = json.loads(path.read_bytes())
    del data["manifest_sha256"]
    data["directories"].remove("share/empty")
    (folder / "share" / "empty").rmdir()
    path.write_bytes(render({**data, "manifest_sha256": own_digest(data)}))
    assert found(folder) == [("digest", ARCNAME)]


def middle_of_a_file(archive: Path, format: str, place: int) -> int:
    """Return an offset within a file's data; bytes between members have no meaning."""
    if format in ("tar", "oci"):
        with tarfile.open(archive) as tar:
            filled = [each for each in tar if each.size and each.name != "oci-layout"]
        member = filled[place * len(filled) // 5]
        return member.offset_data + member.size // 2
    if format == "zip":
        with zipfile.ZipFile(archive) as zipped:
            files = [each for each in zipped.infolist() if each.compress_size]
        file = files[place * len(files) // 5]
        return file.header_offset + 30 + len(file.filename.encode()) + file.compress_size // 2
    offset = archive.stat().st_size * (2 * place + 3) // 16
    if format == "tar.gz":
        while not counts(archive.read_bytes(), offset, 1 << place):
            offset += 1
    return offset


def counts(data: bytes, offset: int, bit: int) -> bool:
    """Return whether a bit of a gzip file matters: deflate has codes that nothing uses."""
    changed = bytearray(data)
    changed[offset] ^= bit
    try:
        return gzip.decompress(changed) != gzip.decompress(data)
    except (EOFError, OSError, zlib.error):
        return True


@every_name
@pytest.mark.parametrize("place", range(5))
def test_one_flipped_bit_of_an_archive_is_found(
    archives: dict[str, Path], format: str, place: int, tmp_path: Path
) -> None:
    """In any format, it is found without the facts, in the parts that contain files."""
    data = bytearray(archives[format].read_bytes())
    data[middle_of_a_file(archives[format], format, place)] ^= 1 << place
    damaged = tmp_path / "damaged"
    damaged.write_bytes(data)
    assert told_of(damaged) != "[]"


@pytest.mark.parametrize("format", ["tar", "zip", "tar.gz"])
def test_a_changed_file_in_an_archive_is_named(
    archives: dict[str, Path], format: str, tmp_path: Path
) -> None:
    """In an archive repacked with different content, the changed file is named."""
    packed = tmp_path / archives[format].name
    change = b"def main():\n    print('hullo')\n"
    if format == "zip":
        with zipfile.ZipFile(archives["zip"]) as old, zipfile.ZipFile(packed, "w") as new:
            for info in old.infolist():
                data = old.read(info)
                new.writestr(info, change if info.filename.endswith(INIT) else data)
    else:
        data = archives["tar"].read_bytes().replace(b"print('hello')", b"print('hullo')")
        packed.write_bytes(data)
    assert found(packed) == [("changed", INIT)]


def test_the_facts_beside_an_archive_are_compared(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    """An archive with the same content but other bytes differs only from its facts."""
    copy = tmp_path / archives["tar"].name
    shutil.copy(archives["tar"], copy)
    copy.write_bytes(copy.read_bytes() + bytes(512))
    assert found(copy) == []
    shutil.copy(f"{archives['tar']}.json", f"{copy}.json")
    assert found(copy) == [("facts", "app.tar.json")] * 2


def test_links_of_create_archive_are_accepted_on_request(tmp_path: Path) -> None:
    """`bin/python` leads out of such archives, which is a finding without the option.

    Zip files contain copies instead, and once postinstall.py has run, the link is a connection.
    """
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    archive = create_archive(environment, tmp_path / "a", show_progress=False, format="tar")
    assert {what for what, _ in found(archive)} == {"leaves"}
    assert found(archive, external_links=True) == []
    assert (
        found(create_archive(environment, tmp_path / "a", show_progress=False, format="zip")) == []
    )
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "out"], check=True)
    subprocess.run([sys.executable, tmp_path / "out/env/postinstall.py", "-q"], check=True)
    assert found(tmp_path / "out" / "env") == []


@pytest.mark.parametrize("format", ["tar.zst", "zip"])
def test_inspect_tells_what_takes_the_room(archives: dict[str, Path], format: str) -> None:
    """A distribution has the size of its files; other files are listed by location."""
    inspection = inspect(archives[format])
    (app,) = inspection.distributions
    assert (app.name, app.version) == ("my-app", "2.0")
    assert app.size is not None
    assert 256 * 400 < app.size < 256 * 400 + 3000
    assert inspection.to_dict()["packed_size"] == archives[format].stat().st_size
    assert inspection.install_target == "env"
    total = sum(part.size or 0 for part in (*inspection.distributions, *inspection.rest))
    manifest = inspection.size - total
    assert 1000 < manifest < 20000


def test_inspect_tells_the_sizes_by_kind_of_file(archives: dict[str, Path]) -> None:
    """Each file has one kind, largest first, in lines and in JSON."""
    inspection = inspect(archives["tar.gz"])
    kinds = {each["name"]: each["size"] for each in inspection.to_dict()["kinds"]}
    assert kinds["data"] == 256 * 400 + len("data\n" * 400)
    assert kinds.keys() == {"data", "Python source", "programs", "metadata"}
    assert list(kinds.values()) == sorted(kinds.values(), reverse=True)
    total = sum(part.size or 0 for part in (*inspection.distributions, *inspection.rest))
    assert sum(kinds.values()) == total
    lines = list(inspection_lines(inspection, Style()))
    by_kind = lines[lines.index("all files by kind") + 1 :]
    assert by_kind[0].split()[0] == "data"
    assert len(by_kind) == len(kinds)


def test_inspect_knows_no_sizes_without_records(tmp_path: Path) -> None:
    """If RECORD files were left out, site-packages is listed by folder instead."""
    archive = make_packed(tmp_path, **{"record-files": "exclude"})["tar"]
    inspection = inspect(archive)
    assert [part.size for part in inspection.distributions] == [None]
    assert inspection.rest[0].name == f"{SITE}/my_app"
    lines = list(inspection_lines(inspection, Style()))
    assert any(line.endswith("size unknown: it has no RECORD") for line in lines)


def test_bars_and_colours_follow_the_stream(archives: dict[str, Path]) -> None:
    """Block characters and ANSI codes are used only if the style has them."""
    inspection = inspect(archives["tar"])
    plain = "\n".join(inspection_lines(inspection, Style()))
    assert plain.isascii()
    assert "########################" in plain
    fancy = "\n".join(inspection_lines(inspection, Style(colours=True, blocks=True)))
    assert "\033[36m████████████████████████\033[0m" in fancy
