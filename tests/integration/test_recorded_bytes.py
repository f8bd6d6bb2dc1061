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
        "c901b56b893152e309bfed536fc33405d908fce33bb452e55664f4845f221a56",
        "e3e252b7d44c12397b693965c3b1cc5929a05e856e8dcedc380f03f3519f44c9",
        "82a08e7b05fe8dc297d1dd4d6a695d0567d5f3c7cf921e3ff837c8a495c77847",
    ),
    "Linux, without a top folder or records": (
        "2cee94200431153550c8fbd004a53abab79f3bbc242ea4f29dbfe17005345e45",
        "de697896617a21c0df251146661385f171ff952f178e6348c2e1f28a302046a4",
        "dc6eebebcb4b37c8ad27b56306c7ae4c14a38b63a1282398c807c5097092b14c",
    ),
    "Linux, chosen files": (
        "175e784828c92850fec96b924f7551fb4ef154c3c9bed3d1497d698cd188d54b",
        "facc88f45db645bb49358834412558370aa11b9a19ecb9667d3228409e97f001",
        "275200e36231d31ac8e43147faf51d42a184e698a5d15d03591191def9cec9c6",
    ),
    "Linux, what is required": (
        "b4d262a72a04d70253b4e110c3ba2613a08886cbcbea913b26fc8b95eacead9c",
        "7e57d87c0889048f23f0fedee7c51de4f99c89e5f6c807e64aeeb59a75687dca",
        "ab4ad6ab83f8608afe52aa878227de6a2e4a7f62a5e18dc6ecd1905b1caff8c7",
    ),
    "Linux, promised": (
        "941c0befd984ddbb6cc438447a269ba24897ba08c69645b77c76c3ff5e68978c",
        "9f5d354241ed929693f132a5174cf145278eda6fc39c69b3420ac72f9f00c3d0",
    ),
    "Linux, a wheel": (
        "f13a5d138a8fe5eba6cd3907859e2251f5a3f88c8092b470138e53b0ddcf40c4",
        "d169ac43df57fe62ecef0bda2b448c65ba37c1b3f6b05407404fd58e3fd2c8dc",
        "a16a682de05e74e2d67d19e6791863676e1f880d29f1f9175effccd705a602ee",
    ),
    "Linux, neighbours": (
        "ed734823fb1aee0ffcf0aff4a3a17ac55fb2de993b47bc046a638869d34d7da3",
        "cd66a81e96e334a42253fb9b38539909e42a27980df5e173dea42534e7f446ea",
        "27165b169f2b862fe48ebd5d414abd411d8352a5ad8370aed9a1631038843208",
    ),
    "Windows, none": (
        "5ca43d35c7a5ca3747907000e81e4a13fd43229b339a723903da5bd0bf2c93e2",
        "4a4dd0653cd0d0190fdc2a75d9907748ad00bcc8b648bc8815f73f78b7e251d7",
        "28b70ad3e912e983229192d3f7a83c62c18f51be009ab52613d39c3bedbd3af0",
    ),
    "Windows, default": (
        "8cad64b0b95938b675eb4760e1a046cc25c6c42b420c71684da1a89df09af12d",
        "b3ab30a985596db06ee41cb31ec1599ad5a104ff802fefdae4aca49f9cc7e41e",
        "57ffcb2e4ef588ab9319ac9a762f972469183fe38b08ab421a5591a0e42ebb09",
    ),
    "Windows, minimal": (
        "4d72504944607adfd4a10eb2a7f0b80e76d67a63b50837a07950e3e7d96260de",
        "66d1955b0d4798e27510b36595a866802950573857a49d10d696fa1fb4d31582",
        "13b58f8eb1fea01f4b3b68f60292c516d5ac6bfcd0884e909df7bc8ca0d09d25",
    ),
    "Windows, target": (
        "205d8e2febe909d2318a12166ad9088a0183987e590c2e3a750cfc7e4f5cd355",
        "d2944f182f94cba6ba502810d5f2d46bdaa5c3e97dbff247d3bfa8e3a467aa3b",
        "ee7d32e1ddd5a3289a6cb709ad8005df6904d63aa1ea1a7b90f7d8b848121a7b",
    ),
    "macOS, bundled": (
        "3775ef46880753e34a65270c9777a44e5eacfbbae1ffcd213c72da54bff2b398",
        "a3c39327e0833118d09a3b4c18055dea3aa5b9fcce99393b62ee672d4a44211a",
        "b674e314025d0bbb53ec3952cfcd6f55921067a55547f26f6044157592b4e502",
    ),
    "macOS, target": (
        "666e477e135b2ffad2f9e312744e10378921612908847fa008c26c255091e488",
        "7f2f93cd0ca0bf4d0192eadb83221842ba937ceccd0bb44d23d526e86d1ce487",
        "c7e087929b9037c73ce2b1e91547adb086a1807e2fadda798eef77e18880904d",
    ),
    "Linux, linked": (
        "d2c9b1a75f7b2af1953fc0d6b2f2a911baca223531d11d78b5f7f329fdf00ee8",
        "c1543016f31e732ff00d26cae4fbaeae2d5257b533c219965e651e47fc8d32eb",
        "981e421623e146a70bce50db75d8851c43b91fe641ad07c2afb15f0213d63225",
    ),
    "Windows, linked": (
        "1fea3d30fca134124a9887ff693789af75e7882edd0540579719beaca9403d22",
        "cf329e204ddcc9602a5fc5bcb92b9452fcd499d3b6995a50a040435ed1dfc68f",
        "191433d800365a5491fcf4ada2efd14492edd25340a241dee33a8100a4373fe0",
    ),
    "macOS, linked": (
        "5cca0d2cb114b5070a335a20f6354f5353d17c227adc36d63657102dfc933fd9",
        "f0e64aac5f130fa8b87a334e5f66a8201f916a2baa59cbcd72dbbeade67b9b2c",
        "5209be9cd5f6459550a145854f6e57f192564f3043d7f96a2be5752be9d11889",
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
done = subprocess.run([sys.executable, *sys.argv[1:]], capture_output=True, text=True)
facts = json.loads(done.stdout)
fixed = json.loads(os.environ["RECORDED_FACTS"])
print(json.dumps({key: fixed.get(key, value) for key, value in facts.items()}))
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
