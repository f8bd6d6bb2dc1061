"""Archives read back: foreign ones, large ones, and those that try to reach outside."""

from __future__ import annotations

import io
import stat
import tarfile
import tracemalloc
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.trees import tree_state

from hatch_pack_venv.model.entries import leaves, portable_name
from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.read.contents import Contents, read_members

if TYPE_CHECKING:
    from pathlib import Path


def names(path: Path) -> list[str]:
    return [member.name for member, _ in read_members(path, lambda _count: None)]


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    """Text, an empty file or a foreign tar is not taken for an archive of ours."""
    other = tmp_path / "other"
    for content in (b"", b"hello\n" * 100):
        other.write_bytes(content)
        with pytest.raises(ArchiveProblem, match=f"{other} is not an archive that pack-venv"):
            names(other)
    with tarfile.open(other, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("hello"))
    with pytest.raises(ArchiveProblem, match="has no manifest"):
        Contents.from_path(other)


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = linkname
    return info


HOSTILE = {
    "upwards": ([member("app/../../x")], "would be written outside"),
    "absolute": ([member("/etc/x")], "would be written outside"),
    "a drive": ([member("C:\\x")], "would be written outside"),
    "where a drive is": ([member("C:x")], "would be written outside"),
    "upwards on Windows": ([member("app\\..\\..\\x")], "would be written outside"),
    "twice": ([member("app/x"), member("app/x")], "occurs twice"),
    "twice, spelt differently": ([member("app/x"), member("app/./x")], "occurs twice"),
    "below a link": (
        [member("app/l", tarfile.SYMTYPE, "d"), member("app/l/x")],
        "is below 'app/l', which is not a folder",
    ),
    "a link over a folder": (
        [member("app/d/x"), member("app/d", tarfile.SYMTYPE, "e")],
        "occurs twice",
    ),
    "a hard link": ([member("app/h", tarfile.LNKTYPE, "/etc/passwd")], "is a hard link"),
    "a device": ([member("app/d", tarfile.CHRTYPE)], "is not a file, folder or symbolic link"),
    "a FIFO": ([member("app/f", tarfile.FIFOTYPE)], "is not a file, folder or symbolic link"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    """The error names the entry, and nothing on the disk has changed."""
    members, message = HOSTILE[kind]
    archive = tmp_path / "hostile.tar"
    with tarfile.open(archive, "w") as tar:
        for info in members:
            tar.addfile(info)
    before = tree_state(tmp_path)
    with pytest.raises(ArchiveProblem, match=r"hostile\.tar is refused: its entry") as caught:
        Contents.from_path(archive)
    assert message in str(caught.value)
    assert tree_state(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("../x", 0, "would be written outside"),
        ("a/x", stat.S_IFIFO << 16, "is not a file, folder or valid symbolic link"),
    ],
)
def test_hostile_zip_files_are_refused(
    name: str, attributes: int, message: str, tmp_path: Path
) -> None:
    """Zip files are refused for the same reasons as tars."""
    archive = tmp_path / "hostile.zip"
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo(name)
        info.external_attr = attributes
        file.writestr(info, b"x")
    with pytest.raises(ArchiveProblem, match=message):
        names(archive)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a/l", "d"), ("a/l/x", None)], "is below 'a/l', which is not a folder"),
        ([("a/l", "d"), ("a/l", "e")], "occurs twice"),
        ([("a/l", "x" * 5000)], "is not a file, folder or valid symbolic link"),
    ],
)
def test_links_in_zip_files_are_judged_as_in_tars(
    members: list[tuple[str, str | None]], message: str, tmp_path: Path
) -> None:
    """Nothing may be below a link or in its place, and its text may not exceed a path's length."""
    archive = tmp_path / "hostile.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as file:
        warnings.simplefilter("ignore")  # about duplicate names
        for name, linkname in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG if linkname is None else stat.S_IFLNK) << 16
            file.writestr(info, linkname or "")
    with pytest.raises(ArchiveProblem, match=message):
        names(archive)


def header_of(size: int) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_a_header_cannot_fill_the_memory(tmp_path: Path) -> None:
    """An extended header that claims gigabytes is refused before it is read."""
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(header_of(4 << 30) + bytes(1 << 20))
    with pytest.raises(ArchiveProblem, match="a header claims 4294967296 bytes"):
        names(archive)


def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """32 MiB of zeros in a small xz file take less than 4 MiB on top of the decompressor's."""
    archive = tmp_path / "large.tar.xz"
    with tarfile.open(archive, "w:xz", preset=0) as tar:
        info = tarfile.TarInfo("app/zeros")
        info.size = 32 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    tracemalloc.start()
    try:
        members = read_members(archive, lambda _count: None)
        assert sum(len(chunk) for _, chunks in members for chunk in chunks) == 32 << 20
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "linkname", "out"),
    [
        ("a/b/l", "../c", False),
        ("a/b/l", "../../c", False),
        ("a/b/l", "../../../c", True),
        ("l", "..", True),
        ("l", "/usr/bin/python3", True),
        ("a/l", "b/../../c", True),
        ("a/l", ".", False),
        ("a/l", "..\\..\\c", True),
        ("a/l", "..\\c", False),
        ("a/l", "\\c", True),
        ("a/l", "C:c", True),
        ("a/l", "b/C:c", False),
    ],
)
def test_links_that_leave(name: str, linkname: str, out: bool) -> None:
    """A link is judged by its text and its depth; `..` after a name is not trusted."""
    assert leaves(name, linkname) is out


def test_names_lose_what_does_not_matter(tmp_path: Path) -> None:
    """`./`, `//` and a final `/` make no difference, so that none can hide a second entry."""
    assert portable_name(tmp_path, "./a//b/./c/") == "a/b/c"
