"""Where a system library is looked for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.injected import newer_libraries

if TYPE_CHECKING:
    from pathlib import Path

NAME = "libstdc++.so.6"
HEAD = b"\x7fELF\2\1\1" + bytes(11) + b"\x3e\0"


@pytest.mark.parametrize("folder", ["glibc-hwcaps/x86-64-v4", "haswell/avx512_1"])
def test_a_library_for_some_processors_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The loader's cache lists those that this processor cannot run, in any order (ld.so(8))."""
    bundle, plain = tmp_path / "bundle/lib" / NAME, tmp_path / "usr/lib64" / NAME
    special = plain.parent / folder / NAME
    for path in (bundle, plain, special):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(HEAD)
    cache = tmp_path / "ld.so.cache"
    cache.write_bytes(b"\0".join([b"glibc-ld.so.cache1.1", *map(os.fsencode, (special, plain))]))
    monkeypatch.setattr(newer_libraries, "_CACHE", str(cache))
    monkeypatch.setattr(newer_libraries, "_FOLDERS", ())
    monkeypatch.setattr(sys, "base_prefix", str(bundle.parent.parent))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert [*newer_libraries.of_system(NAME)] == [str(plain)]
