"""Archives of every format, read back whole, cut off and damaged."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest
from support.archives import every_name, make_packed

from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.read.contents import read_members

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_packed(tmp_path_factory.mktemp("packed"))


def names(path: Path) -> list[str]:
    return [member.name for member, _ in read_members(path, lambda _count: None)]


@every_name
def test_every_format_is_read_by_what_it_holds(
    archives: dict[str, Path], format: str, tmp_path: Path
) -> None:
    """All formats give the same members, whatever the file is called; zip without links."""
    nameless = tmp_path / "download"
    nameless.write_bytes(archives[format].read_bytes())
    expected = names(archives["tar"])
    if format == "oci":
        expected = [f"venv{name.removeprefix('env')}" for name in expected]
    if format == "zip":
        expected = [name for name in expected if name not in ("env/lib64", "env/bin/𝜋thon")]
    read = names(nameless)
    # Copies are among the files, but links come after all files; an image has layers, and squashfs
    # is sorted by name.
    assert sorted(read) == sorted(expected)
    assert read == expected or format in ("zip", "oci", "squashfs")
    assert read[-1] == f"{expected[0]}/share/venv/metadata/pack-venv.json"


@every_name
@pytest.mark.parametrize("part", [0.001, 0.3, 0.7, 0.9])
def test_an_archive_that_was_cut_off_is_one_sentence(
    archives: dict[str, Path], format: str, part: float, tmp_path: Path
) -> None:
    """A download that was cut off is reported as one error, whatever its length."""
    whole = archives[format].read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ArchiveProblem, match=r"is damaged or truncated|is not an archive"):
        names(cut)


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = linkname
    return info


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data + b"x" * 512, "there is data after the end"),
        (lambda data: data[:512] + b"\0\xff" + data[514:], "damaged"),
        (lambda data: data[:-10240].rstrip(b"\0"), "damaged"),
    ],
    ids=["appended", "a header", "no end"],
)
def test_damage_between_files_is_found(
    archives: dict[str, Path], damage: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """Headers and the archive's end are read strictly, where `tarfile` would stop in silence."""
    archive = tmp_path / "damaged.tar"
    archive.write_bytes(damage(archives["tar"].read_bytes()))
    with pytest.raises(ArchiveProblem, match=message):
        names(archive)
