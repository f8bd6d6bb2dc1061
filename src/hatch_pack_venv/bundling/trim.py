"""How much of the standard library a bundle brings.

Sizes: relocation facts, Q2. Byte code is no matter of this; the interpreter's own packages and its
system's settings never come along.
"""

from __future__ import annotations

import enum
import fnmatch
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NEVER: Final = {"__pycache__", "dist-packages", "site-packages", "EXTERNALLY-MANAGED"}
_NEVER_ON_TOP: Final = {"sitecustomize.py", "usercustomize.py"}

# What a running application never needs: tests, IDLE, what C programs are linked with.
_DEFAULT: Final = (
    "*.a",
    "*.pdb",
    "_ctypes_test*.pyd",
    "_ctypes_test*.so",
    "_test*.pyd",
    "_test*.so",
    "_xxtestfuzz*.so",
    "config-*",
    "idle_test",
    "idlelib",
    "test",
    "tests",
    "turtledemo",
    "xxlimited*.pyd",
    "xxlimited*.so",
)

# What some need: pip for child environments, 2to3, help("if"), Tk, network information service
# (which brings Kerberos along) and the sound devices of old.
_MINIMAL: Final = (
    *_DEFAULT,
    "_tkinter*.pyd",
    "_tkinter*.so",
    "ensurepip",
    "lib2to3",
    "msilib",
    "nis.*.so",
    "ossaudiodev.*.so",
    "pydoc_data",
    "tkinter",
    "turtle.py",
)


class Trim(enum.Enum):
    """What is left out of the interpreter."""

    NONE = "none"
    DEFAULT = "default"
    MINIMAL = "minimal"

    @property
    def strips(self) -> bool:
        """Whether debug information and symbol tables stay out."""
        return self is not Trim.NONE

    @property
    def has_headers(self) -> bool:
        """Whether what C extensions are compiled with comes along."""
        return self is Trim.NONE

    def leaves_out(self, path: Path, *, on_top: bool) -> bool:
        """Whether a file or folder of the standard library stays out.

        Parameters:
            on_top: whether it lies directly in the standard library's folder.
        """
        if path.name in _NEVER or (on_top and path.name in _NEVER_ON_TOP):
            return True
        patterns = {Trim.NONE: (), Trim.DEFAULT: _DEFAULT, Trim.MINIMAL: _MINIMAL}[self]
        return any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
