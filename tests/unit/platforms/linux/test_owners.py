"""Packages of the system that libraries came from, read from records made after their layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hatch_pack_venv.platforms.linux.owners import Owner, find_owners

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_debians_records_give_package_version_and_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the path before /lib became a link; common licences that are referred to come too."""
    monkeypatch.setenv("PATH", "")
    library = tmp_path / "usr/lib/x86_64-linux-gnu/libz.so.1.2.13"
    listed = str(library).removeprefix("/usr")
    write(tmp_path / "var/lib/dpkg/info/zlib1g:amd64.list", f"/.\n{listed}\n")
    write(tmp_path / "var/lib/dpkg/info/other.list", "/.\n/usr/bin/other\n")
    write(
        tmp_path / "var/lib/dpkg/status",
        "Package: other\nVersion: 9\n\nPackage: zlib1g\nStatus: ok\nVersion: 1:1.2.13-1\n",
    )
    terms = write(
        tmp_path / "usr/share/doc/zlib1g/copyright",
        "Some rights. See /usr/share/common-licenses/LGPL-2.1.\n",
    )
    common = write(tmp_path / "usr/share/common-licenses/LGPL-2.1", "LGPL\n")
    found = find_owners([library], prefix=tmp_path / "python", root=tmp_path)
    assert found == {library: Owner(name="zlib1g", version="1:1.2.13-1", texts=(terms, common))}


def test_condas_records_give_package_version_and_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conda environment says of each package which files it installed."""
    monkeypatch.setenv("PATH", "")
    library = tmp_path / "env/lib/libz.so.1"
    text = write(tmp_path / "pkgs/libzlib-1.3/info/licenses/license.txt", "zlib\n")
    record = {
        "name": "libzlib",
        "version": "1.3",
        "license": "Zlib",
        "files": ["lib/libz.so.1"],
        "extracted_package_dir": str(tmp_path / "pkgs/libzlib-1.3"),
    }
    write(tmp_path / "env/conda-meta/libzlib-1.3-0.json", json.dumps(record))
    found = find_owners([library, tmp_path / "x"], prefix=tmp_path / "env", root=tmp_path)
    assert found == {library: Owner(name="libzlib", version="1.3", licence="Zlib", texts=(text,))}


def test_rpm_is_asked_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is the package; a file that no package owns has none."""
    rpm = write(
        tmp_path / "bin/rpm",
        "#!/bin/sh\n"
        'case $4 in */libz.so.1) printf "zlib\\t1.2.11-40.el9\\tzlib and Boost\\n" ;;\n'
        '*) echo "file $4 is not owned by any package"; exit 1 ;; esac\n',
    )
    rpm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    text = write(tmp_path / "usr/share/licenses/zlib/README", "zlib\n")
    library = tmp_path / "usr/lib64/libz.so.1"
    found = find_owners([library, tmp_path / "own.so"], prefix=tmp_path / "env", root=tmp_path)
    assert found == {
        library: Owner(
            name="zlib", version="1.2.11-40.el9", licence="zlib and Boost", texts=(text,)
        )
    }
