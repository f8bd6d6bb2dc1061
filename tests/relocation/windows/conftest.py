"""The interpreter that tests of Windows environments bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.windows import make_base

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the CPython for Windows that environments of one module are made from."""
    return make_base(tmp_path_factory.mktemp("base") / "Python312")
