"""What an image without a base takes from the machine that builds it, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_pack_venv.platforms.linux import image_base

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_builder_s_own_time_zone_stays_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is left out whether it is a file or a link, so two machines make the same image."""
    zones = tmp_path / "zoneinfo"
    for name in ("Europe/Berlin", "UTC", "posix/UTC", "right/UTC", "posixrules"):
        (zones / name).parent.mkdir(parents=True, exist_ok=True)
        (zones / name).write_bytes(b"TZif")
    (tmp_path / "local").write_bytes(b"TZif")
    (zones / "localtime").symlink_to(tmp_path / "local")
    (zones / "Zulu").symlink_to("UTC")
    monkeypatch.setattr(image_base, "_ZONES", zones)
    found = {each.name.partition("zoneinfo/")[2]: each.kind for each in image_base._zones()}
    assert found == {"Europe/Berlin": "file", "UTC": "file", "Zulu": "link"}
