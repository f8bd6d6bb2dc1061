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
        "3f037d186b1093028b1f0564d5ab404adf6b5b3d7e07be3a70864fd0316fda88",
        "5ae0a3335557a08f4066c31345cf1f35405562d85dfdeaf6cd5762e61ae7fc7f",
        "bd1d5a4215cc3dd4df1e5d6221d19e0b2067c5e4e92bb27a0041f9c6003eafb3",
    ),
    "Linux, without a top folder or records": (
        "42f2a22ae9d029d63ee554d0c9f2c6bbe6ba688c57458e69e918539933fc2e6a",
        "cead760e438e08db032af5c82fa311beb23d50f0bf4d34d91f567d45cffd85c0",
        "edb7bc1e4b2cddca96e4823e18326017e00b4d6b825ddc1f4b2b68beb04ef0f1",
    ),
    "Linux, chosen files": (
        "39c30ef6240796972f42c73da1d6897bff91f692a50ea8beaef1731194eb8f18",
        "0d65a70645c918540008fdb8fdc3908610ae6b426bd6e459afafebefdd96c225",
        "b15c2e421632a42c76aef35f2708ae27cfa7015dc4441b4e687d0c9ab25ec728",
    ),
    "Linux, what is required": (
        "c99f72626907c67c73773c57a86ce590e1b2758c1bc9b8a42c2d0c2b90fe19cf",
        "d0741181bcf368a8c52035f7ac25b0425be83c72772b2a74230a05b702a47e93",
        "848e66eada4a50cb791e2f4f55d42566d2f07d3bb5b606827ddb083b74461f1e",
    ),
    "Linux, promised": (
        "875c23c1cf104d0d47e0eab937ce67e135bccdd7bf1bcecbb3ade0cf1b030e6c",
        "370f91f25e1f1df99c2f0063df6a35fc3ab6c98f1331dd8608cd6d9f65fb9df2",
    ),
    "Linux, a wheel": (
        "93d824d8002258a2717ef05f4e52f29507887662aab5f8aca9ea850cf6b8fe14",
        "2bc804df247077fa204cdba8811cb3b5e1a8664501c553f5bbd2873d4b752770",
        "3bcb752f3cb14dcf66f6d7627a13f610f5787249ef0afdf1173388ceffb39b23",
    ),
    "Linux, neighbours": (
        "519dab0fdcd934689de1f533c305fe11c2e12912ac3f34552b8270a4893764d8",
        "6731555d667fdfaccedba636d346356b0fee3d07f24803e83f4b7728ab600bf8",
        "c05dcc10e5563d5af0d16d11e736430118710fc78e6fd9dab7559d3e334fd711",
    ),
    "Windows, none": (
        "abc8dd822939763325bcb58247efdbc8e9268b01a3b184f9cd0426fdc410bb66",
        "e59f3152e7e9b831078cf6fccc66d7999c658ebc83f0d86ed524ebd47a996002",
        "71d9e9e5042a2084e6b4290105c12c127417c473936aa7c144e6cc1cf0a8e1d8",
    ),
    "Windows, default": (
        "0b20d9fd2811e68cec0ca0281c4eb3242b8dc961ad3224135fa7260e24344822",
        "e2fa75123de4712abb44752fa5e28f7b08ff20198b1af8f1ad769105ca76a5f6",
        "83908e924c9eaab5ef2335129ea59d23a2ba7b2a4b19de6d5b80b53be9b659c0",
    ),
    "Windows, minimal": (
        "53f7cbafbe412c253cf85f00be4cf17ac60dbc8170b2060846bffbd8cdea2cfd",
        "e9d6d9bfc04ee0e8334133e431ff41f41c9e9fa7a5e06efccb471c43670eddf8",
        "9123c3d3fdbe536355a877a70986d6ed5433b56be5a2cdbfa7d6fff3c2998270",
    ),
    "Windows, target": (
        "a25fbd7fd08e6fcd7e24d76335d8a20c8f6d15e2c0ca4298d3a00ea1a99641d0",
        "9a986e0ed5e3eb4b99fbd875e3145170a10171f3203e0a9f7088ddd20cc71ed0",
        "796960f786be66f95f84d39a00be5f660b62b9c47a7a34983ebe1443a1b0ba74",
    ),
    "macOS, bundled": (
        "11b7230139815ecf24eefea5f7e61dacd3e6385bf3971653dae1d32d166451ff",
        "65e26c93ce9ed36b90b38d85c398456e9feb41f6362a27d19d38ebaa41a9c2e8",
        "aa16a3dc11aa920b87ac4703d8183331f5ab78e444d000cb61365e4738bb9f56",
    ),
    "macOS, target": (
        "d256ea9f82b635be7cc823cff8368ad476e6cffa1a9a6ffcbab2327e69c1037b",
        "fbea55caf49a97c9680a056f1c518d999490c35348a5edce2b48dd8d650b09bf",
        "f773720e5e0c06a8a9efdf2cce566a6422661db2fbe81870614825117b899c43",
    ),
    "Linux, linked": (
        "9b0ca8e197defe95f4350c7ab6133119ce3906eb0728b7b868db75166f455a47",
        "1e6392ca5eafe291efa4c6e0547efbe5a46336c8c3f1852493470e727fd3d9f2",
        "80d829de705aca716fdfcb67d6aa4134b707652f9d4a82d1290705632865e1c6",
    ),
    "Windows, linked": (
        "9abee8ced51047754ce58df949786b0c13966e16093c1e98efbb232beebafa50",
        "1dcbfc4d8b730979c57bba52701f6e7bf60ec994f6bf5c4f42d19ea80906b7ed",
        "cca750d1576cd853b08d9ebe0268dbbb64203c4f920f440a5ec94b45a0cd8b17",
    ),
    "macOS, linked": (
        "7c95ef1f88ad3deeff20b647c2915f0556a04df39ac2c6a8f4bfaa7f68f5dd70",
        "bfaf3fb9311ed2c19d3427f942438f4bf701ea99a62efa05a55f72ffd69ece8a",
        "69f9deff7d7ea9d614a0d5eb5a2db5a2bbb0862457100403059c0f85d990d4dd",
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
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
with open(sys.argv[-1]) as file:
    facts = json.load(file)
fixed = json.loads(os.environ["RECORDED_FACTS"])
with open(sys.argv[-1], "w") as file:
    json.dump({key: fixed.get(key, value) for key, value in facts.items()}, file)
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
