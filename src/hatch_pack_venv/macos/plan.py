"""What is decided about a whole plan because its environment is for macOS: pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import manifest
from ..places import BASE
from . import names
from .findings import MacosFindings
from .floors import MacosFloors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..entries import Entry
    from ..recipe import Recipe


def check(entries: Mapping[str, Entry], recipe: Recipe) -> MacosFindings:
    """Return what is wrong with an archive's names and Mach-O files, and what to know of them."""
    collisions = names.problems([*entries, manifest.ARCNAME])
    if not isinstance(recipe.floors, MacosFloors):
        return MacosFindings(problems=tuple(collisions))
    # Without a bundle, the target may have the base interpreter at the same place.
    places = (
        os.fsdecode(place.path)
        for place in recipe.places
        if recipe.interpreter == "bundled" or place.kind != BASE
    )
    found = MacosFindings.of(recipe.floors.at(entries.values()), entries, places)
    return MacosFindings(problems=(*collisions, *found.problems), notes=found.notes)
