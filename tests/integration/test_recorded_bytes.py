"""The bytes of archives: what is packed here from fixed inputs has, on every machine and with every
version of Python and of the compressors, the hashes that are recorded here.

A change that is meant to change archives changes the hashes in the same commit; a failing test
shows what they are now.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.binaries import EXECUTABLE, LIBRARY, module, small_pe
from support.trees import make_wheel

from hatch_pack_venv import PackOptions, create_archive, export_venv, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a tree's own interpreter would be asked"
)

POSIX: Final = "lib/python3.11/site-packages"
MAC: Final = "lib/python3.12/site-packages"
WINDOWS: Final = "Lib/site-packages"
BUILT_AT: Final = r"C:\build\my app\.venv"
HOME: Final = "/Users/me/app/.venv"
PROMISED: Final = "/nowhere/python/bin/python3.11"
TIME: Final = 1_600_000_000
_POINTS: Final = "[console_scripts]\nhello = hello:main\n"

# By what is packed and how: the digest of the content, and SHA-256 of the tar and of the zip in
# which nothing is compressed. Of `create_archive` (linked): SHA-256 of the tar, of one with later
# times clamped, and of what the zip says of its members.
RECORDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Linux, as it is": (
        "8165d308bf0727a204a740b807ff2b925d943e6f6be9f88fe89437f05097022f",
        "698e543d594dadca08dcd0771d9bada3d3b80564e9ccc116e204cb27e3db8086",
        "b17ff30373b13102a12f178190649e793e329d8a8eeb51258f8df6c2b333ded0",
    ),
    "Linux, without a top folder or records": (
        "41a0f7d9f568160c54dd70e3183a5d4787ac66211e71fe29267d1919d06b4996",
        "ba0636e39ba3b8a654aba46d0e2c303351860b644eee6daa45db8fd7dd1f6e88",
        "4c90bbe16895dc955846f60cdea196155aa5d53e703575340dc29401beb642cd",
    ),
    "Linux, chosen files": (
        "9ce764d8d53ffa3bd0bc0c1d9f5d5fa432d515a59dc412967c37810c85064c69",
        "8eed1a1bf7288cb7dd6558d3814d6863f6c29205e89e68b4e5c8dc127cb3c949",
        "ffbc49b0df975b4e2f7241c8916c0fb8e7aac78fa998e39caed2aa707cc3b15f",
    ),
    "Linux, what is required": (
        "0dcf463422d60115401fdc20b254aac0e98f36abaf940a91a4f1a22b1f21e214",
        "398be60a4f106a68fc644e5a6cf5e80cc55ede885415283e925a4c3d6bf26452",
        "01f94d50227c5dee7c0a6dfbe522208e3e5c1e54f7f37e287d05da86bf4ec9d4",
    ),
    "Linux, promised": (
        "c888d83cdeee91d33ea6b6debe0c1f8acb36a8e4e2a3a7bcc5769c5d661e73bc",
        "78a5c8e259433f4297868af4a90cf900234a0e3559917882646a5827d960092e",
    ),
    "Linux, a wheel": (
        "257730fbece51a41e8f65e632bf23c2e50bf33bda4e78271e7a37a935717f224",
        "cd5e81e19214e355fc910807de436690d61bfabd247784a8fb669b721a814dbb",
        "9bf3f989beda7d2ae98f4eb6b63db7b0592a0d6b9d948246dc61e0dfb2b9ef66",
    ),
    "Linux, neighbours": (
        "d7a99de013d460d7ae0b41a5a6f6c1366a15e2a6879d3f1f7d78bec347f1f651",
        "b1d2a7608c049e1c724fc52e30526fc3debb7221e1b9a14e041be292f10654ba",
        "c78f9cc933fbf3c85bf9f5be82e627e0a6dffc140024b7e511a19be0ab2842ac",
    ),
    "Windows, none": (
        "a1c516716380b0d36f9c393f130f4df3ab0f278355b44c508fb5041b18dcc8bd",
        "a9ee44e6dfebaf154a294465deb554395df599e960e780f06ecab11c72b9a144",
        "e6ba78d4c353e710f027d38f8d3ad7d2853b2c14e28081c54b221e1f325d45d3",
    ),
    "Windows, default": (
        "f6a12329ff242dffc43cdd68138ab885f0c87c26a1d282b51bcac6e2e593baf3",
        "ea0f4ace0529103b3b56308b5420714e5f7daa06efa0a0641a1251e600b3f37d",
        "0ed69d748b9ffe814276e6620ebdc8fce47f601d10169ebf0ee32a58a887d5d3",
    ),
    "Windows, minimal": (
        "205dc64ca769e3bd7fabaf65512b898489930557e041b511bc8e3952a507380f",
        "960181b39826f03041469d1f82fe597f9961a530e4ac49ce30403357376af871",
        "49d54f71e5388cfca09cf61f615bbde869652fc04765d338a5c1038d1dbab152",
    ),
    "Windows, target": (
        "45205571bfbfae49f7a1361dc0e042c831e8c797d7a08140095ea64354afad3f",
        "381f6857638771261d6f49402135f7b9d785aa673bd3d07e8a09501b08a41233",
        "1f31cc4ade0e928f640c9afe267df67abd17049a2ff22f2656cc2ef4ec0c13a5",
    ),
    "macOS, bundled": (
        "a50294241e5cdb6ea2ee96adcfa1d4a70affa7e8e18486720450037bc420af81",
        "5c8b0c68d7b27ab09552ae6599f79798dc3bc38c4367c2bbc75b37bd85ecf335",
        "71d1d1f4a532823d27ad925da2fd4b454b2d17b7117d4abcf876e5fc2892d4f1",
    ),
    "macOS, target": (
        "845a8fadb435079dd6388a1f8c49d37ff23ef47a044fe3631bf342f0a2eaab2e",
        "130a7573510f572495d8b4e15d9c40d15881d960a9b20389e4c0380a6d4e62ca",
        "d3e0b0273444d720b7d0a6d7c02a55a801c5bf497861a323f75840e5d7349648",
    ),
    "Linux, linked": (
        "c93c4286cb27ba5a1e45f5c87a5c20083bfb0bc30a4c34d64aa47acd7e5e9db9",
        "9bcb8f24cc683a67e874a29a48bed14b03fbc9c635947a4fc869e2ad8154a38f",
        "8ac112c0e0f16ac13cbefea5970330c1dde55a63af812efa1f1e3c8e69a01460",
    ),
    "Windows, linked": (
        "37e584936c4bef3aba83e1a54bade3d91572694cba37e6febd36c4a707e0d5c3",
        "678001c1250e06aa5af722c21ab57b9b137236440239ad39cae888b0afcbea86",
        "4b32087f4dfaad79be21949f1bd53330ae72296d91b0422f7c579bd512cb0ac8",
    ),
    "macOS, linked": (
        "c00717a016942877a73a6ded672a004c515f789d71ba13b2d028bd75b84fcee5",
        "aa23e927cb13271c0c6e4ea8ad156df49cb686bbde7de10a7384a24889b2977e",
        "893b7a76fd5f4bd4f57a2500c7e8a8585e2d80b78890cece0229246312643b8e",
    ),
}


# trees


def _write(root: Path, files: Mapping[str, bytes | str], *executable: str) -> None:
    """Write files, and links to what follows `->`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if name in executable else 0o644)


def _dated(root: Path) -> None:
    """Give everything a time of its own, by its place among the names, with parts of a second."""
    for number, path in enumerate(sorted(root.rglob("*"), key=str)):
        nanoseconds = (TIME + number) * 10**9 + 999_999_999
        os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def _distribution(site: str, name: str, *files: str, more: str = "") -> dict[str, str]:
    """Return the metadata of an installed distribution."""
    info = f"{site}/{name}-1.0.dist-info"
    record = [f"{each},," for each in (*files, f"{name}-1.0.dist-info/METADATA")]
    return {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{more}",
        f"{info}/INSTALLER": "pip\n",
        f"{info}/direct_url.json": '{"url": "file:///home/me/source", "dir_info": {}}',
        f"{info}/RECORD": "\n".join([*record, f"{name}-1.0.dist-info/RECORD,,", ""]),
    }


# Answers like a CPython 3.11.7 that is installed above the environments, whatever really runs.
_ANSWER: Final = """\
import json, os, subprocess, sys
word = sys.argv[-1]
done = subprocess.run([sys.executable, *sys.argv[1:]], check=True, capture_output=True, text=True)
facts = json.loads(done.stdout.partition(word)[2])
fixed = json.loads(os.environ["RECORDED_FACTS"])
print(word, json.dumps({key: fixed.get(key, value) for key, value in facts.items()}))
"""
_STARTS_HELLO: Final = "import sys\nfrom hello import main\nsys.exit(main())\n"
_PYTHON: Final = '#!/bin/sh\nexec "$RECORDED_PYTHON" "$RECORDED_ANSWER" "$@"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with an interpreter of fixed facts, which environments can link to."""
    tmp_path = tmp_path.resolve()
    base = tmp_path / "base"
    _write(base, {"bin/python3.11": _PYTHON, "lib/python3.11/os.py": ""}, "bin/python3.11")
    _dated(base)
    (tmp_path / "answer.py").write_text(_ANSWER)
    facts = {
        "version": "3.11.7",
        "minor": "3.11",
        "implementation": "cpython",
        "abi": "cp311",
        "cache_tag": "cpython-311",
        "pointer_bits": 64,
        "system": "linux",
        "machine": "x86_64",
        "platform": "linux-x86_64",
        "executable": str(base / "bin/python3.11"),
        "base_prefix": str(base),
        "stdlib": str(base / "lib/python3.11"),
        "platlibdir": "lib",
        "library": None,
        "site_packages": [str(base / POSIX)],
        "include": str(base / "include/python3.11"),
        "wheel_folder": None,
        "site_folders": ["lib/python3.11/site-packages"],
        "scheme": "posix_prefix",
    }
    # The bill of materials names the version that made it.
    monkeypatch.setattr("hatch_pack_venv.api.documents.version_of", lambda _name: "1.0")
    monkeypatch.setenv("RECORDED_FACTS", json.dumps(facts))
    monkeypatch.setenv("RECORDED_ANSWER", str(tmp_path / "answer.py"))
    monkeypatch.setenv("RECORDED_PYTHON", os.path.realpath(sys.executable))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def _interpreter(base: str = "../../base") -> dict[str, str]:
    """Return the links of an environment to its interpreter, and its settings."""
    return {
        "bin/python3.11": f"-> {base}/bin/python3.11",
        "bin/python3": "-> python3.11",
        "bin/python": "-> python3.11",
        "pyvenv.cfg": "home = /opt/python/bin\ninclude-system-site-packages = false\n"
        "version = 3.11.7\nprompt = chosen\n",
    }


def _linux(root: Path) -> Path:
    """Make an environment with something for each rule about Linux and about any file."""
    env = root / "env"
    _write(
        env,
        {
            **_interpreter(),
            "lib64": "-> lib",
            "bin/activate": f'VIRTUAL_ENV="{env}"\nexport VIRTUAL_ENV\n',
            "bin/hello": f"#!{env}/bin/python\n{_STARTS_HELLO}",
            "bin/long": f"#!/bin/sh\n'''exec' \"{env}/bin/python\" \"$0\" \"$@\"\n' '''\nx = 1\n",
            "bin/other": "#!/usr/bin/perl\nprint 1;\n",
            f"{POSIX}/hello/__init__.py": "def main():\n    print('hello')\n",
            f"{POSIX}/hello/__pycache__/__init__.cpython-311.pyc": b"byte code",
            f"{POSIX}/hello/tests/test_it.py": "assert True\n",
            f"{POSIX}/hello/native.cpython-311-x86_64-linux-gnu.so": b"no machine code\n" * 10,
            f"{POSIX}/hello/data.json": b'{"a": 1}\n' * 30_000,
            f"{POSIX}/other/data.json": b'{"a": 2}\n' * 30_000,
            f"{POSIX}/other/sitecustomize.py": "x = 1\n",
            f"{POSIX}/sitecustomize.py": "x = 2\n",
            f"{POSIX}/inside.pth": f"{env}/{POSIX}/other\nimport hello\n",
            **_distribution(
                POSIX,
                "hello",
                "hello/__init__.py",
                "../../../bin/hello",
                more="Requires-Dist: six\n",
            ),
            f"{POSIX}/hello-1.0.dist-info/entry_points.txt": _POINTS,
            **_distribution(POSIX, "six", "six.py"),
            f"{POSIX}/six.py": "",
            **_distribution(POSIX, "unneeded", "unneeded.py"),
            f"{POSIX}/unneeded.py": "",
            "share/jupyter/kernels/python3/kernel.json": json.dumps(
                {"argv": [f"{env}/bin/python", "-m", "kernel"], "language": "python"}
            ),
            "share/RECORD": "of no distribution\n",
            "share/d\u00e4ta/\u65e5\u672c.txt": "names\n",
            f"share/{'long' * 40}/{'name' * 40}": "pax\n",
            "share/inner": "-> RECORD",
            "share/folder": "-> d\u00e4ta",
            "share/away": "-> ../../outside/folder",
            f"share/{'link' * 40}": f"-> {'long' * 40}/{'name' * 40}",
        },
        *("bin/hello", "bin/long", "bin/other", "bin/activate"),
        f"{POSIX}/hello/native.cpython-311-x86_64-linux-gnu.so",
    )
    (env / "share/inner-absolute").symlink_to(env / "share/RECORD")
    (env / "share/empty").mkdir()
    _write(
        root / "outside", {"folder/file": "outside\n", "folder/deep/run": "x\n"}, "folder/deep/run"
    )
    _dated(root / "outside")
    _dated(env)
    return env


def _windows(root: Path, *, bundled: bool) -> Path:
    """Make what venv makes on Windows, and an installed CPython that it may be connected to."""
    word = "<launcher_dir>\\".encode("utf-16-le")
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), b"from hello import main\nmain()\n")
    launcher = small_pe(tail=word) + rf"#!{BUILT_AT}\Scripts\python.exe".encode() + b"\n"
    base = root / "python"
    home = base if bundled else r"C:\Python312"
    env = root / "env"
    _write(
        env,
        {
            "pyvenv.cfg": f"home = {home}\r\ninclude-system-site-packages = false\r\n"
            f"version = 3.12.4\r\ncommand = C:\\python.exe -m venv {BUILT_AT}\r\n",
            "Scripts/python.exe": small_pe(),
            "Scripts/pythonw.exe": small_pe(gui=True),
            "Scripts/activate.bat": f'@set "VIRTUAL_ENV={BUILT_AT}"\r\n',
            "Scripts/hello.exe": launcher + body.getvalue(),
            "Scripts/tool.py": f"#!{BUILT_AT}\\Scripts\\python.exe\r\nprint(1)\r\n",
            f"{WINDOWS}/hello/__init__.py": "def main():\r\n    print('hello')\r\n",
            f"{WINDOWS}/hello/native.pyd": small_pe(version=(6, 2)),
            f"{WINDOWS}/inside.pth": "hello\\sub\r\n",
            f"{WINDOWS}/hello/sub/x.py": "",
            **_distribution(WINDOWS, "hello", "hello/__init__.py", "..\\..\\Scripts\\hello.exe"),
            f"{WINDOWS}/hello-1.0.dist-info/entry_points.txt": _POINTS,
        },
    )
    names = ["python.exe", "python3.dll", "python312.dll", "vcruntime140.dll", "DLLs/_ssl.pyd"]
    names += ["DLLs/_tkinter.pyd", "DLLs/tcl86t.dll", "DLLs/libcrypto-3.dll"]
    texts = ["os.py", "site.py", "json/__init__.py", "test/test_os.py", "tkinter/__init__.py"]
    _write(base, dict.fromkeys(names, small_pe()))
    _write(base, {"pythonw.exe": small_pe(gui=True), "LICENSE.txt": "licence\n"})
    _write(base, {f"Lib/{name}": f"# {name}\n" for name in texts})
    _write(base, {f"Lib/venv/scripts/nt/{n}.exe": small_pe() for n in ("python", "pythonw")})
    _dated(base)
    _dated(env)
    return env


def _macos(root: Path) -> Path:
    """Make what uv makes on a Mac, and an interpreter that finds its libraries itself."""
    base, env = root / "python", root / "env"
    lib = "lib/python3.12"
    _write(
        base,
        {
            f"{lib}/os.py": "x = 1\n",
            f"{lib}/test/test_os.py": "",
            f"{lib}/lib-dynload/_ssl.cpython-312-darwin.so": module(
                "@rpath/libssl.3.dylib", rpaths=["@loader_path/../.."]
            ),
            "lib/libssl.3.dylib": module("@loader_path/libcrypto.3.dylib", kind=LIBRARY),
            "lib/libcrypto.3.dylib": module(kind=LIBRARY, minos=(12, 1)),
            "lib/libpython3.12.dylib": module(kind=LIBRARY),
            "bin/python3.12": module(
                "@executable_path/../lib/libpython3.12.dylib", kind=EXECUTABLE
            ),
        },
        "bin/python3.12",
    )
    _write(
        env,
        {
            "bin/python3.12": "-> ../../python/bin/python3.12",
            "bin/python": "-> python3.12",
            "pyvenv.cfg": f"home = {base}/bin\nversion_info = 3.12.4\nuv = 0.8.0\n",
            "bin/activate": f"VIRTUAL_ENV={HOME}\nexport VIRTUAL_ENV\n",
            "bin/hello": f"#!{HOME}/bin/python3.12\n{_STARTS_HELLO}",
            f"{MAC}/hello/__init__.py": "def main():\n    print('hello')\n",
            f"{MAC}/hello/x.so": module(minos=(13, 2)),
            f"{MAC}/.DS_Store": b"\0\0\0\1Bud1",
            **_distribution(MAC, "hello", "hello/__init__.py", "../../../bin/hello"),
            f"{MAC}/hello-1.0.dist-info/entry_points.txt": _POINTS,
        },
        "bin/hello",
    )
    _dated(base)
    _dated(env)
    return env


def _wheel(root: Path) -> str:
    """Make a wheel of `hello` with each kind of file."""
    files = {
        "hello/__init__.py": b"main = print\n",
        "hello/sub/data.bin": bytes(range(256)),
        "hello-2.0.data/scripts/tool": b"#!python\nprint(1)\n",
        "hello-2.0.data/data/share/hello.toml": b"x = 1\n",
        "hello-2.0.dist-info/entry_points.txt": b"[console_scripts]\nhello = hello:main\n"
        b"also = hello:main\n[gui_scripts]\npanel = hello:main\n",
    }
    return str(make_wheel(root, files, "hello-2.0-py3-none-any.whl", b"Requires-Dist: six\n"))


# packing, and reading what was packed


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _inner(path: Path) -> bytes:
    """Return the tar in a compressed archive."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return bytes(zstd.decompress(data))
    decompress = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
    return decompress[path.suffix](data)


def _listing(path: Path) -> list[tuple[object, ...]]:
    """Return all that a zip archive says of its members but what compressing changes."""
    with zipfile.ZipFile(path) as archive:
        return [
            (i.filename, i.file_size, i.CRC, i.external_attr, i.date_time, i.flag_bits, i.extra)
            for i in archive.infolist()
        ]


def packed(root: Path, prefix: Path, **table: Any) -> tuple[str, ...]:
    """Pack in every format and return what identifies an archive in each of them."""
    options = {"interpreter": "target"} | {k.replace("_", "-"): v for k, v in table.items()}

    def one(*formats: str, level: int | None = None) -> dict[str, Any]:
        own = {} if level is None else {"compression-level": level}
        parsed = PackOptions.from_mapping({**options, "format": list(formats), **own})
        results = pack(prefix, root / f"out{level}/app", parsed)
        return dict(zip(formats, results, strict=True))

    tar = one("tar")["tar"]
    found = [tar.content_digest, _sha256(tar.path.read_bytes())]
    assert tar.sha256 == found[1]
    compressed = one("tar.gz", "tar.bz2", "tar.xz", "tar.zst", level=3)
    for result in compressed.values():
        assert _sha256(_inner(result.path)) == tar.sha256, result.path.name
        assert result.content_digest == tar.content_digest
        assert result.entry_count == tar.entry_count
    if str(options["interpreter"]).startswith("/"):  # which no zip can hold a link to
        return tuple(found)
    stored, deflated = one("zip", level=0)["zip"], one("zip", level=3)["zip"]
    assert stored.content_digest == deflated.content_digest == tar.content_digest
    assert _listing(stored.path) == _listing(deflated.path)
    return (*found, _sha256(stored.path.read_bytes()))


def check(name: str, found: tuple[str, ...]) -> None:
    """Compare with what is recorded."""
    assert found == RECORDED.get(name), f"{name!r}: {found!r},"


# tests


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("as it is", {}),
        ("without a top folder or records", {"install_target": ".", "record_files": "exclude"}),
        (
            "chosen files",
            {
                "exclude_files": ["@tests", "share/", "!share/RECORD", "*.json"],
                "include_files": ["*.pyc", "direct_url.json", f"{POSIX}/sitecustomize.py"],
            },
        ),
        ("what is required", {"distributions": "required", "keep": ["hello"]}),
        ("promised", {"interpreter": PROMISED}),
    ],
)
def test_an_environment_of_linux(root: Path, name: str, table: dict[str, Any]) -> None:
    """Launchers, RECORD, `.pth` files, links, names and times of an environment are as recorded."""
    check(f"Linux, {name}", packed(root, _linux(root), **table))


def test_a_wheel_laid_over_an_environment(root: Path) -> None:
    """What a wheel brings, its launchers and its RECORD among it, is as recorded."""
    check("Linux, a wheel", packed(root, _linux(root), wheels=[_wheel(root)]))


def test_an_environment_beside_neighbours(root: Path) -> None:
    """Links to neighbours, and what is written of layers and their runtime, are as recorded."""
    layers = root / "layers"
    for name in ("runtime", "framework"):
        _write(
            layers / name,
            {
                **_interpreter("../../../base"),
                f"{POSIX}/{name}.py": "",
                **_distribution(POSIX, name, f"{name}.py"),
            },
        )
    app = layers / "app"
    _write(
        app,
        {
            **_interpreter("../../../base"),
            f"{POSIX}/app.py": "def main():\n    pass\n",
            **_distribution(POSIX, "app", "app.py", more="Requires-Dist: framework\n"),
            f"{POSIX}/app-1.0.dist-info/entry_points.txt": "[console_scripts]\napp = app:main\n",
            "bin/app": f"#!{app}/bin/python\nimport sys\nfrom app import main\nsys.exit(main())\n",
        },
        "bin/app",
    )
    (app / "data").symlink_to(layers / f"framework/{POSIX}/framework.py")
    _dated(layers)
    found = packed(
        root,
        app,
        containing_dir=str(layers),
        layers=[str(layers / "framework")],
        distributions="required",
        keep=["app"],
    )
    check("Linux, neighbours", found)


@pytest.mark.parametrize("trim", ["none", "default", "minimal"])
def test_an_environment_of_windows_with_its_interpreter(root: Path, trim: str) -> None:
    """A bundle for Windows, whatever stays out of it, is as recorded."""
    env = _windows(root, bundled=True)
    check(f"Windows, {trim}", packed(root, env, interpreter="bundled", interpreter_trim=trim))


def test_an_environment_of_windows_without_its_interpreter(root: Path) -> None:
    """An archive for a Windows that provides Python is as recorded."""
    check("Windows, target", packed(root, _windows(root, bundled=False)))


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_an_environment_of_macos(root: Path, interpreter: str) -> None:
    """An archive for macOS, with its interpreter or without, is as recorded."""
    check(f"macOS, {interpreter}", packed(root, _macos(root), interpreter=interpreter))


@pytest.mark.parametrize("system", ["Linux", "Windows", "macOS"])
def test_the_functions_for_callers_with_their_own_configuration(root: Path, system: str) -> None:
    """`create_archive`, with the files' own times and with later ones clamped, is as recorded."""
    makers: dict[str, Callable[[Path], Path]] = {
        "Linux": _linux,
        "macOS": _macos,
        "Windows": partial(_windows, bundled=False),
    }
    env = makers[system](root)

    def made(format: str, name: str = "app", **more: Any) -> Path:
        return create_archive(env, root / "out" / name, show_progress=False, format=format, **more)

    tar = made("tar").read_bytes()
    for format in ("tar.gz", "tar.bz2", "tar.xz", "tar.zst"):
        assert _inner(made(format)) == tar, format
    latest = datetime.fromtimestamp(TIME + 9, UTC)
    clamped = made("tar", "clamped", clamp_mtime=latest, install_target="other").read_bytes()
    listing = repr(_listing(made("zip"))).encode()
    check(f"{system}, linked", tuple(map(_sha256, (tar, clamped, listing))))


def test_an_exported_folder_holds_what_the_archive_holds(root: Path) -> None:
    """`export_venv` writes the names, modes, times, links and bytes that `create_archive` does."""
    env = _linux(root)
    archive = create_archive(env, root / "app", show_progress=False, format="tar")
    exported = export_venv(env, root / "exported")
    with tarfile.open(archive) as tar:
        for member in tar:
            path = exported / member.name.partition("/")[2]
            status = path.lstat()
            assert int(status.st_mtime) == member.mtime, member.name
            if member.issym():
                assert os.readlink(path) == member.linkname
                continue
            assert status.st_mode & 0o777 == member.mode, member.name
            stream = tar.extractfile(member)
            assert stream is None or stream.read() == path.read_bytes(), member.name
