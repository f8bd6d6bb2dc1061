"""Modules of the standard library that are changed for a bundle, and why.

They contain paths of the installation, or look for something that systems keep in different places.
"""

from __future__ import annotations

import fnmatch
import json
import os
import posixpath
import re
from typing import TYPE_CHECKING, Final

from ...model.entries import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...model.interpreter import Interpreter


_PREFIX_WORD: Final = "@base_prefix@"

# Absolute paths recorded by the build (`prefix`, `LIBDIR`, …) follow the prefix.
_RELOCATE: Final = f"""

def _relocate(names):
    import sys
    for name, value in names.items():
        if isinstance(value, str):
            names[name] = value.replace({_PREFIX_WORD!r}, sys.base_prefix)


_relocate(build_time_vars)
"""

# Debian and Ubuntu install into `local` and `dist-packages` except in a virtual environment: the
# functions that they changed behave here as upstream's do. Default arguments were computed before.
_UPSTREAM_SCHEMES: Final = """

def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}


def _with_upstream_schemes(*functions):
    for function in functions:
        function.__defaults__ = (get_default_scheme(), *function.__defaults__[1:])


_with_upstream_schemes(get_paths, get_path)
"""
_UPSTREAM_DISTUTILS: Final = """

def get_python_lib(plat_specific=0, standard_lib=0, prefix=None):
    if prefix is None and standard_lib:
        prefix = BASE_EXEC_PREFIX if plat_specific else BASE_PREFIX
    elif prefix is None:
        prefix = EXEC_PREFIX if plat_specific else PREFIX
    libdir = sys.platlibdir if plat_specific or standard_lib else "lib"
    folder = os.path.join(prefix, libdir, "python" + get_python_version())
    return folder if standard_lib else os.path.join(folder, "site-packages")
"""
_UPSTREAM_INSTALL: Final = """

INSTALL_SCHEMES.update({
    name: INSTALL_SCHEMES[name.replace("local", "prefix")]
    for name in ("unix_local", "posix_local")
    if name in INSTALL_SCHEMES and name.replace("local", "prefix") in INSTALL_SCHEMES
})
"""
_UPSTREAM_SITE: Final = {
    "distutils/sysconfig.py": _UPSTREAM_DISTUTILS,
    "distutils/command/install.py": _UPSTREAM_INSTALL,
}

# `site` is frozen into the interpreter since CPython 3.11: changing its file would have no effect.
_SITE: Final = """\
\"\"\"What `site` does upstream: this interpreter was made to keep its packages elsewhere.\"\"\"
import os
import site
import sys


def getsitepackages(prefixes=None):
    name = "python%d.%d%s" % (*sys.version_info[:2], "t" * ("t" in sys.abiflags))
    return [
        os.path.join(prefix, libdir, name, "site-packages")
        for prefix in dict.fromkeys(filter(None, site.PREFIXES if prefixes is None else prefixes))
        for libdir in dict.fromkeys((sys.platlibdir, "lib"))
    ]


def addsitepackages(known_paths, prefixes=None):
    # Called a second time because of pyvenv.cfg: what is there is not added again.
    known_paths.update(site.makepath(folder)[1] for folder in sys.path)
    return usual(known_paths, prefixes)


if sys.prefix == sys.base_prefix:
    getsitepackages.__doc__ = site.getsitepackages.__doc__
    elsewhere, usual = site.getsitepackages(), site.addsitepackages
    site.getsitepackages, site.addsitepackages = getsitepackages, addsitepackages
    sys.path[:] = [folder for folder in sys.path if folder not in elsewhere]
    for folder in filter(os.path.isdir, getsitepackages()):
        site.addsitedir(folder)
"""
SITE_MODULE: Final = "_bundled_site"
"""The module that makes `site` look where upstream's does."""

# OpenSSL's certificate folder is compiled into it, and differs between distributions. If it holds
# no certificates and nothing else was configured, the target's own bundle is used: no variable is
# set that children would inherit, and nothing runs before `ssl` is imported. The paths are those of
# Debian, RHEL, SUSE, newer RHEL and SUSE, and Alpine (Go's crypto/x509 has the same).
_CERTIFICATES: Final = """

def _system_certificates():
    \"\"\"Return the file of trusted certificates where OpenSSL's own place holds none.\"\"\"
    file_variable, file, folder_variable, folder = _ssl.get_default_verify_paths()
    if file_variable in os.environ or folder_variable in os.environ or os.path.isfile(file):
        return None
    try:
        if any(name[-2:] == ".0" for name in os.listdir(folder)):
            return None
    except OSError:
        pass
    for path in (
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/var/lib/ca-certificates/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ):
        if os.access(path, os.R_OK):
            return path
    return None


def _look_for_system_certificates():
    own_paths = get_default_verify_paths

    def set_default_verify_paths(self):
        super(SSLContext, self).set_default_verify_paths()
        file = _system_certificates()
        if file is not None:
            try:
                self.load_verify_locations(file)
            except OSError:
                pass  # empty or damaged, as which OpenSSL passes over its own

    def get_paths():
        file = _system_certificates()
        paths = own_paths()
        return paths if file is None else paths._replace(cafile=file)

    get_paths.__name__ = get_paths.__qualname__ = own_paths.__name__
    get_paths.__doc__ = own_paths.__doc__
    SSLContext.set_default_verify_paths = set_default_verify_paths
    globals()["get_default_verify_paths"] = get_paths


_look_for_system_certificates()
"""

# `find_library` asks ldconfig, gcc and ld, which do not know the bundle and may be missing.
_OWN_LIBRARIES: Final = """

def _with_own_libraries(find):
    import sys

    def find_library(name):
        found = find(name)
        if found is None:
            folder = os.path.join(sys.base_prefix, "lib")
            names = [n for n in os.listdir(folder) if n.startswith("lib" + name + ".so")]
            found = min(names, default=None)
        return found

    return find_library


find_library = _with_own_libraries(find_library)
"""


def knows_its_place(name: str, interpreter: Interpreter) -> bool:
    """Return whether a module of the standard library has to be changed.

    Parameters:
        name: the module's file, relative to the standard library's folder.
    """
    named = _is_build_data(name) or _tells_of_build(name) or name == _ENSUREPIP
    return named or bool(_addition_to(name, interpreter))


def made_portable(name: str, content: bytes, interpreter: Interpreter) -> bytes:
    """Return the content of such a module in a bundle."""
    if _tells_of_build(name):
        return _build_details(content, interpreter)
    if name == _ENSUREPIP:
        return _with_own_wheels(content, interpreter)
    if _is_build_data(name):
        recorded = re.escape(os.fsencode(interpreter.base_prefix)) + rb"(?![\w.+-])"
        content = re.sub(recorded, _PREFIX_WORD.encode(), content)
        return content + _RELOCATE.encode()
    return content + _addition_to(name, interpreter).encode()


_ENSUREPIP: Final = "ensurepip/__init__.py"
_WHEELS: Final = re.compile(r"'(?P<folder>/[^'*{]*/python-wheels)(?P<rest>/[^']*)?'")


def wheel_folder_in(ensurepip: str) -> str | None:
    """Return where an `ensurepip` finds its wheels, if its text names it (Debian 11)."""
    match = _WHEELS.search(ensurepip)
    return None if match is None else match["folder"]


def _with_own_wheels(content: bytes, interpreter: Interpreter) -> bytes:
    text, base = content.decode("utf-8", "surrogateescape"), str(interpreter.base_prefix)

    def below_prefix(match: re.Match[str]) -> str:
        inside = match["folder"].removeprefix(base)
        return f"(sys.base_prefix + '{inside}{match['rest'] or ''}')"

    return _WHEELS.sub(below_prefix, text).encode("utf-8", "surrogateescape")


def _is_build_data(name: str) -> bool:
    return fnmatch.fnmatch(posixpath.basename(name), "_sysconfigdata_*.py")


def _tells_of_build(name: str) -> bool:
    return fnmatch.fnmatch(name, "build-details*.json")


def _build_details(content: bytes, interpreter: Interpreter) -> bytes:
    """Return the description of a build with paths relative to itself and to its prefix (PEP 739).

    It lists what a bundle may contain, never static libraries and pkg-config's files.
    """
    try:
        details = json.loads(content)
        libraries = {k: v for k, v in details.get("libpython", {}).items() if type(v) is not str}
        interface = {k: v for k, v in details.get("c_api", {}).items() if type(v) is not str}
    except (ValueError, AttributeError):
        return content
    if interpreter.library is not None:
        libraries["dynamic"] = f"lib/{interpreter.library.name}"
    if interface or "c_api" in details:
        interface["headers"] = f"include/{interpreter.executable_name}"
    parts = {"libpython": libraries, "c_api": interface}
    details |= {"base_prefix": "../..", "base_interpreter": f"bin/{interpreter.executable_name}"}
    details |= {key: part for key, part in parts.items() if key in details}
    return (json.dumps(details, indent=2, ensure_ascii=False) + "\n").encode()


def _addition_to(name: str, interpreter: Interpreter) -> str:
    if interpreter.scheme != "posix_prefix" and name in ("sysconfig.py", "sysconfig/__init__.py"):
        return _UPSTREAM_SCHEMES
    if interpreter.looks_elsewhere and name in _UPSTREAM_SITE:
        return _UPSTREAM_SITE[name]
    return {"ssl.py": _CERTIFICATES, "ctypes/util.py": _OWN_LIBRARIES}.get(name, "")


def site_entries(interpreter: Interpreter, library: str) -> Iterator[FileEntry]:
    """Yield the files that make an interpreter that looks elsewhere search site-packages.

    A `.pth` file in the first of the interpreter's own folders imports the module.

    Parameters:
        library: arcname of the standard library's folder.
    """
    if interpreter.looks_elsewhere:
        folder = next(each for each in interpreter.site_folders if each.startswith("lib/"))
        line = f"import {SITE_MODULE}\n".encode()
        yield FileEntry.from_bytes(f"{folder}/site-packages.pth", line)
        yield FileEntry.from_bytes(f"{library}/{SITE_MODULE}.py", _SITE.encode())
