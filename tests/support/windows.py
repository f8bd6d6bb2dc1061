"""Windows environments, interpreters and archives, laid out on this machine; Wine to run them.

Programs that run only on Windows are replaced by stubs with valid headers; wheels, launchers and
trampolines are real.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import distlib
import virtualenv
from distlib.scripts import ScriptMaker
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.scripts import Script
from installer.sources import WheelFile

from hatch_pack_venv import PackOptions
from hatch_pack_venv.binary.pe import PeFile
from support.binaries import programs_in, small_pe, with_resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_pack_venv.model.results import PackResult

BUILT_AT = r"C:\build\my app\.venv"


PYTHON = rf"{BUILT_AT}\Scripts\python.exe"


HOME = r"C:\Python312"


SITE = "Lib/site-packages"


CONFIGS = {
    "venv": "home = {home}\ninclude-system-site-packages = false\nversion = 3.12.4\n"
    "executable = {home}\\python.exe\ncommand = {home}\\python.exe -m venv {built_at}\n",
    "virtualenv": "home = {home}\nimplementation = CPython\nversion_info = 3.12.4.final.0\n"
    "virtualenv = 20.28.0\ninclude-system-site-packages = false\nbase-prefix = {home}\n"
    "base-exec-prefix = {home}\nbase-executable = {home}\\python.exe\nversion = 3.12.4\n",
    "uv": "home = {home}\nimplementation = CPython\nuv = 0.8.0\nversion_info = 3.12.4\n"
    "include-system-site-packages = false\n",
}


ACTIVATION = {
    "venv": ("Activate.ps1", "activate", "activate.bat", "deactivate.bat"),
    "virtualenv": (
        "activate",
        "activate.bat",
        "activate.fish",
        "activate.nu",
        "activate.ps1",
        "activate.xsh",
        "activate_this.py",
        "deactivate.bat",
        "pydoc.bat",
    ),
    "uv": (
        "activate",
        "activate.bat",
        "activate.csh",
        "activate.fish",
        "activate.nu",
        "activate.ps1",
        "activate_this.py",
        "deactivate.bat",
        "pydoc.bat",
    ),
}


PYTHONS = {
    "venv": ("python.exe", "pythonw.exe"),
    "virtualenv": ("python.exe", "python3.exe", "pythonw.exe", "pythonw3.exe"),
    "uv": ("python.exe", "pythonw.exe"),
}


def make_environment(
    prefix: Path,
    wheels: Iterable[Path] = (),
    *,
    by: str = "venv",
    home: str | Path = HOME,
    machine: str = "amd64",
) -> Path:
    """Lay out what a tool such as venv writes on Windows, and install wheels into it."""
    scripts = prefix / "Scripts"
    scripts.mkdir(parents=True)
    (prefix / SITE).mkdir(parents=True)
    (prefix / "Include").mkdir()
    config = CONFIGS[by].format(home=home, built_at=BUILT_AT)
    (prefix / "pyvenv.cfg").write_bytes(config.replace("\n", "\r\n").encode())
    for name in PYTHONS[by]:
        (scripts / name).write_bytes(small_pe(machine, gui="w" in name))
    for name in ACTIVATION[by]:
        (scripts / name).write_text(f'@set "VIRTUAL_ENV={BUILT_AT}"\r\n')
    for wheel in wheels:
        install_wheel(prefix, wheel, machine)
    return prefix


def install_wheel(prefix: Path, wheel: Path, machine: str = "amd64") -> None:
    """Install a wheel as pypa/installer does on Windows."""
    site = str(prefix / SITE)
    destination = SchemeDictionaryDestination(
        {
            "purelib": site,
            "platlib": site,
            "scripts": str(prefix / "Scripts"),
            "headers": str(prefix / "Include"),
            "data": str(prefix),
        },
        interpreter=rf"{BUILT_AT}\Scripts\python.exe",
        script_kind={"amd64": "win-amd64", "arm64": "win-arm64"}.get(machine, "win-ia32"),  # type: ignore[arg-type]
    )
    with WheelFile.open(wheel) as source:
        install(source, destination, {"INSTALLER": b"installer\n"})


def make_base(prefix: Path, *, minor: str = "3.12", kind: str = "python.org") -> Path:
    """Lay out an installed CPython for Windows.

    Parameters:
        kind: `python.org` (its installer and the NuGet packages) or `python-build-standalone`.
    """
    digits = minor.replace(".", "")
    redirectors = ("python", "pythonw") if minor < "3.13" else ("venvlauncher", "venvwlauncher")
    code = {
        "python.exe": (6, 0),
        "pythonw.exe": (6, 0),
        "python3.dll": (6, 0),
        f"python{digits}.dll": (6, 0),
        "vcruntime140.dll": (6, 0),
        "vcruntime140_1.dll": (6, 0),
        "DLLs/_ssl.pyd": (6, 0),
        "DLLs/_testcapi.pyd": (6, 0),
        "DLLs/_tkinter.pyd": (6, 0),
        "DLLs/libcrypto-3.dll": (6, 0),
        "DLLs/tcl86t.dll": (6, 0),
        "DLLs/tk86t.dll": (6, 0),
        "DLLs/unicodedata.pyd": (6, 0),
        **{f"Lib/venv/scripts/nt/{name}.exe": (6, 0) for name in redirectors},
        "Scripts/pip.exe": (5, 2),
    }
    texts = [
        "DLLs/py.ico",
        "Lib/LICENSE.txt",
        "Lib/ensurepip/__init__.py",
        "Lib/idlelib/__init__.py",
        "Lib/json/__init__.py",
        "Lib/json/__pycache__/__init__.cpython-312.pyc",
        "Lib/os.py",
        "Lib/site-packages/README.txt",
        "Lib/site-packages/pip/__init__.py",
        "Lib/site.py",
        "Lib/sysconfig.py",
        "Lib/test/test_os.py",
        "Lib/tkinter/__init__.py",
        "LICENSE.txt",
        "include/Python.h",
        f"libs/python{digits}.lib",
        "tcl/tcl8.6/init.tcl",
    ]
    if kind == "python.org":
        texts += ["Doc/html/index.html", "NEWS.txt", "Tools/scripts/x.py", "share/man/man1/x.1"]
    else:
        texts += ["Lib/EXTERNALLY-MANAGED", "BUILD", f"python{digits}.pdb"]
    for name, version in code.items():
        _write(prefix / name, small_pe(version=version, gui="w.exe" in name))
    for name in texts:
        _write(prefix / name, f"# {name}\n".encode())
    return prefix


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# launchers

BODY = b"import sys\n\nsys.exit('; '.join(['ran', *sys.argv[1:]]))\n"


def archived(body: bytes = BODY) -> bytes:
    """Return a zip archive that Python runs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), body)
    return stream.getvalue()


def distlib_launcher(folder: Path, specification: str, executable: str) -> Path:
    """Let distlib make a launcher for 64-bit Windows, as pip does there.

    Parameters:
        specification: `name = module:function`, or the file of a script in `folder`.
    """
    maker = ScriptMaker(str(folder), str(folder), add_launchers=True)
    maker._is_nt = True
    maker.clobber = maker.force = True
    maker.variants = {""}
    # distlib defines what it needs for launchers only on Windows.
    here = Path(distlib.__file__).parent
    maker._get_launcher = lambda kind: (here / f"{kind}64.exe").read_bytes()
    maker._build_shebang = lambda executable, options: b"#!" + executable + options + b"\n"
    maker.executable = executable
    (made,) = maker.make(specification)
    return Path(made)


def stub(section: str = "console", machine: str = "win-amd64") -> bytes:
    """Return distlib's launcher with nothing appended; pypa/installer has the same files."""
    made = Script("x", "x", "x", section).generate("x.exe", machine)[1]  # type: ignore[arg-type]
    return made[: made.rindex(b"#!x.exe")] if section == "console" else made[: made.rindex(b"#!")]


def old_stub() -> bytes:
    """Return a launcher as distlib had it before it supported relative interpreters."""
    word = "<launcher_dir>\\".encode("utf-16-le")
    return stub().replace(word, bytes(len(word)))


def trampolines(uv_wheel: Path) -> dict[str, bytes]:
    """Extract the trampolines from uv's program for Windows, by `console` and `gui`."""
    with zipfile.ZipFile(uv_wheel) as wheel:
        name = next(each for each in wheel.namelist() if each.endswith("/uv.exe"))
        found = programs_in(wheel.read(name))
    marked = [each for each in found if "UV_PYTHON_PATH".encode("utf-16-le") in each]
    return {_section(each): each for each in marked}


def _section(program: bytes) -> str:
    (start,) = struct.unpack_from("<I", program, 0x3C)
    (subsystem,) = struct.unpack_from("<H", program, start + 24 + 68)
    return "gui" if subsystem == 2 else "console"


def uv_launcher(trampoline: bytes, python: str, body: bytes = BODY) -> bytes:
    """Return what uv writes for a script, as resources of its trampoline."""
    script = archived(f"#!{python}\n".encode() + body)
    resources = {
        "UV_TRAMPOLINE_KIND": b"\x01",
        "UV_PYTHON_PATH": python.encode(),
        "UV_SCRIPT_DATA": script,
    }
    return with_resources(trampoline, resources)


def old_uv_launcher(trampoline: bytes, python: str, *, magic: bytes = b"UVSC") -> bytes:
    """Return what earlier versions of uv wrote, appended to their trampoline."""
    path = python.encode()
    script = archived(f"#!{python}\n".encode() + BODY)
    return trampoline + script + path + struct.pack("<I", len(path)) + magic


def setuptools_launcher(bits: int = 64) -> bytes:
    """Return setuptools' launcher, from the wheel that virtualenv contains."""
    folder = Path(os.path.dirname(virtualenv.__file__), "seed", "wheels", "embed")
    wheel = max(folder.glob("setuptools-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"setuptools/cli-{bits}.exe")


MANIFEST = "share/venv/metadata/pack-venv.json"


def one(results: list[PackResult]) -> dict[str, bytes]:
    """Return the files of the only zip archive of a pack, by name below its top folder."""
    (result,) = results
    assert result.path.suffix == ".zip"
    return members(result.path)


def members(path: Path) -> dict[str, bytes]:
    """Return the files of a zip archive, none of which may be a link."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert not [i for i in archive.infolist() if i.external_attr >> 28 == 0xA]
        return {name.partition("/")[2]: archive.read(name) for name in names}


def options(**table: Any) -> PackOptions:
    """Return options from a table whose keys have underscores."""
    return PackOptions.from_mapping({key.replace("_", "-"): value for key, value in table.items()})


def shebang(launcher: bytes) -> str:
    """Return the `#!` line of a launcher like distlib's."""
    program = PeFile.from_bytes(launcher)
    assert program is not None
    return launcher[program.end :].partition(b"\n")[0].decode()


def facts(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the manifest."""
    found: dict[str, Any] = json.loads(files[MANIFEST])
    return found


# Replaces python.exe: Wine starts a file with `#!` as this system does, and does not wait for it.
# It gets Windows paths, whose drive Z: is the root, and records its own path and its output.
STAND_IN = f"""\
#!{sys.executable} -I
import json, os, re, subprocess, sys
drive = re.compile(r"^(?:[\\\\/]{{2}}[?][\\\\/])?Z:")
def here(path):
    return drive.sub("", path).replace("\\\\", "/") if drive.match(path) else path
command = [sys.executable, *map(here, sys.argv[1:])]
done = subprocess.run(command, capture_output=True, text=True)
said = os.environ["SAID"]
with open(said + ".new", "w") as stream:
    json.dump([os.path.realpath(here(__file__)), done.stdout + done.stderr], stream)
os.rename(said + ".new", said)
"""


def wine() -> str | None:
    """Return Wine's command."""
    return shutil.which("wine") if shutil.which("wineserver") else None


class Wine:
    """Wine with a drive C: of its own, which takes some seconds to make."""

    def __init__(self, prefix: Path) -> None:
        self.output = prefix / "output"
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(prefix),
            "WINEPREFIX": str(prefix / "drive"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *command: str | Path, **variables: str) -> list[str]:
        """Run a Windows program and return the lines that it writes."""
        # No pipe: what Wine leaves running for a while would keep it open.
        with self.output.open("wb") as output:
            subprocess.run(
                [wine() or "wine", *map(str, command)],
                env={**self.variables, **variables},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
        return self.output.read_text("utf-8", "replace").splitlines()

    def said(self, *command: str | Path, **variables: str) -> tuple[Path, str]:
        """Run a launcher; return the interpreter that it started, and that one's output."""
        said = self.output.with_name("said")
        said.unlink(missing_ok=True)
        output = self.run(*command, SAID=str(said), **variables)
        until = time.monotonic() + 30
        while not said.exists():
            assert time.monotonic() < until, output
            time.sleep(0.02)
        python, text = json.loads(said.read_text())
        return Path(python), text

    def stop(self) -> None:
        """End what Wine keeps running for this drive."""
        subprocess.run(["wineserver", "-k"], env=self.variables, check=False)


def running_wine(prefix: Path) -> Iterator[Wine]:
    """Yield Wine for as long as a fixture lasts."""
    prefix.mkdir()
    made = Wine(prefix)
    try:
        yield made
    finally:
        made.stop()
