"""What `postinstall.py` has written into an unpacked folder, judged by that script's own rules."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .. import manifest
from ..injected import postinstall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .contents import Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection of an unpacked environment to an interpreter of the machine.

    Parameters:
        names: what connecting writes, by its name below the prefix; empty where nothing is
            connected.
    """

    tree: postinstall.Tree | None
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, contents: Contents) -> Self:
        """Find out whether a folder is connected: it has a `pyvenv.cfg` that was not packed."""
        listing = contents.listing
        there, packed = (each.get("pyvenv.cfg") for each in (contents.members, listing.files))
        written = there is not None and (packed is None or there.sha256 != packed.sha256)
        ours = listing.head.get("interpreter") in ("target", "promised", "neighbour")
        if not (written and contents.is_folder and ours):
            return cls(tree=None)
        content = contents.kept.get(manifest.ARCNAME, b"")
        try:
            tree = postinstall.parse_manifest(content, os.path.realpath(contents.path))
            pieces = postinstall.pieces(tree, "/python", "")
        except postinstall.ConnectError:
            return cls(tree=None)
        if tree.neighbours.below:
            pieces[os.path.join(tree.site_packages[0], postinstall.LAYERS_FILE)] = b""
        names = {os.path.relpath(path, tree.prefix).replace(os.sep, "/") for path in pieces}
        return cls(tree=tree, names=frozenset(names))

    @property
    def is_there(self) -> bool:
        """Whether the environment is connected."""
        return self.tree is not None

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each thing that is not as connecting leaves it."""
        if self.tree is not None:
            yield from postinstall.findings(self.tree)
