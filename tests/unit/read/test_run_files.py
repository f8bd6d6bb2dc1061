"""Run files read back: their head is not executed, and any change in them is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fakes import file, inputs, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.injected.run_file import Found, NotAHead
from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.read.contents import Contents
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    planned = plan(file("a", b"a" * 5000), inputs=inputs(install_target="it's\n_pv_size=1"))
    (result,) = write_archives(planned, tmp_path / "app", [CompressionFormat.RUN])
    return result.path


def test_its_head_tells_where_the_payload_is(archive: Path) -> None:
    """The name of the top folder makes no difference."""
    data = archive.read_bytes()
    found = Found.read(data)
    assert found.size == len(data)
    assert data[found.offset :].startswith(b"\x1f\x8b")
    assert found.digest == verify(archive).head["content_digest"]
    assert verify(archive).findings == ()


def test_every_flipped_bit_of_the_head_is_found(archive: Path) -> None:
    """It is found even where the shell would not notice it."""
    data = archive.read_bytes()
    offset = Found.read(data).offset
    for position in range(0, offset, 7):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(NotAHead):
            Found.read(bytes(changed))


def test_a_changed_payload_is_found(archive: Path) -> None:
    """Its SHA-256 differs, even where gzip ignores the change (the byte that names a system)."""
    data = bytearray(archive.read_bytes())
    data[Found.read(bytes(data)).offset + 9] ^= 1
    archive.write_bytes(data)
    archive.with_name("app.run.json").unlink()
    (finding,) = verify(archive).findings
    assert "its SHA-256 is not the one recorded in its head" in finding.detail


@pytest.mark.parametrize("size", [12, 400, 9000, -1])
def test_one_that_was_cut_off_is_told(archive: Path, size: int) -> None:
    """It is found at every length, and so is data after the end."""
    data = archive.read_bytes()
    archive.write_bytes(data[:size])
    with pytest.raises(ArchiveProblem, match="is damaged or truncated: "):
        Contents.from_path(archive)
    archive.write_bytes(data + b"x")
    with pytest.raises(ArchiveProblem, match="is damaged or truncated: "):
        Contents.from_path(archive)
