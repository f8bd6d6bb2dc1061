"""The seed API's calls: their signatures, and the names and formats of archives."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

import hatch_pack_venv
from hatch_pack_venv import (
    CompressionFormat,
    convert_symlinks,
    create_archive,
    export_venv,
    get_archive_path,
)
from hatch_pack_venv.model import formats


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
        " show_progress=True, format=None, prepare_deployed_env=None, record_files='exclude')"
    )
    assert parameters(export_venv) == (
        "(source_dir, target_dir, run_postinstall=None, *, prepare_deployed_env=None,"
        " record_files='exclude', hard_links=False)"
    )
    values = {member.name: member.value for member in CompressionFormat}
    assert values == {
        "UNCOMPRESSED": "",
        "BZIP2": "bzip2",
        "GZIP": "gzip",
        "XZ": "xz",
        "ZSTD": "zstd",
        "ZIP": "zip",
        "RUN": "run",
        "OCI": "oci",
        "SQUASHFS": "squashfs",
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
    "tbz2": ".tar.bz2",
    "tgz": ".tar.gz",
    "txz": ".tar.xz",
    "tzst": ".tar.zst",
    None: ".tar.xz",
}


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize("base", ["app", "app-1.0", "some/folder/app.v2", "/abs/app"])
def test_the_archives_name_is_the_base_name_and_the_suffix(name: str | None, base: str) -> None:
    """Every spelling of a format is accepted, and a dot in the base name starts no suffix."""
    assert get_archive_path(base, name) == Path(base + SUFFIXES[name])
    assert get_archive_path(Path(base), CompressionFormat.get_format(name)) == Path(
        base + SUFFIXES[name]
    )


def test_a_base_name_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded, so that the returned path is where the archive is."""
    monkeypatch.setenv("HOME", "/home/of/somebody")
    assert get_archive_path("~/app", "tar") == Path("/home/of/somebody/app.tar")


def test_zip_is_the_format_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a format, Windows gets zip and everything else tar.xz."""
    assert CompressionFormat.get_format(None) is CompressionFormat.XZ
    monkeypatch.setattr(formats, "os", SimpleNamespace(name="nt", fspath=os.fspath))
    assert CompressionFormat.get_format(None) is CompressionFormat.ZIP
    assert get_archive_path("app") == Path("app.zip")
