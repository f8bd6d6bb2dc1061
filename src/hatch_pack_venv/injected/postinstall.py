"""Connect this environment to a Python of the machine that it was unpacked on.

An archive of hatch-pack-venv holds this script at its top, beside the environment's folders. Run
it with the Python that the environment shall use (`python3.11 postinstall.py`), and again whenever
that Python has moved. It needs nothing but the standard library of CPython 3.8 or later; Python
3.6 and 3.7 still get as far as the sentence that says so, hence no newer syntax in here.

What the environment needs stands in the manifest, `share/venv/metadata/pack-venv.json`. Nothing
that is written depends on where the environment lies: only on the interpreter that it is given.
"""

import sys

# Whoever may write into this folder could put a module there that shadows the standard library's.
if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]

import argparse
import contextlib
import errno
import glob
import importlib.util
import io
import json
import ntpath
import os
import platform
import py_compile
import re
import shlex
import stat
import subprocess
import sysconfig
import time
import warnings
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

MANIFEST = "share/venv/metadata/pack-venv.json"
VENVSTACKS = "share/venv/metadata/venvstacks_layer.json"
KNOWN = {"format_version": (1,), "interpreter": ("target", "bundled", "promised", "neighbour")}
STALE_SECONDS = 60  # a temporary name lives for milliseconds; an older one is a killed run's
ANSWER_SECONDS = 120
# By e_machine and class of an ELF header: the name, and what kernels that run it call themselves.
ELF_MACHINES = {
    (3, 1): ("i686", "i[3-6]86"),
    (40, 1): ("armv7l", "arm.*"),
    (62, 2): ("x86_64", "x86_64|amd64"),
    (183, 2): ("aarch64", "aarch64|arm64"),
}
SAME_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}
WORDS = {
    "implementation": "the implementation {}",
    "version": "Python {}",
    "abi": "the ABI {}",
    "pointer_bits": "pointers of {} bits",
    "system": "the system {}",
    "machine": "the machine type {}",
}
FLOORS = {"glibc": "glibc", "glibcxx": "libstdc++ with GLIBCXX", "macos": "macOS"}
WHY_NOT_WRITTEN = {
    errno.EROFS: "is read-only: run this where it can be written",
    errno.EACCES: "cannot be written by this user: run this as its owner",
    errno.EPERM: "cannot be changed: it is protected, or its file system holds no symbolic links",
    errno.ENOSPC: "lies on a full disk: make room and run this again",
}
IN_USE = (5, 32)  # access denied, as for a program that runs; a sharing violation
VERSIONS = """
import json, sys
from importlib import metadata
for name in json.loads(sys.argv[1]):
    try:
        print(json.dumps([name, metadata.version(name)]))
    except metadata.PackageNotFoundError:
        print(json.dumps([name, ""]))
"""
LACKING = """
import ctypes, json, os, sys
for name, folder in json.loads(sys.argv[1]):
    print(json.dumps([name, "the process that loads it ends"]), flush=True)
    for path in [name] + [os.path.join(folder, name)] * bool(folder):
        try:
            ctypes.CDLL(path)
            why = ""
            break
        except OSError as error:
            why = str(error)
    print(json.dumps([name, why]), flush=True)
"""
FINDS = """
import json, sys
from importlib.machinery import PathFinder
for name in json.loads(sys.argv[1]):
    if PathFinder.find_spec(name) is None:
        print(json.dumps([name, ""]))
"""
MODULES_ASKED = 500  # what a command line of Windows holds
Facts = Dict[str, Any]
LAYERS_FILE = "pack_venv_layers.pth"
SITECUSTOMIZE_MARK = '"""The layers below this environment: written by its postinstall.py."""'
SITECUSTOMIZE = """
import os
import site

_here = os.path.dirname(os.path.realpath(__file__))
for _folder in %s:
    site.addsitedir(os.path.normpath(os.path.join(_here, _folder)))
for _folder in %s if hasattr(os, "add_dll_directory") else []:
    _folder = os.path.normpath(os.path.join(_here, _folder))
    if os.path.isdir(_folder):
        os.add_dll_directory(_folder)
"""


def quote_for_windows(text: str) -> str:
    """Quote a word of a command line."""
    return subprocess.list2cmdline([text])


class Copy(NamedTuple):
    """A file to be made as a copy of another."""

    source: str


Content = Union[bytes, str, Copy]  # a file's bytes, a link's text, what to copy


class ConnectError(Exception):
    """Something that the user can put right, told in whole sentences."""


class Neighbour(NamedTuple):
    """An environment that lies beside this one."""

    path: str  # relative to this environment, with slashes
    site_packages: List[str]
    distributions: Dict[str, str]  # versions of those that are relied on, by name
    digest: str  # of its contents; empty if it is not known
    python: str  # where in it the interpreter is; empty if none is wanted


class Neighbours(NamedTuple):
    """All that lies beside this environment and is needed."""

    runtime: Optional[Neighbour]
    layers: List[Neighbour]
    dynlib: List[str]
    linked: List[str]

    @property
    def below(self) -> List[Neighbour]:
        """Give those whose packages are seen, in the order of sys.path."""
        return self.layers + ([self.runtime] if self.runtime else [])


class StackLayer(NamedTuple):
    """An environment that venvstacks has built upon others, as its own file says; whole paths."""

    python: str  # a link to the base runtime's, or a script that starts it
    base_python: str
    version: str
    folders: List[str]  # of packages, in the order of sys.path
    dynlib: List[str]


class Tree(NamedTuple):
    """The environment where it lies now, and what its manifest says."""

    prefix: str
    label: str
    bundled: bool
    needs: Facts  # the version is X.Y, but the whole one of a bundled interpreter
    scripts: str
    site_packages: List[str]
    system_site: bool
    prompt: Optional[str]
    floors: Dict[str, List[str]]  # of glibc and the like: the least version, the file that asks
    promised: str  # the interpreter's path that the archive names; empty for none
    neighbours: Neighbours
    base_distributions: Dict[str, str]  # what the base interpreter must have, with versions
    libraries: Dict[str, Facts]  # what the system must have, each with the file that needs it
    files: List[Any]  # what the archive holds, as its manifest lists it
    stack_layer: Optional[StackLayer] = None

    @property
    def windows(self) -> bool:
        """Tell whether the environment has the layout of Windows."""
        return bool(self.needs["system"] == "win32")

    @property
    def python(self) -> str:
        """Give the path of the environment's interpreter."""
        if self.stack_layer:
            return self.stack_layer.python
        folder = self.prefix if self.windows and self.bundled else self.scripts
        return os.path.join(folder, "python.exe" if self.windows else "python")

    @property
    def command(self) -> str:
        """Give the usual name of an interpreter that fits."""
        version = minor(self.needs["version"])
        if self.windows:
            return f"py -{version}{abi_flags(self.needs['abi'])}"
        if self.needs["implementation"] != "cpython":
            return f"{self.needs['implementation']}{version}"
        return f"python{version}{abi_flags(self.needs['abi'])}"

    @property
    def own_name(self) -> str:
        """Give the interpreter's name in the scripts folder; only free-threaded ones have a `t`."""
        free_threaded = "t" if "t" in abi_flags(self.needs["abi"]) else ""
        return f"python{minor(self.needs['version'])}{free_threaded}"

    @property
    def rerun(self) -> str:
        """Give the way out of most problems."""
        path = os.path.join(self.prefix, "postinstall.py")
        quote = quote_for_windows if self.windows else shlex.quote
        if self.stack_layer:
            return f"run {quote(path)} with any Python 3.8 or later."
        if self.neighbours.runtime:
            python = runtimes_python(self)
            return f"run it with the base runtime: {quote(python)} {quote(path)}"
        script = quote(path)
        return f"run it with {self.command}: {self.command} {script}"


def need(data: Any, path: str, kind: type) -> Any:
    """Return the manifest's value at a dotted path, or say that it is not there."""
    value = data
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, kind):
        return value
    message = (
        f"The manifest {MANIFEST} is broken: {path} is {value!r}, not of type {kind.__name__};"
    )
    raise ConnectError(message + " unpack the archive again.")


def parse_manifest(content: bytes, prefix: str) -> Tree:
    """Read the manifest's bytes."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        message = f"The manifest {MANIFEST} is broken: it is not JSON; unpack the archive again."
        raise ConnectError(message) from None
    for key, values in KNOWN.items():
        if need(data, key, type(values[0])) not in values:
            message = f"The manifest {MANIFEST} has the unknown {key} {data[key]!r};"
            raise ConnectError(message + " use the postinstall.py of the same archive.")
    return tree_from(data, prefix)


def tree_from(data: Any, prefix: str) -> Tree:
    """Pick what this script uses; name and version of the project may be unknown."""
    text = {"python": ("implementation", "version", "abi"), "platform": ("system", "machine")}
    needs = {key: need(data, f"{part}.{key}", str) for part in text for key in text[part]}
    needs["pointer_bits"] = need(data, "python.pointer_bits", int)
    bundled = data["interpreter"] == "bundled"
    numbers = re.findall(r"\d+", needs["version"])  # 3.14.0rc1 is 3.14.0
    needs["version"] = ".".join(numbers[: 3 if bundled else 2])
    label = " ".join(str(data[key]) for key in ("name", "version") if data.get(key))
    return Tree(
        prefix=prefix,
        label=label or os.path.basename(prefix),
        bundled=bundled,
        needs=needs,
        scripts=os.path.join(prefix, need(data, "layout.scripts", str)),
        site_packages=[
            os.path.join(prefix, str(x)) for x in need(data, "layout.site_packages", list)
        ],
        system_site=need(data, "layout.include_system_site_packages", bool),
        prompt=data["layout"].get("prompt"),
        floors={key: floor_from(data, key) for key in FLOORS if key in data["platform"]},
        promised=promise_from(data),
        neighbours=neighbours_from(data),
        base_distributions={
            str(each.get("name")): str(each.get("version"))
            for each in rows(data, "base_distributions")
        },
        libraries={str(each.get("name")): each for each in rows(data, "target_libraries")},
        files=rows(data, "files"),
        stack_layer=stack_layer_of(prefix) if data["interpreter"] == "target" else None,
    )


def rows(data: Any, key: str) -> List[Dict[str, Any]]:
    """Return the tables of a list of the manifest; none where there is no such list."""
    found = data.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def stack_layer_of(prefix: str) -> Optional[StackLayer]:
    """Return what venvstacks' file says of the environment; None without one."""
    path = os.path.join(prefix, *VENVSTACKS.split("/"))
    if not os.path.lexists(path):
        return None
    try:
        data = json.loads(read(path))
        layer = StackLayer(
            python=beside(prefix, data["python"]),
            base_python=beside(prefix, data["base_python"]),
            version=data["py_version"],
            folders=[beside(prefix, each) for each in data["pylib_dirs"]],
            dynlib=[beside(prefix, each) for each in data["dynlib_dirs"]],
        )
        if not re.fullmatch(r"\d[\w.+]*", layer.version):
            raise ValueError(f"py_version is {layer.version!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"The file {path!r} is broken ({error!r}): unpack the archive again."
        raise ConnectError(message) from None
    return layer


def beside(prefix: str, relative: str) -> str:
    """Return the path of something in the environment or beside it; links are not followed."""
    path = os.path.normpath(os.path.join(prefix, relative))
    if not path.startswith(os.path.join(os.path.dirname(prefix), "")):
        raise ValueError(f"{relative!r} does not lie beside the environment")
    return path


def neighbours_from(data: Any) -> Neighbours:
    """Return what lies beside the environment; nothing does if the manifest names none."""
    if "neighbours" not in data:
        return Neighbours(runtime=None, layers=[], dynlib=[], linked=[])
    runtime = need(data, "neighbours", dict).get("base_runtime")
    if data["interpreter"] == "neighbour":
        need(data, "neighbours.base_runtime.python", str)
    return Neighbours(
        runtime=neighbour_from(runtime) if runtime else None,
        layers=[neighbour_from(each) for each in need(data, "neighbours.layers", list)],
        dynlib=[str(each) for each in need(data, "neighbours.dynlib_dirs", list)],
        linked=[str(each) for each in need(data, "neighbours.linked", list)],
    )


def neighbour_from(data: Any) -> Neighbour:
    """Return one that the manifest describes."""
    there = {"neighbour": data}  # as messages are to call it
    packed = need(there, "neighbour.distributions", list)
    return Neighbour(
        path=need(there, "neighbour.path", str),
        site_packages=[str(each) for each in need(there, "neighbour.site_packages", list)],
        distributions={
            str(each.get("name")): str(each.get("version"))
            for each in packed
            if isinstance(each, dict)
        },
        digest=str(data.get("content_digest") or ""),
        python=str(data.get("python") or ""),
    )


def promise_from(data: Any) -> str:
    """Return the path at which the interpreter was promised to be."""
    promised = data["interpreter"] == "promised"
    return str(need(data, "interpreter_path", str)) if promised else ""


def floor_from(data: Any, key: str) -> List[str]:
    """Return the least version of something that the packed files need, and which of them."""
    file = need(data, f"platform.{key}.file", str)
    return [need(data, f"platform.{key}.version", str), short(file)]


def minor(version: str) -> str:
    """Return the X.Y of a version."""
    return ".".join(version.split(".")[:2])


def abi_flags(abi: str) -> str:
    """Return what an ABI says beyond its version: `t` free-threaded, `d` debug."""
    return re.sub(r"^cp\d+", "", abi)


def fits(key: str, needed: Any, given: Any) -> bool:
    """Tell whether a fact is what the manifest needs."""
    if key == "version":
        return f"{given}.".startswith(f"{needed}.")
    if key == "abi":  # its digits are the version's
        return abi_flags(needed) == abi_flags(given)
    if key == "machine":
        needed, given = (SAME_MACHINE.get(x.lower(), x.lower()) for x in (needed, given))
        if needed == "universal2":
            return given in ("aarch64", "x86_64")
    return bool(needed == given)


def numbers(version: str) -> List[int]:
    """Return the numbers of a version."""
    return [int(number) for number in re.findall(r"\d+", version)]


def too_old(tree: Tree, facts: Facts) -> List[str]:
    """Return a sentence for each part of the system that is older than what is packed needs."""
    return [
        f"The archive needs {FLOORS[key]} {version} or later ({file});"
        f" this system has {facts[key] or 'none'}."
        for key, (version, file) in tree.floors.items()
        if facts[key] is not None and older(numbers(facts[key]), numbers(version))
    ]


def older(has: List[int], least: List[int]) -> bool:
    """Compare versions as far as the one that is there is known; none at all is older."""
    return not has or has < least[: len(has)]


def misfits(tree: Tree, facts: Facts, python: str) -> List[str]:
    """Return a sentence for each thing that the archive needs and the Python does not have."""
    wrong = [key for key in WORDS if not fits(key, tree.needs[key], facts[key])]
    return too_old(tree, facts) + [
        f"The archive needs {WORDS[key].format(tree.needs[key])},"
        f" but {python!r} has {WORDS[key].format(facts[key])}."
        for key in wrong
    ]


def way_out(tree: Tree, facts: Facts) -> str:
    """Say what to do about a Python that does not fit."""
    if too_old(tree, facts):
        return "Unpack it on a newer system, or pack it on one that is as old as this."
    if all(fits(key, tree.needs[key], facts[key]) for key in ("system", "machine")):
        return f"To connect it, {tree.rerun}"
    return "Unpack it on {system} {machine} and {rerun}".format(rerun=tree.rerun, **tree.needs)


def folder_of(tree: Tree, path: str) -> str:
    """Return the folder that a file lies in, by the rules of the environment's system."""
    return ntpath.dirname(path) if tree.windows else os.path.dirname(path)


def config(tree: Tree, base: str, version: str) -> bytes:
    """Return pyvenv.cfg; its readers know UTF-8 and whole, stripped lines only."""
    lines = [
        f"home = {folder_of(tree, base)}",  # where Python 3.11+ begins to look for its library
        f"include-system-site-packages = {str(tree.system_site).lower()}",
        f"version = {version}",
        f"executable = {base}",
        *([f"prompt = {tree.prompt!r}"] if tree.prompt else []),  # quoted, as venv does
    ]
    with contextlib.suppress(UnicodeEncodeError):
        if [base] == base.strip().splitlines():
            return "".join(line + "\n" for line in lines).encode()
    message = f"The interpreter's path {base!r} cannot stand in pyvenv.cfg: use one in UTF-8"
    raise ConnectError(message + " and without line breaks.")


def pieces(tree: Tree, base: str, version: str) -> Dict[str, Content]:
    """Return what connecting writes, by path: a file's bytes, a link's text, what to copy.

    bin/python comes last, when all that it needs is there.
    """
    if tree.windows:
        return windows_pieces(tree, base, version)
    name = tree.own_name
    texts = {name: neighbours_python(tree) or base, "python3": name, "python": name}
    settings = os.path.join(tree.prefix, "pyvenv.cfg")
    place = {os.path.join(tree.scripts, link): text for link, text in texts.items()}
    return {settings: config(tree, base, version), **layer_pieces(tree, base), **place}


def place_of(tree: Tree, relative: str) -> str:
    """Return where a neighbour's path leads from the environment's real place."""
    return os.path.normpath(os.path.join(tree.prefix, *relative.split("/")))


def runtimes_python(tree: Tree) -> str:
    """Return the real path of the base runtime's interpreter; empty without a base runtime."""
    runtime = tree.neighbours.runtime
    if not runtime:
        return ""
    return os.path.realpath(os.path.join(place_of(tree, runtime.path), *runtime.python.split("/")))


def neighbours_python(tree: Tree) -> str:
    """Return the text of a link to it, which stays right when all are moved together."""
    runtime = tree.neighbours.runtime
    if not runtime:
        return ""
    path = os.path.join(place_of(tree, runtime.path), *runtime.python.split("/"))
    return os.path.relpath(path, tree.scripts)


def layer_pieces(tree: Tree, base: str) -> Dict[str, Content]:
    """Return the files by which the environment sees its layers, if it has any."""
    folders = [
        os.path.join(place_of(tree, each.path), *folder.split("/"))
        for each in tree.neighbours.below
        for folder in each.site_packages
    ]
    libraries = [place_of(tree, each) for each in tree.neighbours.dynlib]
    return customisation(tree, base, folders, libraries) if tree.neighbours.below else {}


def stack_layer_pieces(tree: Tree, layer: StackLayer) -> Dict[str, Content]:
    """Return what connects a layer of venvstacks; a base runtime needs nothing.

    Its interpreter stays as it is: a link to the base runtime's, or the script that venvstacks has
    made, which sets the library path.
    """
    if layer.base_python == layer.python:
        return {}
    settings = os.path.join(tree.prefix, "pyvenv.cfg")
    return {
        settings: config(tree, layer.base_python, layer.version),
        **customisation(tree, layer.base_python, layer.folders, layer.dynlib),
    }


def customisation(
    tree: Tree, base: str, folders: List[str], libraries: List[str]
) -> Dict[str, Content]:
    """Return the sitecustomize.py by which the environment sees folders of others.

    Nothing in it depends on the place: it stays right when all are moved together. Where the
    interpreter's library has a sitecustomize.py (Debian's), that one is imported: a .pth file runs
    ours then.
    """
    if not tree.site_packages:
        message = f"The manifest {MANIFEST} is broken: it names layers, and no folder of packages;"
        raise ConnectError(message + " unpack the archive again.")
    site = tree.site_packages[0]
    text = SITECUSTOMIZE % tuple(
        json.dumps([os.path.relpath(path, site).replace(os.sep, "/") for path in paths])
        for paths in (folders, libraries)
    )
    ours = os.path.join(site, "sitecustomize.py")
    written: Dict[str, Content] = {ours: (SITECUSTOMIZE_MARK + "\n" + text).encode()}
    if has_own_customisation(tree, base):
        name = os.path.relpath(ours, tree.prefix).replace(os.sep, "/")
        line = "import os, runpy, sys; runpy.run_path(os.path.join(sys.prefix, {!r}))\n"
        written[os.path.join(site, LAYERS_FILE)] = line.format(name).encode()
    return written


def has_own_customisation(tree: Tree, base: str) -> bool:
    """Tell whether an interpreter's own library holds a sitecustomize.py."""
    folder = "python" + minor(tree.needs["version"])
    prefix = os.path.dirname(os.path.dirname(base))
    return any(
        os.path.isfile(os.path.join(prefix, lib, folder, "sitecustomize.py"))
        for lib in ("lib", "lib64")
    )


def neighbour_findings(tree: Tree) -> List[str]:
    """Return a sentence for each neighbour that is missing, wrong or stale."""
    known = {each.path for each in tree.neighbours.below}
    found = [sentence for each in tree.neighbours.below for sentence in misfit_of(tree, each)]
    return found + [
        f"The neighbour {place_of(tree, path)!r} is missing, and links lead into it: unpack its"
        " archive there."
        for path in tree.neighbours.linked
        if path not in known and not os.path.isdir(place_of(tree, path))
    ]


def misfit_of(tree: Tree, neighbour: Neighbour) -> Iterator[str]:
    """Yield the one thing that is wrong with a neighbour, if anything is."""
    place = place_of(tree, neighbour.path)
    folder = repr(place)
    if not os.path.isdir(place):
        yield f"The neighbour {folder} is missing: unpack its archive there."
        return
    try:
        data = json.loads(read(os.path.join(place, *MANIFEST.split("/"))))
        needed = need(data, "python.version", str), need(data, "python.abi", str)
        has = {str(each["name"]): str(each["version"]) for each in data["distributions"]}
    except (OSError, ValueError, KeyError, TypeError, ConnectError):
        yield f"The neighbour {folder} is none: it has no manifest {MANIFEST} that can be read."
        return
    if minor(needed[0]) != minor(tree.needs["version"]) or needed[1] != tree.needs["abi"]:
        wants = f"Python {minor(tree.needs['version'])} ({tree.needs['abi']})"
        yield (
            f"The neighbour {folder} is wrong: it is of Python {minor(needed[0])} ({needed[1]}),"
            f" and this environment needs {wants}."
        )
    elif neighbour.python and not is_own_file(place, neighbour.python):
        yield (
            f"The neighbour {folder} is wrong: it brings no interpreter {neighbour.python} of its"
            " own."
        )
    else:
        yield from staleness(neighbour, folder, has, str(data.get("content_digest") or ""))


def is_own_file(place: str, name: str) -> bool:
    """Tell whether a file lies in a folder, and is no link to elsewhere."""
    real = os.path.realpath(os.path.join(place, *name.split("/")))
    return os.path.isfile(real) and real.startswith(os.path.join(os.path.realpath(place), ""))


def staleness(neighbour: Neighbour, folder: str, has: Dict[str, str], digest: str) -> Iterator[str]:
    """Yield how a neighbour differs from the one that the environment was packed for."""
    changed = [
        f"{name} {version} is needed, and it has {has.get(name) or 'none'}"
        for name, version in sorted(neighbour.distributions.items())
        if has.get(name) != version
    ]
    if changed:
        what = "; ".join(changed)
        yield f"The neighbour {folder} is stale: {what}; unpack the archives of one release."
    elif neighbour.digest and neighbour.digest != digest:
        yield (
            f"The neighbour {folder} is stale: it is not of the archive that this environment was"
            " packed for (its content digest differs); unpack the archives of one release."
        )


def windows_pieces(tree: Tree, base: str, version: str) -> Dict[str, Content]:
    """Return what connecting writes on Windows: copies of the base's redirectors, as venv makes.

    A redirector starts the interpreter that pyvenv.cfg beside its folder names as home. They are
    venvlauncher.exe and venvwlauncher.exe of Lib/venv/scripts/nt since CPython 3.13 (with a t at
    their end for free-threaded builds), and were python.exe and pythonw.exe there before.
    """
    flags, older = abi_flags(tree.needs["abi"]), numbers(tree.needs["version"])[:2] < [3, 13]
    folder = os.path.join(folder_of(tree, base), "Lib", "venv", "scripts", "nt")
    place: Dict[str, Content] = {}
    for name, launcher in (("pythonw", "venvwlauncher"), ("python", "venvlauncher")):
        source = os.path.join(folder, f"{name if older else launcher}{flags}.exe")
        names = [name + minor(tree.needs["version"]) + flags, name] if flags else [name]
        for each in names:
            place[os.path.join(tree.scripts, f"{each}.exe")] = Copy(source)
    settings = os.path.join(tree.prefix, "pyvenv.cfg")
    return {settings: config(tree, base, version), **layer_pieces(tree, base), **place}


def own_glibc() -> str:
    """Return the version of the glibc that this Python runs with; empty for another libc."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[1].split("-")[0]
    except (AttributeError, IndexError, OSError, ValueError):
        return ""


def own_libstdcxx() -> Optional[str]:
    """Return the highest GLIBCXX of the libstdc++ that this Python finds; empty if it has none.

    None where it cannot be told: no ctypes, no /proc.
    """
    try:
        import ctypes

        ctypes.CDLL("libstdc++.so.6")
    except ImportError:
        return None
    except OSError:
        return ""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        with open("/proc/self/maps", "rb") as maps:
            path = next(line.split(None, 5)[5].strip() for line in maps if b"/libstdc++.so" in line)
        with open(path, "rb") as library:
            versions = re.findall(rb"\0GLIBCXX_(\d[\d.]*)(?=\0)", library.read())
        return str(max((version.decode() for version in versions), key=numbers))
    return None


def own_macos() -> str:
    """Return the release of macOS by its kernel's, which no compatibility setting changes.

    Darwin 19 is macOS 10.15, 20 is 11, 24 is 15, and 25 is 26.
    """
    if sys.platform != "darwin":
        return ""
    darwin = int(os.uname().release.split(".")[0])
    return f"10.{darwin - 4}" if darwin < 20 else str(darwin - 9 if darwin < 25 else darwin + 1)


def machine_of(program: str, kernel: str) -> str:
    """Return the machine type that a program is made for, which need not be the kernel's."""
    try:
        with open(program, "rb") as stream:
            head = stream.read(20)
    except OSError:
        return kernel
    if head[:4] != b"\x7fELF" or head[5:6] != b"\1":  # of the other byte order is no mixed pair
        return kernel
    key = int.from_bytes(head[18:20], "little"), head[4]
    name, kernels = ELF_MACHINES.get(key, (kernel, ".*"))
    return kernel if re.fullmatch(kernels, kernel) else name


def own_machine() -> str:
    """Return the interpreter's machine type, which need not be the kernel's or the processor's."""
    of_build = sysconfig.get_platform().rpartition("-")[2]
    machine = of_build if sys.platform == "win32" else platform.machine() or of_build
    return machine_of(sys.executable, machine) if sys.platform == "linux" else machine


def own_facts() -> Facts:
    """Return what is to be known of the Python that runs this; the ABI as wheels name it."""
    abi = "cp{}{}".format(*sys.version_info)
    abi += "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    abi += "d" if "d" in getattr(sys, "abiflags", "") else ""
    cpython = sys.implementation.name == "cpython"
    return {
        "implementation": sys.implementation.name,
        "version": "{}.{}.{}".format(*sys.version_info),
        "abi": abi if cpython else str(sys.implementation.cache_tag),
        "pointer_bits": sys.maxsize.bit_length() + 1,
        "system": sys.platform,
        "machine": own_machine(),
        "glibc": own_glibc(),
        "glibcxx": own_libstdcxx() if sys.platform == "linux" else "",
        "macos": own_macos(),
        "prefix": os.path.realpath(sys.prefix),
        "path": [os.path.realpath(folder) for folder in sys.path],
        "stdlib": sysconfig.get_path("stdlib"),
    }


def ask(python: str) -> Facts:
    """Let another Python say the same of itself; what its start-up files print is passed over."""
    os.environ.pop(
        "__PYVENV_LAUNCHER__", None
    )  # by which a framework's Python would take our place
    command = [python, "-I", "-B", os.path.abspath(__file__), "--facts"]
    nothing, limit = subprocess.DEVNULL, ANSWER_SECONDS
    try:
        done = subprocess.run(
            command, stdin=nothing, capture_output=True, timeout=limit, check=False
        )
        facts: Facts = json.loads(done.stdout.decode("ascii", "replace").splitlines()[-1])
        return facts
    except OSError as error:
        reason = error.strerror
    except subprocess.SubprocessError:
        reason = f"no answer within {limit} seconds"
    except (ValueError, IndexError):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
    message = f"The interpreter {python!r} does not run ({reason})."
    raise ConnectError(message)


def base_candidates() -> Iterator[str]:
    """Yield where the interpreter may be that the running Python comes from, best first."""
    if sys.platform == "darwin" and sysconfig.get_config_var("PYTHONFRAMEWORK"):
        # In a framework the program is Resources/Python.app; what may be linked to starts that.
        yield os.path.join(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    version = "{}.{}".format(*sys.version_info)
    names = ["python" + each for each in (version + getattr(sys, "abiflags", ""), version)]
    base = getattr(sys, "_base_executable", None) or ""  # in a venv the venv's own before 3.11
    named = re.match(r"python3\.\d+t?", os.path.basename(os.path.realpath(base))) if base else None
    if named and named.group() != names[-1] + "t" * ("t" in getattr(sys, "abiflags", "")):
        # What venv --copies makes guesses python3 of its base's folder: here of another version,
        # or with a GIL, as this one is without.
        for name in names:
            yield os.path.join(os.path.dirname(base), name)
    yield base
    yield sys.executable or ""
    for name in (*names, "python3"):
        yield os.path.join(sys.base_prefix, "bin", name)
    yield os.path.join(sys.base_prefix, "python.exe")


def find_base(tree: Tree) -> str:
    """Return the base interpreter; neither a copy in our scripts folder nor one in a venv is it."""
    inside = {os.path.realpath(tree.scripts)}
    if sys.prefix != sys.base_prefix:
        inside |= {os.path.realpath(os.path.join(sys.prefix, x)) for x in ("bin", "Scripts")}
    for real in (os.path.realpath(candidate) for candidate in base_candidates() if candidate):
        if os.path.dirname(real) not in inside and os.path.isfile(real):
            return real
    message = f"No Python outside of the environment is behind {sys.executable!r}: {tree.rerun}"
    raise ConnectError(message)


def why_not_written(error: OSError) -> str:
    """Say why a file could not be put in its place, and what to do."""
    if getattr(error, "winerror", None) in IN_USE:
        return f"holds {os.path.basename(str(error.filename2))!r} in use: end what runs from there"
    return WHY_NOT_WRITTEN.get(error.errno or 0, f"cannot be written: {error}")


def put(path: str, content: Union[bytes, str]) -> None:
    """Make a file (bytes) or a link (text) under a name of its own, then move it to its place."""
    folder, name = os.path.split(path)
    unique = f".{name}.pack-venv-{os.getpid()}-{os.urandom(4).hex()}.tmp"
    temporary = os.path.join(folder, unique)
    try:
        os.makedirs(folder, exist_ok=True)
        make(temporary, content)
        os.replace(temporary, path)
    except OSError as error:
        message = f"The folder {folder!r} {why_not_written(error)}."
        raise ConnectError(message) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def resolved(content: Content) -> Union[bytes, str]:
    """Return a link's text, or a file's bytes, which may have to be read."""
    if not isinstance(content, Copy):
        return content
    try:
        return read(content.source)
    except OSError as error:
        message = f"The interpreter has no {content.source!r} to copy ({error.strerror}):"
        message += " use one that was installed with venv, from python.org or by uv."
        raise ConnectError(message) from None


def make(path: str, content: Union[bytes, str]) -> None:
    """Make a link, or a file that is on the disk when this returns."""
    if isinstance(content, str):
        os.symlink(content, path)
        return
    with open(path, "xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def found(path: str) -> Union[bytes, str, None]:
    """Return a link's text, a file's bytes, or None."""
    with contextlib.suppress(OSError):
        return os.readlink(path) if os.path.islink(path) else read(path)
    return None


def read(path: str) -> bytes:
    """Return a file's bytes; what is none is not waited for (a FIFO) and has no end (a device)."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        return stream.read()


def sweep(folder: str) -> None:
    """Remove the temporary names that a killed run has left."""
    for path in glob.iglob(os.path.join(glob.escape(folder), ".*.pack-venv-*.tmp")):
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > STALE_SECONDS:
                os.unlink(path)


def connect(tree: Tree) -> str:
    """Write pyvenv.cfg and the links; return what was done."""
    if tree.stack_layer:
        return connect_stack_layer(tree, tree.stack_layer)
    wrong = neighbour_findings(tree)
    if wrong:
        raise ConnectError(*wrong)
    base = runtimes_python(tree) if tree.neighbours.runtime else find_base(tree)
    facts = ask(base)
    wrong = misfits(tree, facts, base)
    if wrong:
        raise ConnectError(*wrong, way_out(tree, facts))
    write(tree, pieces(tree, base, facts["version"]))
    return f"connected {tree.label} to {base} ({run_there(tree)['version']})"


def connect_stack_layer(tree: Tree, layer: StackLayer) -> str:
    """Connect a layer of venvstacks, whichever Python runs this; its base may come later."""
    write(tree, stack_layer_pieces(tree, layer))
    done = f"connected {tree.label} to {layer.base_python}"
    if not os.path.isfile(layer.base_python):
        return f"{done}, which is not there yet: unpack its archive there"
    return f"{done} ({run_there(tree)['version']})"


def stack_layer_findings(tree: Tree, layer: StackLayer) -> Iterator[str]:
    """Yield what keeps a layer of venvstacks from running."""
    for path, content in stack_layer_pieces(tree, layer).items():
        if found(path) != content:
            yield f"{path!r} is not as it should be here: {tree.rerun}"
    if not os.path.isfile(layer.base_python):
        yield f"The interpreter {layer.base_python!r} is not there: unpack its archive there."
    elif not os.path.isfile(layer.python):
        yield f"The environment's own {layer.python!r} is not there: unpack the archive again."


def write(tree: Tree, todo: Dict[str, Content]) -> None:
    """Put all in its place that is not there; what cannot be read is told before any of it."""
    contents = {path: resolved(content) for path, content in todo.items()}
    for folder in (tree.prefix, tree.scripts):
        sweep(folder)
    for path, content in contents.items():
        if found(path) != content:
            put(path, content)


def answers(tree: Tree, code: str, question: Any, *options: str) -> Dict[str, str]:
    """Return what code that the environment's interpreter runs prints: a pair on each line."""
    command = [tree.python, *options, "-B", "-c", code, json.dumps(question)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
            cwd=tree.prefix,
        )
    except subprocess.SubprocessError:
        return {}
    found = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(TypeError, ValueError):  # start-up files may print, too
            key, value = json.loads(line)
            found[str(key)] = str(value)
    return found


def base_versions(tree: Tree) -> Dict[str, str]:
    """Return the versions of the base interpreter's packages that are needed; empty for none."""
    names = list(tree.base_distributions)
    return answers(tree, VERSIONS, names, "-E") if names else {}


def missing_distributions(tree: Tree) -> List[str]:
    """Tell which packages the base interpreter has not that the environment takes from it."""
    return [
        f"{name} {tree.base_distributions[name]} is not installed for the interpreter: install it"
        f" there, since {tree.label} needs it and does not hold it."
        for name, version in base_versions(tree).items()
        if not version
    ]


def other_versions(tree: Tree) -> List[str]:
    """Tell which of these packages the base interpreter has in another version."""
    return [
        f"{name} {version} of the interpreter is used, and {tree.label} was packed with"
        f" {tree.base_distributions[name]}: install that one if something fails."
        for name, version in base_versions(tree).items()
        if version and version != tree.base_distributions[name]
    ]


def missing_libraries(tree: Tree) -> List[str]:
    """Tell which libraries the system has not that packed files are linked with.

    They are loaded by a process of its own, and those behind one that ends it by another.
    """
    left = {name: each.get("folder") or "" for name, each in tree.libraries.items()}
    lacking = {}
    while left:
        told = answers(tree, LACKING, list(left.items()), "-I")
        answered = {name: why for name, why in told.items() if left.pop(name, None) is not None}
        lacking.update(answered)
        if not answered:
            break
    return [
        f"The library {name} cannot be loaded on this system ({why}), and"
        f" {short(tree.libraries[name].get('file'))} needs it: install it."
        for name, why in lacking.items()
        if why
    ]


def packed_modules(tree: Tree) -> Iterator[Tuple[str, str]]:
    """Yield the top-level modules of the packages and their files, without namespace packages.

    An extension module for another Python may lie there beside the one for this: it does not count.
    """
    abi = tree.needs["abi"]
    tags = [abi, abi.replace("cp", "cpython-", 1)] + ["abi3"] * ("t" not in abi_flags(abi))
    extension = r"(?:\.(?:{})(?:-[^/.]+)?)?\.(?:so|pyd)".format("|".join(map(re.escape, tags)))
    module = re.compile(r"([^\W\d]\w*)(?:\.py|/__init__\.py|{})".format(extension))
    folders = [os.path.relpath(x, tree.prefix).replace(os.sep, "/") for x in tree.site_packages]
    for each in tree.files:
        path = str(each.get("path"))
        for folder in folders:
            if path.startswith(folder + "/"):
                match = module.fullmatch(path, len(folder) + 1)
                if match:
                    yield match.group(1), path


def missing_modules(tree: Tree) -> List[str]:
    """Tell which packed modules the interpreter does not find; none of their code is run."""
    modules = dict(packed_modules(tree))
    asked = sorted(modules)[:MODULES_ASKED]
    lacking = sorted(answers(tree, FINDS, asked, "-I")) if asked else []
    others = f" and {len(lacking) - 1} more" if lacking[1:] else ""
    return [
        f"{tree.python!r} finds no module {name!r}{others}, though the archive holds"
        f" {modules[name]!r}: unpack it again."
        for name in lacking[:1]
        if name in modules
    ]


def short(file: Any) -> str:
    """Return a packed file's name as people know it."""
    return str(file).rpartition("/site-packages/")[2]


def run_there(tree: Tree) -> Facts:
    """Return the facts of the environment's interpreter, if it runs, fits and is at home."""
    python = tree.python
    facts = ask(python)
    wrong = misfits(tree, facts, python)
    if os.path.normcase(facts["prefix"]) != os.path.normcase(tree.prefix):
        wrong.append(f"{python!r} runs for {facts['prefix']!r}, not for {tree.prefix!r}.")
    searched = [os.path.normcase(folder) for folder in facts["path"]]
    for folder in filter(os.path.isdir, tree.site_packages):
        if os.listdir(folder) and os.path.normcase(os.path.realpath(folder)) not in searched:
            wrong.append(f"{python!r} does not look for packages in {folder!r}.")
    wrong += missing_distributions(tree)
    if wrong:
        raise ConnectError(*wrong)
    return facts


def connected_base(tree: Tree, versioned: str) -> str:
    """Return the interpreter that the environment is connected to, as its own files tell."""
    if not tree.windows:
        return os.path.realpath(versioned)
    settings = found(os.path.join(tree.prefix, "pyvenv.cfg"))
    text = settings.decode("utf-8", "replace") if isinstance(settings, bytes) else ""
    match = re.search(r"(?m)^executable = (.*?)\r?$", text)
    return match.group(1) if match else ""


def lost(content: Content) -> bool:
    """Tell whether a copy cannot be compared, since what it was made of is not there."""
    return isinstance(content, Copy) and not os.path.isfile(content.source)


def expected(content: Content) -> Union[bytes, str, None]:
    """Return what a file or link should be."""
    return None if lost(content) else resolved(content)


def findings(tree: Tree) -> Iterator[str]:
    """Yield what is not as connecting leaves it; the interpreter may have had a patch release."""
    if tree.stack_layer:
        yield from stack_layer_findings(tree, tree.stack_layer)
        return
    yield from neighbour_findings(tree)
    versioned = os.path.join(tree.scripts, "python.exe" if tree.windows else tree.own_name)
    if not os.path.lexists(versioned):
        yield f"The environment is not connected: {tree.rerun}"
        if not tree.neighbours.runtime:
            yield from misfits(tree, own_facts(), sys.executable)
        return
    base = tree.promised if found(versioned) == tree.promised else connected_base(tree, versioned)
    if not os.path.isfile(base):
        yield f"The interpreter {base!r} of the environment is not there: {tree.rerun}"
    for path, content in pieces(tree, base, "").items():
        has = found(path)
        if isinstance(has, bytes) and path.endswith(".cfg"):
            has = re.sub(rb"(?m)^version = .*$", b"version = ", has)
        if has != expected(content) and not (has and lost(content)):
            yield f"{path!r} is not as it should be here: {tree.rerun}"


def check(tree: Tree) -> str:
    """Return that all is well, or raise what is not."""
    if tree.bundled:
        wrong = too_old(tree, own_facts()) + neighbour_findings(tree)
    else:
        wrong = list(findings(tree))
    if wrong:
        raise ConnectError(*wrong)
    version = run_there(tree)["version"]
    wrong = missing_modules(tree) + missing_libraries(tree)
    if wrong:
        raise ConnectError(*wrong)
    return f"{tree.label} is connected and runs with Python {version}"


def compile_source(path: str) -> Optional[str]:
    """Write a source's byte code unless it is there; return why it could not be written.

    It is checked by hash when it is imported: all times in an archive are the same, so that by time
    another version unpacked over this one would run the byte code of this one. Unchecked byte code
    that the archive brought is kept as long as it is of this source.
    """
    cache = importlib.util.cache_from_source(path)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    try:
        mark = importlib.util.source_hash(read(path))
        with contextlib.suppress(OSError), open(cache, "rb") as stream:
            head = stream.read(16)
            by_hash = head[4:8] in (b"\1\0\0\0", b"\3\0\0\0")
            if head[:4] == importlib.util.MAGIC_NUMBER and by_hash and head[8:] == mark:
                return None
        with contextlib.suppress(FileExistsError):  # another run is writing it just now
            py_compile.compile(path, cache, doraise=True, invalidation_mode=mode)
    except OSError as error:
        return f"the folder {os.path.dirname(cache)!r} {why_not_written(error)}"
    except Exception:  # noqa: BLE001 - packages hold templates and sources of other Pythons
        return None
    return None


def compile_all(folders: List[str]) -> Optional[str]:
    """Compile all sources below folders, by the Python that runs this; return the first refusal."""
    warnings.simplefilter("ignore")
    sources = [
        os.path.join(folder, name)
        for top in folders
        for folder, _, names in os.walk(top)
        for name in names
        if name.endswith(".py") and os.path.isfile(os.path.join(folder, name))
    ]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(min(cpus or 1, 61)) as pool:  # the most that Windows can wait for
            answers = list(pool.map(compile_source, sources, chunksize=20))
    except (ImportError, NotImplementedError, OSError, RuntimeError):
        answers = list(map(compile_source, sources))  # no process pool works here: no /dev/shm, say
    return next(filter(None, answers), None)


def byte_compile(tree: Tree) -> Optional[str]:
    """Compile the sources that can be compiled; return why that cannot be done here."""
    if tree.stack_layer and not os.path.isfile(tree.stack_layer.base_python):
        return f"{tree.stack_layer.base_python!r} is not there yet"
    python = tree.python
    library = [os.path.realpath(run_there(tree)["stdlib"])] if tree.bundled else []
    library = [folder for folder in library if folder.startswith(os.path.join(tree.prefix, ""))]
    folders = dict.fromkeys(os.path.realpath(folder) for folder in library + tree.site_packages)
    todo = [folder for folder in folders if os.path.isdir(folder)]
    for folder in todo:
        if not os.access(folder, os.W_OK):  # else each source would be compiled in vain
            read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
            reason = WHY_NOT_WRITTEN[errno.EROFS if read_only else errno.EACCES]
            return f"the folder {folder!r} {reason}"
    command = [python, "-I", "-B", os.path.abspath(__file__), "--compile", *todo]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        answer = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
    except (IndexError, ValueError):  # killed, or a package prints when Python ends
        return f"the interpreter's answer was not understood (exit status {done.returncode})"
    return None if answer is None else str(answer)


def read_tree() -> Tree:
    """Read the manifest beside this file."""
    prefix = os.path.dirname(os.path.realpath(__file__))
    path = os.path.join(prefix, *MANIFEST.split("/"))
    try:
        return parse_manifest(read(path), prefix)
    except OSError as error:
        message = f"The manifest {path!r} cannot be read ({error.strerror}); unpack it again."
        raise ConnectError(message) from None


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    """Parse the command line."""
    about = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        prog="postinstall.py",
        description=about[0],
        epilog="Run it with the Python that the environment shall use, and again when that Python"
        " or the environment has moved. An archive that brings its interpreter needs no such step."
        " Exit status: 0 done, 1 a problem that is told on standard error, 2 wrong usage.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, tell what is wrong")
    parser.add_argument("--no-compile", action="store_true", help="do not write byte code")
    parser.add_argument("-q", "--quiet", action="store_true", help="tell nothing but problems")
    parser.add_argument("--facts", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--compile", nargs="+", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Do what the command line says."""
    if options.facts:
        print(json.dumps(own_facts()))
        return
    if options.compile:
        print(json.dumps(compile_all(options.compile)))
        return
    tree = read_tree()
    done = "nothing to connect: the archive brings its interpreter"
    if options.check:
        done = check(tree)
    elif not tree.bundled:
        done = connect(tree)
    elif too_old(tree, own_facts()):
        raise ConnectError(*too_old(tree, own_facts()), way_out(tree, own_facts()))
    elif neighbour_findings(tree):
        raise ConnectError(*neighbour_findings(tree))
    if not options.quiet:
        print(done, flush=True)
    remarks = other_versions(tree) + ([] if options.check else missing_libraries(tree))
    print(*(f"postinstall.py: {x}\n" for x in remarks), sep="", end="", file=sys.stderr)
    if not (options.check or options.no_compile):
        refused = byte_compile(tree)
        if refused and not options.quiet:
            print(f"postinstall.py: no byte code was written: {refused}.", file=sys.stderr)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run, and tell problems in sentences."""
    if sys.version_info < (3, 8):
        print("postinstall.py: run it with CPython 3.8 or later.", file=sys.stderr)
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        run(parse_arguments(arguments))
    except ConnectError as problem:
        print(*(f"postinstall.py: {x}" for x in problem.args), sep="\n", file=sys.stderr)
        return 1
    except OSError as error:
        print("postinstall.py:", error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("postinstall.py: interrupted; run it again to finish.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
