"""The readers of the damaged input, called by the routes that users take."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import sys
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

from support import fakes
from support.fakes import SITE, fake_interpreter

from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.binary.elf import DamagedElfError, ElfFile, ElfHeaders
from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.binary.macho import MachO
from hatch_pack_venv.binary.pe import PeFile
from hatch_pack_venv.binary.strip import has_appended_data, stripped
from hatch_pack_venv.cli.render import (
    Style,
    for_terminal,
    inspection_lines,
    preview_lines,
    verification_lines,
)
from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.metadata.files import parse_json, proven_archive
from hatch_pack_venv.metadata.path_files import keys_with_credentials
from hatch_pack_venv.model import manifest
from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import InterpreterProblem, PackVenvError
from hatch_pack_venv.model.interpreter import Interpreter
from hatch_pack_venv.plan.explain import preview
from hatch_pack_venv.platforms.macos.check import look_over
from hatch_pack_venv.platforms.posix.launchers import relocate_script
from hatch_pack_venv.platforms.windows.launchers import Home, kind_of, relocate_launcher
from hatch_pack_venv.read.inspect import inspect
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.requirements.lock import Lock
from hatch_pack_venv.scan import probe
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.wheels import WheelOverlay, described

from . import seeds
from .mutations import json_text, mutated, mutated_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A kind of input and what reads it.

    Parameters:
        make: returns an input.
        run: reads one; any exception other than `PackVenvError` is a find.
        memory: bytes that it may take.
    """

    name: str
    make: Callable[[Random], bytes]
    run: Callable[[bytes], None]
    memory: int = 64 << 20

    def try_(self, data: bytes) -> None:
        """Read an input; an error of one sentence is as good as a result."""
        try:
            self.run(data)
        except PackVenvError as error:
            _lines(error.for_terminal.splitlines())


@cache
def place() -> Path:
    """Return a folder for inputs that have to be files; every process makes its own."""
    return Path(mkdtemp(prefix="hatch-pack-venv-fuzz-"))


def clear() -> None:
    """Remove that folder."""
    if place.cache_info().currsize:
        shutil.rmtree(place(), ignore_errors=True)
        place.cache_clear()
        _prefix.cache_clear()
        _windows.cache_clear()


def _written(name: str, data: bytes) -> Path:
    path = place() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# an environment in which one file is damaged

_INFO: Final = f"{SITE}/demo-1.0.dist-info"
_OTHER: Final = f"{SITE}/other-2.dist-info"
_EGG: Final = f"{SITE}/third-3-py3.11.egg-info"
_WHOLE: Final[dict[str, bytes]] = {
    f"{_INFO}/METADATA": seeds.METADATA[0],
    f"{_INFO}/RECORD": seeds.RECORD[0],
    f"{_INFO}/entry_points.txt": seeds.ENTRY_POINTS[0],
    f"{_INFO}/direct_url.json": json.dumps(seeds.DIRECT_URL[0]).encode(),
    f"{SITE}/demo/__init__.py": b"",
    f"{SITE}/demo.pth": seeds.PATH_FILE[0],
    f"{SITE}/_finder.py": seeds.FINDERS[0],
    f"{_OTHER}/METADATA": b"Name: other\nVersion: 2\n",
    f"{_EGG}/PKG-INFO": b"Name: third\nVersion: 3\n",
    f"{_EGG}/requires.txt": seeds.REQUIRES[0],
    f"{_EGG}/top_level.txt": b"third\n",
    "pyvenv.cfg": seeds.CONFIG[0],
    "bin/demo": seeds.SCRIPTS[0],
    "bin/activate": seeds.SCRIPTS[3],
    "share/jupyter/kernels/x/kernel.json": json.dumps(seeds.KERNEL).encode(),
    "lib/pkgconfig/x.pc": seeds.PKG_CONFIG[0],
    "pip.conf": seeds.CREDENTIALS[0],
}
_STYLE: Final = Style()
_OPTIONS: Final = {"interpreter": "target", "editables": "copy", "check": "warn"}


@cache
def _prefix() -> Path:
    prefix = place() / "env"
    for name, content in _WHOLE.items():
        _written(f"env/{name}", content)
    base = _written("base/python3.11", b"\x7fELF")
    (prefix / "bin/python3.11").symlink_to(base)
    (prefix / "bin/python").symlink_to("python3.11")
    return prefix


def _planned(name: str, data: bytes) -> None:
    """Plan to pack an environment in which one file has the given content."""
    prefix = _prefix()
    path = prefix / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        options = PackOptions.from_mapping(_OPTIONS, "test")
        environment = read_environment(prefix, ask=fake_interpreter)
        plan = plan_source(Source.of(environment, options), None)
        _lines(preview_lines(preview(plan), _STYLE, every=True))
    finally:
        if name in _WHOLE:
            path.write_bytes(_WHOLE[name])
        else:
            path.unlink()


def _lines(lines: Iterable[str]) -> None:
    """Check lines as the terminal would get them."""
    for line in lines:
        assert for_terminal(line, _STYLE).isprintable()


@cache
def _windows() -> Path:
    prefix = place() / "windows"
    for name, content in {
        "Lib/site-packages/x.py": b"",
        "Scripts/python.exe": seeds.programs()[0],
        "pyvenv.cfg": seeds.CONFIG[1],
    }.items():
        _written(f"windows/{name}", content)
    return prefix


def _planned_for_windows(name: str, data: bytes) -> None:
    prefix = _windows()
    there = (prefix / name).read_bytes() if (prefix / name).exists() else None
    _written(f"windows/{name}", data)
    try:
        options = PackOptions.from_mapping(_OPTIONS, "test")
        plan_source(Source.of(read_environment(prefix), options), None)
    finally:
        if there is None:
            (prefix / name).unlink()
        else:
            _written(f"windows/{name}", there)


# single readers


def _elf(data: bytes) -> None:
    has_appended_data(data)
    path = _written("module.so", data)
    entry = FileEntry(arcname="x.so", content=str(path), size=len(data))
    HeaderReader().of(entry)
    with suppress(InterpreterProblem):
        found = ElfFile.from_path(path)
        if found is not None:
            found.with_search_path(("$ORIGIN",))
    with suppress(DamagedElfError), path.open("rb") as stream:
        headers = ElfHeaders.from_stream(stream)
        if headers is not None:
            headers.symbol_names(stream)
            headers.without_search_paths()
            for text in headers.search_paths:
                headers.is_shared(stream, text)
                headers.text_patch(text, "")
            stripped(data)


def _macho(data: bytes) -> None:
    found = MachO.from_stream(io.BytesIO(data))
    HeaderReader().of_content(data)
    if found is not None:
        look_over({"x.so": found}, {"x.so"}, ["/build"])


def _pe(data: bytes) -> None:
    PeFile.from_bytes(data)
    HeaderReader().of_content(data)
    kind_of(data)
    for name in ("x.exe", "x-script.py"):
        relocate_launcher(name, data, Home(folder="..\\"))
        relocate_launcher(name, data, Home(), EntryPoint(name="x", module="x", attr="main"))


def _script(data: bytes) -> None:
    relocate_script(data, ["/build/env"])


def _lock(data: bytes) -> None:
    path = _written("pylock.toml", data)
    markers = {"python_full_version": "3.11.7", "python_version": "3.11", "sys_platform": "linux"}
    installed = {"demo": fakes.distribution("demo", direct_url=json.dumps(seeds.DIRECT_URL[2]))}
    lock = Lock.from_path(path, markers, ["x"], others=["y"])
    lock.findings(installed, locked=installed.keys(), complete=True)


def _wheel(data: bytes, *, windows: bool) -> None:
    path = _written("my_app-2.0-py3-none-any.whl", data)
    environment = fakes.environment()
    if windows:
        environment = read_environment(_windows())
    with suppress(PackVenvError):
        described(path, environment)
    WheelOverlay.from_path(path, environment)


def _archive(suffix: str, data: bytes) -> None:
    path = _written(f"archives/app.{suffix}", data)
    with suppress(PackVenvError):
        checked = verify(path)
        json.dumps(checked.to_dict())
        _lines(verification_lines(checked, _STYLE))
    found = inspect(path)
    json.dumps(found.to_dict())
    _lines(inspection_lines(found, _STYLE))


def _manifest(data: bytes) -> None:
    """Read a manifest in an archive, in a folder, and on the target."""
    _archive("tar", _with_manifest(data))
    _written("unpacked/share/venv/metadata/pack-venv.json", data)
    _written("unpacked/pyvenv.cfg", b"home = /x\n")
    verify(place() / "unpacked")


def _postinstall(data: bytes) -> None:
    with suppress(postinstall.ConnectError):
        tree = postinstall.parse_manifest(data, "/opt/app")
        postinstall.pieces(tree, "/opt/python", "3.11.7")


def _with_manifest(data: bytes) -> bytes:
    tar = seeds.archives()["tar"]
    name = f"app/{manifest.ARCNAME}"
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        start = members.getmember(name).offset
    info = tarfile.TarInfo(name)
    info.size = len(data)
    padded = data + bytes(-len(data) % 512)
    return tar[:start] + info.tobuf(tarfile.GNU_FORMAT) + padded + bytes(1024)


def _sidecar(data: bytes) -> None:
    facts = _written("facts/app.tar.json", data)
    archive = _written("facts/app.tar", seeds.archives()["tar"])
    proven_archive(facts)
    proven_archive(facts, "app")
    checked = verify(archive)
    json.dumps(checked.to_dict())
    _lines(verification_lines(checked, _STYLE))


def _answer(data: bytes) -> None:
    try:
        facts = parse_json(data)
    except ValueError:
        return
    if probe._is_answer(facts):
        Interpreter(**{key: facts.get(key) for key in seeds.ANSWER})


def _options(data: bytes) -> None:
    """Read a table of options, unless it is longer than its author would write."""
    if len(data) > 1 << 14:
        return
    with suppress(UnicodeError, ValueError, RecursionError):
        table = json.loads(data)
        if isinstance(table, dict):
            with suppress(PackVenvError):
                PackOptions.from_mapping(table)


# inputs


def _damaged(found: Callable[[], Sequence[bytes]], *words: bytes) -> Callable[[Random], bytes]:
    return lambda source: mutated(source, found(), words)


def _fixed(found: Sequence[bytes], *words: bytes) -> Callable[[Random], bytes]:
    return _damaged(lambda: found, *words)


def _json(values: Callable[[], Sequence[Any]], *words: str) -> Callable[[Random], bytes]:
    return lambda source: json_text(source, mutated_json(source, source.choice(values()), words))


def _make_tar(suffix: str, source: Random) -> bytes:
    """Damage an archive, or the tar inside it, of which most checksums are then repaired."""
    found = seeds.archives()
    if source.randrange(2) and suffix != "tar":
        return mutated(source, [found[suffix]])
    words = (
        *(b"././@LongLink", b"ustar  \0", b"ustar\x0000", b"11 path=x\n", b"x", b"L", b"K"),
        *(b"17 linkpath=..\0z\n", bytes(512)),
    )
    data = mutated(source, [found["tar"]], words)
    if source.randrange(4):
        data = _with_check_sums(data)
    return _COMPRESS[suffix](data)


def _with_check_sums(data: bytes) -> bytes:
    repaired = bytearray(data)
    for start in range(0, len(data) - 511, 512):
        block = repaired[start : start + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            repaired[start + 148 : start + 156] = b"%06o\0 " % (sum(block) & 0o777777)
    return bytes(repaired)


_COMPRESS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "tar": bytes,
    "tar.gz": partial(gzip.compress, compresslevel=1),
    "tar.bz2": partial(bz2.compress, compresslevel=1),
    "tar.xz": partial(lzma.compress, preset=0),
    "tar.zst": zstd.compress,
}


def _make_zip(source: Random) -> bytes:
    """Damage a zip file; half of the time make the local headers agree with the directory."""
    words = (
        b"PK\1\2",
        b"PK\3\4",
        b"PK\5\6",
        b"PK\6\6",
        b"PK\6\7",
        b"\1\0\x10\0",
        b"../",
        b"up\7\0",
    )
    data = bytearray(mutated(source, [seeds.archives()["zip"]], words))
    if source.randrange(2):
        at = data.find(b"PK\1\2")
        while 0 <= at < len(data) - 46:
            start = int.from_bytes(data[at + 42 : at + 46], "little")
            if data[start : start + 4] == b"PK\3\4":
                data[start + 4 : start + 30] = data[at + 6 : at + 32]
            at = data.find(b"PK\1\2", at + 4)
    return bytes(data)


def _make_wrapped(suffix: str, source: Random) -> bytes:
    return mutated(source, [seeds.archives()[suffix]], (b"_pv_", b"sha256:", b"ustar", b"blobs/"))


def _make_squashfs(source: Random) -> bytes:
    """Damage an image without compressed tables, or one that mksquashfs made."""
    made = [seeds.hand_made_image()]
    if "squashfs" in seeds.archives() and not source.randrange(3):
        made = [seeds.archives()["squashfs"]]
    return mutated(source, made, (b"hsqs", b"\xff\xff\xff\xff", b"\1\0\xed\1", b"\t\0", b".."))


def _make_manifest(source: Random) -> bytes:
    changed = mutated_json(source, seeds.manifest(), ("..", "/etc/passwd", "lib", "bin/python3.11"))
    if source.randrange(2) and manifest.has_shape(changed):
        changed.pop("manifest_sha256", None)
        with suppress(KeyError, TypeError, ValueError):
            changed["manifest_sha256"] = manifest.own_digest(changed)
            return manifest.render(changed)
    return json_text(source, changed)


def _make_sidecar(source: Random) -> bytes:
    return json_text(source, mutated_json(source, json.loads(seeds.archives()["json"])))


_HEADERS: Final = (
    b"\n\n",
    b"Requires-Dist: ",
    b"Name: ",
    b"Version: ",
    b"\n ",
    b"; extra == ",
    b"@ x",
)
_JSON_FILES: Final = {
    "direct_url.json": (f"{_INFO}/direct_url.json", lambda: seeds.DIRECT_URL),
    "kernel.json": ("share/jupyter/kernels/x/kernel.json", lambda: [seeds.KERNEL]),
}
_TEXT_FILES: Final[dict[str, tuple[str, Sequence[bytes], Sequence[bytes]]]] = {
    "METADATA": (f"{_INFO}/METADATA", seeds.METADATA, _HEADERS),
    "PKG-INFO": (f"{_EGG}/PKG-INFO", seeds.METADATA, _HEADERS),
    "requires.txt": (f"{_EGG}/requires.txt", seeds.REQUIRES, (b"[x:", b"]", b"@ ")),
    "top_level.txt": (f"{_INFO}/top_level.txt", seeds.TOP_LEVEL, (b"..", b"*", b"x" * 300)),
    "RECORD": (f"{_INFO}/RECORD", seeds.RECORD, (b'"', b",", b"../", b"\\", b"//", b"/./")),
    "entry_points.txt": (
        f"{_INFO}/entry_points.txt",
        seeds.ENTRY_POINTS,
        (b"=", b":", b"[", b"%("),
    ),
    ".pth": (f"{SITE}/demo.pth", seeds.PATH_FILE, (b"import ", b"../", b"/", b"\n")),
    ".egg-link": (f"{SITE}/x.egg-link", seeds.EGG_LINK, (b"/", b"..")),
    "finder": (
        f"{SITE}/_finder.py",
        seeds.FINDERS,
        (b"MAPPING = {", b"{", b"(" * 300, b"map_module"),
    ),
    "pyvenv.cfg": ("pyvenv.cfg", seeds.CONFIG, (b" = ", b"version = ", b"home = ")),
    "script": (
        "bin/demo",
        seeds.SCRIPTS,
        (b"#!", b"'''", b"exec", b"coding: utf-16", b"\\\n", b";"),
    ),
    "activate": ("bin/activate", seeds.SCRIPTS, (b"VIRTUAL_ENV=", b"/bin/python")),
    ".pc": ("lib/pkgconfig/x.pc", seeds.PKG_CONFIG, (b"${", b"/build/env")),
    "pip.conf": ("pip.conf", seeds.CREDENTIALS, (b"://", b"@", b"=")),
}


def _build_folder(data: bytes) -> None:
    """Read a meson finder whose install plan has the given content."""
    build = place() / "build"
    _written("build/meson-info/intro-install_plan.json", data)
    finder = f"install('demo', {{'demo'}}, {str(build)!r}, [], False)\n"
    _planned(f"{SITE}/_finder.py", finder.encode())


def _credentials(data: bytes) -> None:
    keys_with_credentials(data)


def _found_targets() -> list[Target]:
    text = [
        Target(name=name, make=_fixed(found, *words), run=partial(_planned, path))
        for name, (path, found, words) in _TEXT_FILES.items()
    ]
    in_json = [
        Target(name=name, make=_json(values), run=partial(_planned, path))
        for name, (path, values) in _JSON_FILES.items()
    ]
    tars = [
        Target(
            name=name, make=partial(_make_tar, name), run=partial(_archive, name), memory=192 << 20
        )
        for name in _COMPRESS
    ]
    programs = _damaged(seeds.programs, b"MZ", b"PE\0\0", b"PK\5\6", b"#!", b"UVSC", b"\n")
    return [
        *text,
        *in_json,
        *tars,
        Target(name="zip", make=_make_zip, run=partial(_archive, "zip")),
        *(
            Target(name=name, make=partial(_make_wrapped, name), run=partial(_archive, name))
            for name in ("run", "oci")
        ),
        Target(name="squashfs", make=_make_squashfs, run=partial(_archive, "squashfs")),
        Target(name="manifest", make=_make_manifest, run=_manifest),
        Target(name="postinstall", make=_make_manifest, run=_postinstall),
        Target(name="sidecar", make=_make_sidecar, run=_sidecar),
        Target(name="ELF", make=_damaged(seeds.elf_files, b"\x7fELF"), run=_elf),
        Target(
            name="ELF in an environment",
            make=_damaged(seeds.elf_files),
            run=partial(_planned, f"{SITE}/demo/x.so"),
        ),
        Target(name="Mach-O", make=_damaged(seeds.macho_files), run=_macho),
        Target(name="PE", make=programs, run=_pe),
        Target(
            name="launcher", make=programs, run=partial(_planned_for_windows, "Scripts/demo.exe")
        ),
        Target(
            name="python.exe",
            make=programs,
            run=partial(_planned_for_windows, "Scripts/python.exe"),
        ),
        Target(
            name="pyvenv.cfg of Windows",
            make=_fixed(seeds.CONFIG, b"version = ", b"home = "),
            run=partial(_planned_for_windows, "pyvenv.cfg"),
        ),
        Target(name="launcher of POSIX", make=_fixed(seeds.SCRIPTS, b"'''", b"#!"), run=_script),
        Target(name="credentials", make=_fixed(seeds.CREDENTIALS, b"://", b"@"), run=_credentials),
        Target(name="install plan", make=_json(lambda: [seeds.INSTALL_PLAN]), run=_build_folder),
        Target(
            name="lock",
            make=_fixed(seeds.LOCKS, b"[[", b"[" * 2000, b"= {", b"'"),
            run=_lock,
            memory=256 << 20,  # regular expressions of `tomllib` take 100 times a long number
        ),
        Target(
            name="wheel", make=_damaged(seeds.wheels, b"PK\1\2"), run=partial(_wheel, windows=False)
        ),
        Target(
            name="wheel for Windows", make=_damaged(seeds.wheels), run=partial(_wheel, windows=True)
        ),
        Target(name="answer", make=_json(lambda: [seeds.ANSWER]), run=_answer),
        Target(name="options", make=_json(lambda: [seeds.TABLE]), run=_options),
    ]


TARGETS: Final = {target.name: target for target in _found_targets()}
