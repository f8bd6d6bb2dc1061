"""Progress on a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .writing import Progress


@contextmanager
def terminal_progress(total: int) -> Iterator[Progress]:
    """Show a bar of bytes read of bytes planned; silent where standard error is no terminal."""
    with tqdm(
        total=total,
        desc="Packing",
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=None,
        leave=False,
    ) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance
