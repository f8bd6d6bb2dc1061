"""Which of the system's libraries come along with an interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

COPYLEFT: Final[Mapping[str, tuple[str, ...]]] = {
    "readline": ("libreadline.so*", "libhistory.so*"),
    "gdbm": ("libgdbm.so*", "libgdbm_compat.so*"),
}
"""Libraries under the GPL, which stay out unless they are asked for by these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendoring:
    """What was asked for.

    Parameters:
        wanted: whether any do.
        copyleft: names of those under the GPL that do as well, keys of `COPYLEFT`.
    """

    wanted: bool = True
    copyleft: tuple[str, ...] = ()
