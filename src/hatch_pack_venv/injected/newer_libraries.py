"""Load the system's libgcc_s and libstdc++ before the bundled ones where they are newer.

What the system brings and the process loads, a graphics driver say, may need the newer one; what is
packed runs with it, too. The first library of a name serves all that come later (dlopen(3)), so the
choice is made when the first package loads a module, or ctypes a library.

A bundle of hatch-pack-venv holds this module, and a `.pth` file that calls `prefer_newer`. It needs
nothing but the standard library of CPython 3.9 or later.
"""

from __future__ import annotations

import os
import sys

# By `importlib.machinery` and `typing` every start would take longer.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CACHE = "/etc/ld.so.cache"
# Below a folder of the loader: libraries for some processors, which it chooses among (ld.so(8)).
_FOR_SOME = (b"/glibc-hwcaps/", b"/haswell/")
_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
PREFIXES = {"libgcc_s.so.1": b"GCC_", "libstdc++.so.6": b"GLIBCXX_"}


def prefer_newer(bundled: Mapping[str, tuple[int, ...]]) -> None:
    """Choose between the system's libraries and the bundled ones when it first matters.

    Parameters:
        bundled: the highest version that each bundled library defines.
    """
    original = ExtensionFileLoader.create_module

    def create_module(self: ExtensionFileLoader, spec: ModuleSpec) -> object:
        if "/lib-dynload/" not in str(spec.origin) or spec.name == "_ctypes":
            ExtensionFileLoader.create_module = original  # type: ignore[method-assign]
            load_newer(bundled)
        return original(self, spec)

    if "_ctypes" in sys.builtin_module_names:
        load_newer(bundled)
    else:
        ExtensionFileLoader.create_module = create_module  # type: ignore[method-assign,assignment]


def load_newer(bundled: Mapping[str, tuple[int, ...]]) -> None:
    """Load the system's libraries that are newer than the bundled ones."""
    for name in sorted(bundled):  # libstdc++ needs libgcc_s
        path = next(of_system(name), None)
        if path is not None and version_of(path, name) > bundled[name]:
            loader = ExtensionFileLoader("library", path)
            try:  # noqa: SIM105 - importing contextlib takes longer than all of this
                loader.create_module(ModuleSpec("library", loader, origin=path))
            except ImportError:
                pass  # CPython has loaded it, keeps it, and finds that it is no module


def of_system(name: str) -> Iterator[str]:
    """Yield where the loader would find a library if none were bundled, best first."""
    kind = kind_of(os.path.join(sys.base_prefix, "lib", name))
    folders = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    end = os.fsencode(f"/{name}")
    try:
        with open(_CACHE, "rb") as stream:
            cached = [text for text in stream.read().split(b"\0") if text.endswith(end)]
    except OSError:
        cached = []
    paths = [os.path.join(folder, name) for folder in folders]
    paths += [os.fsdecode(path) for path in cached if not any(each in path for each in _FOR_SOME)]
    paths += [os.path.join(folder, name) for folder in _FOLDERS]
    return (path for path in paths if kind and kind_of(path) == kind)


def kind_of(path: str) -> bytes:
    """Return word size, byte order and machine of a library; empty if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(20)
    except OSError:
        return b""
    return head[4:6] + head[18:20]


def version_of(path: str, name: str) -> tuple[int, ...]:
    """Return the highest version of its symbols that a library defines; empty if it has none."""
    number = os.path.realpath(path).partition(".so.6.0.")[2]
    if name == "libstdc++.so.6" and number.isdigit():
        return (3, 4, int(number))  # "ABI Policy and Guidelines", GCC: both count alike
    return highest_version(path, name)


def highest_version(path: str, name: str) -> tuple[int, ...]:
    """Do the same by the names of the versions in the library itself."""
    try:
        with open(path, "rb") as stream:
            texts = stream.read().split(b"\0" + PREFIXES[name])[1:]
    except OSError:
        return ()
    numbers = (text.partition(b"\0")[0].split(b".") for text in texts)
    found = (tuple(map(int, each)) for each in numbers if all(part.isdigit() for part in each))
    return max(found, default=())
