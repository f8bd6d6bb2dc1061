"""What to type next."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatch_pack_venv.api.report import next_step
from hatch_pack_venv.model.formats import CompressionFormat
from hatch_pack_venv.model.results import PackResult


def result(format: str) -> PackResult:
    return PackResult(
        path=Path("/out/x"),
        format=next(each for each in CompressionFormat if each.suffix == f".{format}"),
        sha256="",
        size=1,
        content_digest="",
        entry_count=1,
        unpacked_size=1,
        install_target="my app",
        start="{top}/bin/greet",
    )


@pytest.mark.parametrize(
    ("format", "line"),
    [
        ("tar.gz", "tar -xf 'out/a b' && 'my app'/bin/greet"),
        ("zip", "unzip -q 'out/a b' && 'my app'/bin/greet"),
        ("run", "'out/a b'"),
        ("oci", "docker load -i 'out/a b'"),
        ("squashfs", "mkdir mnt && squashfuse 'out/a b' mnt && mnt/'my app'/bin/greet"),
    ],
)
def test_names_with_spaces_are_quoted(format: str, line: str) -> None:
    """The line can be pasted into a shell."""
    assert next_step(Path("out/a b"), result(format)) == line
