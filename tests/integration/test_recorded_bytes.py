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
    "Windows, default": (
        "17767bf8cb75cd9912ece59a3a45c59ca0c3902b0a03c1ba1a0e0a36d461e936",
        "47f8190e239cb839ea6438ac12c2388570cd7d31cd0bdb34af0855869b264fde",
        "781d05880fea7d56f1ada124c749a1e236f050001fbb7885575c0475c9028c63",
    ),
    "Windows, minimal": (
        "4de1d84cdf5ba99f51e22d58eb42e7a6145b3fc1630ddd9e455581c7f171aed2",
        "3f2e8a95ef1fd3ac8f8c1d919ecf26dff9b191ec2a71f47f9a95d7da46bebfb7",
        "30cf1dcebabcb561d85adcf9e66691c46c7ab03618355bfeaebfa99b6fcc3939",
    ),
    "Windows, target": (
        "73781df1dc0ef4b37636e9f419ea05989d600481708793ea2dc6fc6ae0f57f93",
        "440800d60ac1a649599cad3fe55b6927f3d4d1c48d80ad5cf0fbd9f82e0c9001",
        "4823d74830261c34fef28816f8222d0ce2d849bd532146efb00a3cc6dbe8c91e",
    ),
    "macOS, bundled": (
        "fa68dafe10425d048ff7abd6f3ab96d17a0316c4aefaa281c5cf1683d8fe6ede",
        "1b1ee4b9343c7de0fd8c349028f5501cd8e65cb15338891d318fe7d6fcdee12e",
        "30c077569da67fd0db5c0d43566cf89da5d23b6362d3542339e034824e97b9d1",
    ),
    "macOS, target": (
        "7b6a32efa03b6f3850233b0c5c7afe3509dd27a1dfdf8b1d1fe2423952cec17f",
        "9d68f319f6bdd28299c2463db0473c0c6162423486fc46245123bf4aaaa36c29",
        "9fa3d5c8fe02a00ec1a7742e1ea4e903458afd372944db9f91d9ec4b9162add4",
    ),
    "Linux, as it is": (
        "da609501a144fd257b41cead8fa277d856547706d5777db6a105750351c0bd73",
        "29dfac7df94115913c1cf15c70640454dca80ce5b8a2ff2f5e882a09ce1b359f",
        "da9dc463ccb3b7262cf32e0745ebeed756aae5fd8a5b6d7c8b720c396ca0e9e5",
    ),
    "Linux, linked": (
        "1ecee0d82fbf9d1ac3de0ccc74f6495a37d93d4a5cf673085c63a5454ceb2533",
        "b8b2603e6c6f5657ef5a4a45f8d9b80841a669c26a4e368a7a10351e049e76e5",
        "b65c04300f047f76b7d373022b42c3e4e559a46c5f4001d76f60f7ab21edf920",
    ),
    "Windows, linked": (
        "c8097279888921e9887d8a86cd78799201db5aca833c5ba5722ee4c0eb55c65c",
        "2fb4fa908a612f9d3a54d27c5da56fe934d590669e072e2f34de2466becda4c7",
        "a79c997782557f9850a8f2837637e9545576e845c19b54eb5d385bbbd96d8b70",
    ),
    "macOS, linked": (
        "3953a6976f04af5643bf9c10996c7ef5fd9a4b21b454fdaa3d5caa704d481bfb",
        "5e804692eb9794f0a4cbdc444ae9abfe5675b06b7c91e253f63de4b117e5c64a",
        "5c6c5c52fd8d30c84a0272dd5f4d0f884563e5a29f355fdc7035f3bd07e32c7b",
    ),
    "Linux, without a top folder or records": (
        "1ac13cc28c9da6cc6ea1780e21c20e95acb19514438fe011f49a2961883124a8",
        "bac09daaff54f30c036ca91f37d018fb23f45af3d7b702ba9a7ef99c8aa0d70d",
        "f456e0716239b5c77a9a121eac4c7cf65183f47803a3efe88f55d82157996a7d",
    ),
    "Linux, chosen files": (
        "0153f63268f095807c9ab5b6b330f8df22cd15f3ed54ecbb0702a4854a641746",
        "25a4885e5f16e6927c28fe97130ca6ff7c8ce11628875e27afc980187403d1c3",
        "4e39fb23de72fc85639f6e735506d8712d14fa9ec14e9fd591971b372d0f9a2d",
    ),
    "Linux, a wheel": (
        "c459ba7ddbbd4aa2e34c98dfff19d91dbaf0b1c7aca925a2c8d2867d0034b245",
        "821a8af859eb321d31168c44f203c6fb86e11c8359517dc1fb30750162132677",
        "5cd18415731dfadddfa2128c985fb4b3225fd991ff0789a40bd2ef627beb29c1",
    ),
    "Linux, neighbours": (
        "f64136a868921d3fe6f27bdf32c26caf70d29fa563e360d374864c7df79a9270",
        "60eac89010fa8d963fb50f0be527b4a5eff9f6122a0c4e1ff4bce6259597245f",
        "b59350d2183cebb4059924569cff7e8eaae55725f4daa8aa58b5d45e5bfa7626",
    ),
    "Windows, none": (
        "54e82ac28c9a04d942ee37ebe479e2e2777a64b09f9e103ad35b1b56f9c6c01f",
        "79fa19547baa1e1633b47f530c6420cef8c90f6fcd0bbcad2513efdcefdbf41b",
        "bcd83b13e7d5460f8c5a862b1f27c1327a8be1b54b1878ff1e08dc9ad42b8c96",
    ),
    "Linux, what is required": (
        "eb311d400b9965a4d7d5715cee11be32d8191a39b41fdf6ca5a049dcac31a0b7",
        "7e54d3c3b303a9fd6b6c3c3ba86157aabc488cfc420bfb43835d98254da2560d",
        "5a4c0668842017f49a0137543d8c4108e2be65657f5c93ddc96e58a3767d8271",
    ),
    "Linux, promised": (
        "b454fdd61c95d5e75c7f6d5144f2ed45a18b271916698068a8b014a3562bb0df",
        "af9542d95f7e1d25c1c9e8f95de4766cab715cc04b24a721fb0d6bfd74c98593",
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
        "debian": False,
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
