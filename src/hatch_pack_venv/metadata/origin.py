"""Where a distribution was installed from (PEP 610)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .files import parse_json

if TYPE_CHECKING:
    from packaging.direct_url import DirectUrl

    from ..model.distribution import InstalledDistribution


def origin_of(distribution: InstalledDistribution) -> DirectUrl | None:
    """Return where a distribution was installed from; `None` where nothing readable tells it."""
    if distribution.direct_url is None:
        return None
    from packaging.direct_url import DirectUrl, DirectUrlValidationError  # few have one

    try:
        return DirectUrl.from_dict(parse_json(distribution.direct_url))
    except (ValueError, AttributeError, TypeError, DirectUrlValidationError):
        return None
