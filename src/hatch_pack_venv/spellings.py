"""The other paths by which an environment's files know it.

Where a folder above it is a link (`/home` to `/var/home`, `/tmp` to `/private/tmp`), the path that
an environment was made by, its real path and the one that it is packed by may all differ.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In the first lines of a script: `#!/PREFIX/bin/python`, `'''exec' "/PREFIX/bin/python" …`.
_INTERPRETER: Final = re.compile(rb"""(?<=[!"' ])(/[^\n"']*?)/bin/python""")
_ACTIVATED: Final = re.compile(rb"""VIRTUAL_ENV=["']?(/[^\n"']*)""")
_HEAD: Final = 8192  # bytes; activation scripts name the prefix within the first 3,000


def other_spellings(prefix: Path, scripts: str) -> tuple[str, ...]:
    """Return the paths in an environment's scripts that lead to the environment itself.

    Parameters:
        prefix: the environment's real path, which is not among them.
        scripts: the name of its scripts folder.
    """
    named = sorted({path for head in _heads(prefix / scripts) for path in _paths(head)})
    real = str(prefix)
    return tuple(path for path in named if path != real and os.path.realpath(path) == real)


def _heads(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.iterdir()):
        # What cannot be read here is told of by the scan.
        if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
            with path.open("rb") as stream:
                head = stream.read(_HEAD)
            if head.startswith(b"#") or path.name.startswith("activate"):
                yield head


def _paths(head: bytes) -> Iterator[str]:
    for pattern in (_INTERPRETER, _ACTIVATED):
        for match in pattern.finditer(head):
            yield os.fsdecode(match[1])
