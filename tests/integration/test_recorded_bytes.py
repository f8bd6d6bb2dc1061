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
        "62552a95bb8f1008e11c21901706fbb4e88e54c57b826ec7a9b876e0bde78cb3",
        "5d8307735540bd50e95ce36ba4513126e2079cf4bc042e60793bdb9fd1c16334",
        "8db56c79b69db9da88b34f58ed655b89a368a916aa7eed0faf481cd967b4a3e4",
    ),
    "Windows, minimal": (
        "ac75e606a3bfc952fe94c8a9815184aae2f637686cc1da086a660b92b04d96b6",
        "f6a557e214c531b283f24f99abfc54c6a1127df469ce7fc69cd77d04974b5525",
        "93133f0ab8c9fdbcb86b392a3404b933def16cd71f5001a592929fc38d74ecc5",
    ),
    "Windows, target": (
        "e8a83837242e06bd2febd8207f2a3ace26d484a16dedbb3c4c13fbb25abc9e82",
        "803b04da330bbd13c3cab516b678f6e99eb24e3cb12c5b096e3619d3532160c3",
        "266dbcdbc39b19baf8c5086b0064fbfc3f295f7abd9671e42897a930f841c0a4",
    ),
    "macOS, bundled": (
        "93f1f1301c3e5f9b3329c117703ee01fbb3da0c192dbfdd5db877694a52327e2",
        "be36810793f66722dc965590484f0144782d1cb4ec7515f6cd67ca2e5579356d",
        "4a4de046b3305b2aeb5a7dc6ab62ec343316a9028366de7125d991c763ef2813",
    ),
    "macOS, target": (
        "0ce81aceea4a6459ca43f86a733679ddb06735d308d1a203772d74577166d84f",
        "c71a476be2bd983eee3e1ff10cdda0b125991fd8a1a8e469bd2475af4e8c1dad",
        "767c40ee6f951668e518674180ba0b331559b424a4c6620ff5e0965df23f5b90",
    ),
    "Linux, as it is": (
        "f1ca9599c50da7ac3d4f266f811342a1fb30e9c4769bfcf62b3df080e1de1d0f",
        "42e4623f1530d847b9990049ff561d7c993d61e74086713241801d4f6396e68d",
        "c5ac91747b9358d8316623a587107607f54f7e4bc16efac1b02b07bc747420c1",
    ),
    "Linux, linked": (
        "45b3ab71399f18c27fa8acfe5bfb338d4f4f5e3d7f2ad2125a0843260a3f7b96",
        "dda1da2fd70b6df8f1fbb12481b82959ed7a4aa5e3cd888d449b53dab7c96f75",
        "1dce36a6b3e828d907e97ef94e01ef1ad3925569bfc0d5e87436eeb7e5979213",
    ),
    "Windows, linked": (
        "6c0919a1b490c235cc8a69fbae5d87c6f49ee1879112fe74339946c5e965a5d4",
        "5e2b3f7b2b9d2ac8c1c83ce2a52848c3885d21df0e86ccd711bc6eb2469b4103",
        "e34d70adc9aeab4bb50e6b2386da5c41876e3609370b791c4e6094aff20299f2",
    ),
    "macOS, linked": (
        "586bab8abdf5ec60a8ef7382eefb6944a37af24a072f95e80aa25d700fe82831",
        "38774d5adb4d8ad5b09e03930d019b92a70c51d6aee508c06d8756d7c19cfc15",
        "93086807b883dad1d4a9407d629614ad54791cbac763b69f8aafabc4b67d29e8",
    ),
    "Linux, without a top folder or records": (
        "b924208e51f07106c89f09e42e2a7c8f953ac31d4c0f49464ef925ededa30d39",
        "7e79fb0db06647eecba8332cefde8786b6b13a5c97bc5ffd91b5e1ae2b6138b8",
        "4f4330b14deb12d6adc266ab17184d0180f0df2fe9e8ef8314eb6be380bbca57",
    ),
    "Linux, chosen files": (
        "3fb5682fda1f571b262d051bebdb8412a7909742b16f720ad837831e6ea7e882",
        "98fe820d1ccf0b4af71c7000349cfa5dce01922dde24a34f1702b85fbfe08571",
        "6105a33fc8fb1aac47e0330d742c1f01cb8ff4923ad5c6120e71605f8289fb31",
    ),
    "Linux, a wheel": (
        "642d0287e056bf058de7288f4d993b3237cfea6dcb02dd387a69cf849c95534d",
        "ee2dfd8d13d0b905e448ae4dc814c4250d8aff03bff06ac5a15c503e3a9a22e1",
        "980f825ee293e5f53ddf3334f44fe532eff294606f6e83758ed0e06543be3015",
    ),
    "Linux, neighbours": (
        "a4afc3376e87b60329d3f252b82728a3c639d14ee0ba1eda46ffd20525f19a97",
        "2346f06924df40a77b54a175433c002f67399daa9fba3f0dca9b792e2db84aa1",
        "293bf1e0ea25fb698f94c7ecc48a941b153bb85e0c625614ec2d1a4e13c31f15",
    ),
    "Windows, none": (
        "5cd85af158072a1715b31e984e5ccd03ee50de19df38da42927dae5d795ca8a6",
        "4ea5846603c9bae80e4dda248dc506d395fcd79c244fd434840c8989e7b74037",
        "5e13e6ed3cd8a46a255e0a8c4c07613bc62135a4b7b341fa5cb1baeb11209116",
    ),
    "Linux, what is required": (
        "913a3b40abf2e28d0cf3f9dc78e1d9fd60f94f9f1e73640be5c06866a14fb6af",
        "aa997298d212d25a37090d63feb3d86d23c7deaef05f0b558bb8f0aa936147d2",
        "70fe96fa7f3cc728c30cebdfabd7e9dadd8d51141c08397d11aa346f25d43d3f",
    ),
    "Linux, promised": (
        "2348c6ddc2ccb53fcce4b7b950608fdf24dcadf01dacf21ce47829f2d30fa43b",
        "be7fb18fe135525ba704be76764b399cfe037473079f77d36bd19fbda13fed3e",
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
