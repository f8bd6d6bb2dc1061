"""The files of a plan that documents use: metadata, licences, others' bills of materials."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from ..metadata.files import SIZE_LIMIT, read_file
from ..metadata.licences import metadata_folder
from ..model.components import LICENCES
from ..model.entries import FileEntry
from ..plan.select import BY_PATTERN

if TYPE_CHECKING:
    from ..model.plan import PackPlan


_LICENCES: Final = f"{LICENCES}/"


class PackedFiles:
    """The files that a plan packs, and the metadata files that its patterns leave out.

    A licence must be stated even if `exclude-files` leaves out the file that contains it.
    """

    def __init__(self, plan: PackPlan) -> None:
        self.packed = {e.arcname: e for e in plan.entries if isinstance(e, FileEntry)}
        self._metadata: defaultdict[str, list[str]] = defaultdict(list)
        self._licences: defaultdict[str, list[str]] = defaultdict(list)
        self._left_out: dict[str, FileEntry] = {}
        for entry in plan.scanned:
            name = entry.arcname
            by_pattern = plan.log.left_out.get(name) == BY_PATTERN
            if by_pattern and isinstance(entry, FileEntry) and metadata_folder(name):
                self._left_out[name] = entry
        for name in (*self.packed, *self._left_out):
            folder = metadata_folder(name)
            if folder is not None:
                self._metadata[folder].append(name)
            elif name.startswith(_LICENCES):
                self._licences[name.removeprefix(_LICENCES).partition("/")[0]].append(name)

    def of_metadata(self, folder: str) -> list[str]:
        """Return the arcnames of the files in a distribution's metadata folder, in order."""
        return sorted(self._metadata.get(folder, ()))

    def licences_of(self, package: str) -> list[str]:
        """Return the arcnames of the licence texts of a system package, in order."""
        return sorted(self._licences.get(package, ()))

    def read(self, arcname: str) -> bytes | None:
        """Return a file's bytes; `None` if it is missing, unreadable, or too large."""
        entry = self.packed.get(arcname) or self._left_out.get(arcname)
        if entry is None or entry.size > SIZE_LIMIT:
            return None
        if isinstance(entry.content, bytes):
            return entry.content
        path = entry.content if isinstance(entry.content, str) else entry.content.path
        try:
            return read_file(path)
        except OSError:
            return None  # writing the archive reports why

    def text(self, arcname: str) -> str | None:
        """Return a file's text with `\\n` as line endings; `None` as for `read`."""
        data = self.read(arcname)
        if data is None:
            return None
        return data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
