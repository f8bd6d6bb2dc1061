"""What only modules of the standard library load that hardly any application imports.

A bundle brings every module of its interpreter, and their libraries. One that nobody imports must
not keep an application from a system on which all else runs: Debian 12's libcrypt and the libexpat
behind tkinter's fonts want glibc 2.36, its interpreters 2.35.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .wants import Wants

# PEP 594 took the first four away; databases are chosen among by `dbm`, which goes on without one;
# readline's importers in the standard library do without it; tkinter needs a screen, and without
# one, or on an older system, its import says so.
_MODULES: Final = {
    "_crypt": "crypt",
    "nis": "nis",
    "ossaudiodev": "ossaudiodev",
    "spwd": "spwd",
    "_dbm": "dbm.ndbm",
    "_gdbm": "dbm.gnu",
    "readline": "readline",
    "_tkinter": "tkinter",
}
_MODULE_FILE: Final = re.compile(r"lib(?:64)?/python3[^/]*/lib-dynload/(\w+)\.[^/]*")
LIBRARIES: Final = "lib/"
"""Where a bundle's libraries lie, each by the name that it is needed by."""


def seldom_loaded(found: Mapping[str, Wants]) -> dict[str, str]:
    """Return the files that only such modules load, and the module of each as it is imported.

    Parameters:
        found: what is packed, by arcname.
    """
    modules = {name: module for name in found if (module := _seldom_module(name)) is not None}
    maybe = {**modules}
    for name, module in sorted(modules.items()):
        for library in loaded_by([name], found):
            maybe.setdefault(library, module)
    kept = loaded_by((name for name in found if name not in maybe), found)
    return {name: module for name, module in maybe.items() if name in modules or name not in kept}


def loaded_by(names: Iterable[str], found: Mapping[str, Wants]) -> set[str]:
    """Return files and the packed libraries that come with them."""
    todo, loaded = [*names], set[str]()
    while todo:
        name = todo.pop()
        if name in found and name not in loaded:
            loaded.add(name)
            todo += [f"{LIBRARIES}{library}" for library in found[name].needed]
    return loaded


def _seldom_module(arcname: str) -> str | None:
    match = _MODULE_FILE.fullmatch(arcname)
    return None if match is None else _MODULES.get(match[1])
