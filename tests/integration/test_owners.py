"""The package that owns a library, as rpm says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_pack_venv.platforms.linux.owners import Owner, find_owners

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_rpm_is_asked_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is the package; a file that no package owns has none."""
    rpm = write(
        tmp_path / "bin/rpm",
        "#!/bin/sh\n"
        "case $4 in */libz.so.1) printf "
        '"zlib\\t1.2.11-40.el9\\tzlib and Boost\\t(none)\\tx86_64\\t'
        'zlib-1.2.11-40.el9.src.rpm\\n" ;;\n'
        '*) echo "file $4 is not owned by any package"; exit 1 ;; esac\n',
    )
    rpm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    write(tmp_path / "usr/lib/os-release", "ID=rocky\nVERSION_ID=9.4\n")
    text = write(tmp_path / "usr/share/licenses/zlib/README", "zlib\n")
    library = tmp_path / "usr/lib64/libz.so.1"
    found = find_owners([library, tmp_path / "own.so"], prefix=tmp_path / "env", root=tmp_path)
    assert found == {
        library: Owner(
            name="zlib",
            version="1.2.11-40.el9",
            licence="zlib and Boost",
            texts=(text,),
            purl="pkg:rpm/rocky/zlib@1.2.11-40.el9?arch=x86_64&distro=rocky-9.4"
            "&upstream=zlib-1.2.11-40.el9.src.rpm",
        )
    }
