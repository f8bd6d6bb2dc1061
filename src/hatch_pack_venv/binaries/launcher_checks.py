"""What launchers look at before they import the application: Python statements, as text.

They start no process and import nothing but `os`, which every start of Python does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wants import Version


def glibc_check(version: Version, needed: str) -> str:
    """Return statements that end a script on a system whose glibc is too old.

    Parameters:
        needed: the floor in words.
    """
    return f"""\
import os

try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("-")[0]
except (AttributeError, IndexError, ValueError):
    libc = "none"
if libc == "none" or tuple(map(int, libc.split("."))) < {version}:
    sys.exit(__file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a} + libc)

"""


def libstdcxx_check(needed: str) -> str:
    """Return statements that make one sentence of what the loader says of the target's libstdc++.

    It is the loader that decides which libstdc++ a module gets (search paths, `LD_LIBRARY_PATH`, an
    interpreter with one of its own), and asking it beforehand would load the library into every
    start, before the modules that bring another. So nothing is asked, at no cost: where the import
    fails for it, at the start or later, the launcher says why.

    Parameters:
        needed: the floor in words.
    """
    return f"""\

def no_libstdcxx(kind, error, trace, usual=sys.excepthook):
    if not issubclass(kind, ImportError) or "libstdc++.so.6" not in str(error):
        return usual(kind, error, trace)
    needs = __file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a}
    older = "none" if "cannot open" in str(error) else "an older one"
    print(needs + older, file=sys.stderr)


sys.excepthook = no_libstdcxx

"""


def macos_check(least: Version, needed: str) -> str:
    """Return statements that end a script on a Mac that is too old.

    The kernel's release tells it (Darwin 19 is macOS 10.15, 20 is 11, 24 is 15, 25 is 26): the
    `platform` module would read a property list, which takes longer than all the rest.

    Parameters:
        needed: the floor in words.
    """
    return f"""\
import os

darwin = int(os.uname().release.split(".")[0])
macos = (10, darwin - 4) if darwin < 20 else (darwin - 9 if darwin < 25 else darwin + 1, 0)
if os.uname().sysname == "Darwin" and macos < {least}:
    has = ".".join(map(str, macos if darwin < 20 else macos[:1]))
    sys.exit(__file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a} + has)

"""
