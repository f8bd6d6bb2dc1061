"""The inputs before they are damaged: small files of every kind that others write."""

from __future__ import annotations

import json
import sys
import sysconfig
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any, Final

from support import windows
from support.binaries import (
    DT_NEEDED,
    DT_RPATH,
    DT_RUNPATH,
    fat,
    make_elf,
    module,
    small_pe,
    with_resources,
)
from support.fakes import file, folder, link, plan
from support.squashfs import Maker
from support.trees import make_wheel

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.write.archive import write_archives

METADATA: Final = (
    b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n"
    b"Requires-Dist: other (>=2) ; extra == 'x' and python_version < '4'\n"
    b"Requires-Dist: demo[x] @ https://example.org/demo.whl\nProvides-Extra: x\n\nText\n",
    b"Metadata-Version: 2.4\r\nName: Demo.Name\r\nVersion: 1!2.0.post1+local\r\n"
    b"Import-Name: demo\nImport-Namespace: ns ; private\nAuthor: Andr\xc3\xa9\n continued\n",
)
REQUIRES: Final = (b"other>=1\n\n[x]\nmore\n\n[y:python_version < '3']\nthird; os_name == 'nt'\n",)
TOP_LEVEL: Final = (b"demo\n_demo\nns/demo\n", b"../x\n/etc\n**\n")
RECORD: Final = (
    b"demo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    b"demo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/RECORD,,\n../../../bin/demo,,12\n"
    b"demo.pth,,\n_finder.py,,\ndemo/__pycache__/__init__.cpython-311.pyc,,\n",
    b'"a ""quoted"", name.py",sha256=x,1\r\nC:\\x\\y.py,,\n/abs/x.py,,\n\n./demo/../x.py,,\n',
)
ENTRY_POINTS: Final = (
    b"[console_scripts]\ndemo = demo.cli:main\nother = demo:App.run [x]\n\n[gui_scripts]\n"
    b"win = demo.gui:main\n# comment\n[pytest11]\nplugin = demo.plugin\n",
    b"[console_scripts]\n= :\na = b\n..\\x = os:system\n\xff = a:b\n",
)
PATH_FILE: Final = (
    b"/build/src\nimport _finder; _finder.install()\n# comment\n../x\n./demo\n",
    b"\xef\xbb\xbf/x\r\nimport\tsys\n\x00\nimport os, sys; exec('x')\n",
)
EGG_LINK: Final = (b"/build/src\n../\n", b".\n.")
DIRECT_URL: Final = (
    {"url": "file:///build/src", "dir_info": {"editable": True}, "subdirectory": "x"},
    {
        "url": "https://user:secret@example.org/x-1.0.whl?sig=1#x",
        "archive_info": {"hash": "sha256=00", "hashes": {"sha256": "00"}},
    },
    {
        "url": "https://example.org/x.git",
        "vcs_info": {"vcs": "git", "commit_id": "00ff", "requested_revision": "main"},
    },
)
CONFIG: Final = (
    b"home = /opt/python/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n"
    b"executable = /opt/python/bin/python3.11\ncommand = /opt/python/bin/python -m venv /x/env\n",
    b"home = C:\\Python312\r\nimplementation = CPython\r\nversion_info = 3.12.4.final.0\r\n"
    b"prompt = 'x'\r\ncommand = C:\\p.exe -m venv --copies C:\\build\\env\r\n",
    b"home = /Library/Frameworks/Python.framework/Versions/3.12/bin\nversion = 3.12.1\n",
)
FINDERS: Final = (
    b"import sys\nMAPPING: dict[str, str] = {'demo': '/build/src/demo', 'a.b': '/'}\n"
    b"NAMESPACES: dict[str, list[str]] = {'ns': ['/build/src/ns']}\nPATH_PLACEHOLDER = 'x'\n",
    b"from _editable_impl_x import RedirectingFinder as F\nF.install()\n"
    b"F.map_module('demo', '/build/src/demo/__init__.py')\n",
    b"from x import install\ninstall({'a': '/x/a.py'}, {'b': 'b.so'}, {'p': ['/x/p']}, None, None,"
    b" False, True, [], [])\ninstall_inplace([], [])\n",
    b"from x import install\ninstall('demo', {'demo', 'x'}, '/build/src', ['ninja'], False)\n",
)
INSTALL_PLAN: Final = {
    "python": {
        "/etc/hostname": {"destination": "{py_purelib}/demo/__init__.py", "tag": None},
        "/etc/passwd": {"destination": "{py_platlib}/demo/x.py", "subproject": None},
    },
    "install_subdirs": {
        "/usr/share/doc/bash": {
            "destination": "{py_purelib}/demo",
            "exclude_dirs": ["x"],
            "exclude_files": ["a/b"],
        }
    },
    "targets": {"/no/where.so": {"destination": "{bindir}/x"}},
}
KERNEL: Final = {
    "argv": ["/build/env/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "env": {"X": "/build/env/share"},
    "metadata": {"debugger": True},
}
PKG_CONFIG: Final = (
    b"prefix=/build/env\nlibdir=${prefix}/lib\nName: x\nLibs: -L/build/env/lib -lx\n",
)
SCRIPTS: Final = (
    b'#!/build/env/bin/python3.11 -I\n# -*- coding: latin-1 -*-\n"""Doc."""\n'
    b"from __future__ import annotations\nimport re, sys\nfrom demo.cli import main\n"
    b"if __name__ == '__main__':\n    sys.exit(main())\n",
    b"#!/bin/sh\n'''exec' \"/build/env/bin/python\" \"$0\" \"$@\"\n' '''\nimport sys\n",
    b"#!/usr/bin/env -S python3 -u\n"
    b"# EASY-INSTALL-ENTRY-SCRIPT: 'demo==1','console_scripts','demo'\n__requires__ = 'demo'\n",
    b"#!/usr/bin/env bash\nVIRTUAL_ENV='/build/env'\nexport VIRTUAL_ENV\n",
)
CREDENTIALS: Final = (
    b"[global]\nindex-url = https://user:s3cr3t-token@pypi.example.net/simple?sig=abcdef12345\n",
    b"extra = https://__token__:pypi-AgEIcHlwaS5vcmc@upload.corp.test/ ; x\n",
)
LOCKS: Final = (
    b"lock-version = '1.0'\ncreated-by = 'x'\nrequires-python = '>=3.9'\nextras = ['x']\n"
    b"environments = [\"sys_platform == 'linux'\"]\ndefault-groups = ['dev']\n"
    b"[[packages]]\nname = 'demo'\nversion = '1.0'\nmarker = \"'x' in extras\"\n"
    b"[[packages.wheels]]\nname = 'demo-1.0-py3-none-any.whl'\nurl = 'https://example.org/x.whl'\n"
    b"hashes = {sha256 = '00'}\nupload-time = 2026-01-01T00:00:00Z\nsize = 12\n"
    b"[[packages]]\nname = 'other'\nversion = '2'\nvcs = {type = 'git', url = 'https://u:p@e.org/x',"
    b" commit-id = '00ff', subdirectory = 'x'}\n",
    b"lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'demo'\nversion = '1.1'\n"
    b"archive = {url = 'https://example.org/x.tar.gz', hashes = {sha256 = '00'}, path = 'a/b'}\n"
    b"[[packages]]\nname = 'other'\ndirectory = {path = '../x', editable = true}\n"
    b"[tool.x]\ny = [1, {z = [[]]}]\n",
)
ANSWER: Final[dict[str, Any]] = {
    **dict.fromkeys(("implementation", "abi", "cache_tag", "system", "machine"), "cpython"),
    **dict.fromkeys(("platform", "platlibdir", "executable", "base_prefix", "stdlib"), "/opt/x"),
    "version": "3.11.7",
    "minor": "3.11",
    "pointer_bits": 64,
    "site_folders": ["lib/python3.11/site-packages"],
    "scheme": "posix_prefix",
    "library": None,
    "include": "/x",
    "wheel_folder": None,
    "site_packages": ["/opt/x/s"],
}
TABLE: Final[dict[str, Any]] = {
    "source": ".venv",
    "interpreter": "target",
    "format": ["tar.xz", "zip"],
    "compression-level": 3,
    "threads": 2,
    "archive-name": "{name}-{version}",
    "install-target": "{name}",
    "exclude-files": ["*.py", "@tests", "!x"],
    "wheels": ["a.whl"],
    "extras": ["x"],
    "keep": ["pip[x]"],
    "max-size": "250MB",
    "vendor-libraries": {"exclude": ["libz*"]},
    "layers": ["../a"],
    "lock": "pylock.toml",
    "bytecode": "none",
}


@cache
def elf_files() -> tuple[bytes, ...]:
    """Return files made by hand, and the smallest of this interpreter's own modules."""
    tags = ((DT_RUNPATH, "/build/env/lib:/opt/python/lib"), (DT_NEEDED, "libc.so.6"))
    made = [
        make_elf(*tags, wide=wide, order=order, symbol_at=1)
        for wide in (True, False)
        for order in "<>"
    ]
    both = make_elf((DT_RPATH, "/build/env/lib"), *tags)
    folder = Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    real = sorted(folder.glob("*.so"), key=lambda path: (path.stat().st_size, path.name))
    return (*made, both, *(path.read_bytes() for path in real[:3]))


@cache
def macho_files() -> tuple[bytes, ...]:
    """Return thin and universal files."""
    thin = module("@rpath/libx.dylib", "/opt/x.dylib", rpaths=["@loader_path/.."])
    intel = module("/usr/lib/libz.dylib", architecture="x86_64", signed=False, minos=(10, 9, 1))
    parts = (("arm64", thin), ("x86_64", intel))
    return thin, intel, fat(*parts), fat(*parts, wide=True)


@cache
def programs() -> tuple[bytes, ...]:
    """Return Windows programs, and the launchers of every tool that makes them."""
    script = f"#!{windows.PYTHON}\n".encode()
    archive = windows.archived()
    with TemporaryDirectory() as scratch:
        made = windows.distlib_launcher(Path(scratch), "x = y:main", windows.PYTHON).read_bytes()
    return (
        small_pe(),
        small_pe("win32", gui=True),
        small_pe(tail=script + archive),
        small_pe("arm64", tail=script + archive),
        windows.uv_launcher(small_pe(), windows.PYTHON),
        windows.old_uv_launcher(small_pe(), windows.PYTHON),
        with_resources(small_pe(), {"UV_TRAMPOLINE_KIND": b"\1", "UV_PYTHON_PATH": b"python.exe"}),
        made,
        windows.setuptools_launcher(),
        b'#!"C:\\build\\my app\\.venv\\Scripts\\python.exe" -u\r\nprint()\n',
        b"#!python\nprint()\n",
    )


@cache
def archives() -> dict[str, bytes]:
    """Return one small tree in every format, by suffix."""
    planned = plan(
        file("bin/demo", b"#!python\n", executable=True),
        file("lib/a.py", b"x = 1\n" * 50),
        file("lib/python3.11/site-packages/demo-1.0.dist-info/RECORD", RECORD[0]),
        folder("empty"),
        link("lib64", "lib", "lib"),
        file("lib/n\u00e4me" + "x" * 120, b"1"),
    )
    with TemporaryDirectory() as scratch:
        formats = [*CompressionFormat]
        if which("mksquashfs") is None:
            formats.remove(CompressionFormat.SQUASHFS)
        results = write_archives(planned, Path(scratch, "app"), formats)
        found = {result.path.name.partition(".")[2]: result.path for result in results}
        data = {suffix: path.read_bytes() for suffix, path in found.items()}
        data["json"] = found["tar"].with_name("app.tar.json").read_bytes()
    return data


@cache
def hand_made_image() -> bytes:
    """Return a squashfs image of a small tree and a manifest."""
    share = {"venv": {"metadata": {"pack-venv.json": json.dumps(manifest()).encode()}}}
    tree = {"bin": {"demo": b"#!python\n"}, "empty": {}, "lib64": "lib", "share": share}
    return Maker().image({"app": tree})


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of the tree in the archives, with every optional part."""
    data = archives()["tar"]
    start = data.index(b'{\n "format_version"')
    found: dict[str, Any] = json.loads(data[start : data.index(b"\n ]\n}\n", start) + 6])
    layer = {
        "path": "../base",
        "python_version": "3.11.7",
        "site_packages": ["lib/python3.11/site-packages"],
        "distributions": [{"name": "x", "version": None}],
        "content_digest": "0" * 64,
        "python": "bin/python3.11",
    }
    more = {
        "neighbours": {
            "layers": [layer],
            "base_runtime": layer,
            "dynlib_dirs": ["../base/lib"],
            "linked": ["../base"],
        },
        "interpreter_path": "/opt/python/bin/python3.11",
        "distributions": [{"name": "demo", "version": "1.0"}],
        "base_distributions": [{"name": "numpy", "version": "1.0"}],
        "target_libraries": [{"name": "libz.so.1", "file": "x", "folder": "/opt"}],
    }
    floor = {"version": "2.17", "file": "x"}
    floors = {key: floor for key in ("glibc", "glibcxx", "macos", "windows")}  # noqa: C420
    return {**found, **more, "platform": {**found["platform"], **floors}}


@cache
def wheels() -> tuple[bytes, ...]:
    """Return wheels with scripts, entry points and data."""
    files = {
        "my_app/__init__.py": b"",
        "my_app-2.0.dist-info/entry_points.txt": ENTRY_POINTS[0],
        "my_app-2.0.data/scripts/run.py": b"#!python -u\nprint()\n",
        "my_app-2.0.data/data/share/x": b"x",
        "my_app-2.0.data/headers/x.h": b"",
    }
    with TemporaryDirectory() as scratch:
        made = make_wheel(Path(scratch), files, metadata=b"Requires-Dist: x\n").read_bytes()
        plain = make_wheel(Path(scratch), {"x.py": b""}).read_bytes()
    return made, plain


PYTHON: Final = Path(sys.executable)
