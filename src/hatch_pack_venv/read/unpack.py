"""An archive written out into a folder, while it is read and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.errors import OutputProblem

if TYPE_CHECKING:
    from pathlib import Path

    from ..model.entries import Chunks, Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacker:
    """Writes members below a folder, while another reads them.

    The readers have refused whatever would reach out of it: names that lead out, and names below
    links.
    """

    folder: Path

    def take(self, member: Member, chunks: Chunks) -> Chunks:
        """Write a member and yield what it holds.

        Raises:
            OutputProblem: it cannot be written.
        """
        path = self.folder / member.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "directory":
                path.mkdir(exist_ok=True)
            elif member.kind == "link":
                path.symlink_to(member.linkname)
            elif member.kind == "file":
                yield from _written(path, member.mode, chunks)
        except OSError as error:
            raise OutputProblem(f"{path} cannot be unpacked: {error.strerror}") from error


def _written(path: Path, mode: int, chunks: Chunks) -> Chunks:
    with path.open("xb") as stream:
        for chunk in chunks:
            stream.write(chunk)
            yield chunk
    path.chmod(mode)
