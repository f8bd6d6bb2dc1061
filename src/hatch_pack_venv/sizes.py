"""What takes the room in a plan, and the limit that it must keep: pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from .entries import FileEntry
from .errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .distributions import InstalledDistribution
    from .entries import ScannedEntry
    from .plan import PackPlan

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b)?", re.IGNORECASE)
_LARGEST: Final = 10  # how many an error names
REST: Final = "the interpreter and files of no distribution"


def human_size(size: int) -> str:
    """Return bytes in a unit of three digits or so."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def parsed_size(text: str) -> int | None:
    """Return the bytes that `250MB`, `1.5 GiB` or `1000` mean; `None` if it is no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        return None
    exponent = " kmgt".index((match[2] or " ").lower())
    return int(float(match[1]) * (1024 if match[3] else 1000) ** exponent)


def size_of(entries: Iterable[ScannedEntry]) -> int:
    """Return the bytes of the files among some entries."""
    return sum(entry.size for entry in entries if isinstance(entry, FileEntry))


def sizes_by_owner(
    entries: Iterable[ScannedEntry], distributions: Iterable[InstalledDistribution]
) -> Counter[str]:
    """Return the bytes of each distribution's files, and of those that belong to none."""
    owners = {
        name: f"{distribution.name} {distribution.version}"
        for distribution in distributions
        for name in distribution.files
    }
    sizes: Counter[str] = Counter()
    for entry in entries:
        if isinstance(entry, FileEntry):
            sizes[owners.get(_source_of(entry.arcname), REST)] += entry.size
    return sizes


def _source_of(arcname: str) -> str:
    """Return the source that byte code was compiled from, which owns it."""
    folder, _, name = arcname.rpartition("/__pycache__/")
    return f"{folder}/{name.split('.')[0]}.py" if folder else arcname


def check_size(plan: PackPlan, limit: int | None) -> None:
    """Refuse a plan of more bytes than are allowed.

    Raises:
        PlanError: the sentence tells both sizes, and the largest distributions with theirs.
    """
    if limit is None or plan.size <= limit:
        return
    sizes = sizes_by_owner(plan.entries, plan.distributions)
    told = ", ".join(f"{name} {human_size(size)}" for name, size in sizes.most_common(_LARGEST))
    raise PlanError(
        "it is too large",
        [
            f"{human_size(plan.size)} ({plan.size} bytes) unpacked are more than the"
            f" {human_size(limit)} of max-size; the largest parts are {told}"
        ],
    )
