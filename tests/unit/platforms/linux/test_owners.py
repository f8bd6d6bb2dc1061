"""System packages that libraries came from, read from made-up records in the real layout."""

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
    """Paths from before /lib became a link match too; common licences referred to are included."""
    monkeypatch.setenv("PATH", "")
    library = tmp_path / "usr/lib/x86_64-linux-gnu/libz.so.1.2.13"
    listed = str(library).removeprefix("/usr")
    write(tmp_path / "var/lib/dpkg/info/zlib1g:amd64.list", f"/.\n{listed}\n")
    write(tmp_path / "var/lib/dpkg/info/other.list", "/.\n/usr/bin/other\n")
    write(
        tmp_path / "var/lib/dpkg/status",
        "Package: other\nVersion: 9\n\nPackage: zlib1g\nStatus: ok\nVersion: 1:1.2.13-1\n"
        "Source: zlib (1:1.2.13)\nArchitecture: amd64\nDescription: compression\n Version: no\n",
    )
    write(tmp_path / "etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    terms = write(
        tmp_path / "usr/share/doc/zlib1g/copyright",
        "Some rights. See /usr/share/common-licenses/LGPL-2.1.\n",
    )
    common = write(tmp_path / "usr/share/common-licenses/LGPL-2.1", "LGPL\n")
    found = find_owners([library], prefix=tmp_path / "python", root=tmp_path)
    purl = "pkg:deb/debian/zlib1g@1:1.2.13-1?arch=amd64&distro=debian-12&upstream=zlib%401:1.2.13"
    assert found == {
        library: Owner(name="zlib1g", version="1:1.2.13-1", texts=(terms, common), purl=purl)
    }


def test_condas_records_give_package_version_and_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conda environment records which files each package installed."""
    monkeypatch.setenv("PATH", "")
    library = tmp_path / "env/lib/libz.so.1"
    text = write(tmp_path / "pkgs/libzlib-1.3/info/licenses/license.txt", "zlib\n")
    record = {
        "name": "libzlib",
        "version": "1.3",
        "license": "Zlib",
        "build": "h0_1",
        "subdir": "linux-64",
        "files": ["lib/libz.so.1"],
        "extracted_package_dir": str(tmp_path / "pkgs/libzlib-1.3"),
    }
    write(tmp_path / "env/conda-meta/libzlib-1.3-0.json", json.dumps(record))
    found = find_owners([library, tmp_path / "x"], prefix=tmp_path / "env", root=tmp_path)
    purl = "pkg:conda/libzlib@1.3?build=h0_1&subdir=linux-64"
    assert found == {
        library: Owner(name="libzlib", version="1.3", licence="Zlib", texts=(text,), purl=purl)
    }
