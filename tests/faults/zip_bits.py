"""Flip every bit of a small zip in turn; what `verify` accepts unpacks to the same tree.

The tools are unzip, libarchive (bsdtar) and Python. Prints how many flips were refused, and which
fields the accepted ones are in. Exits with status 1 if a tool unpacked a different tree from a file
that was accepted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from support.fakes import file, folder, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.metadata.files import ZIP_DAMAGE
from hatch_pack_venv.model.errors import PackVenvError
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Callable


def small_zip(scratch: Path) -> Path:
    """Pack a program, a folder and a file."""
    planned = plan(file("bin/demo", b"#!python\n", executable=True), folder("e"), file("a", b"x"))
    (result,) = write_archives(planned, scratch / "small", [CompressionFormat.ZIP])
    result.path.with_name(f"{result.path.name}.json").unlink()
    return result.path


def _tree(root: Path) -> dict[str, object]:
    """Return the entries of a folder: their modes, and the contents of files."""
    return {
        path.relative_to(root).as_posix(): (
            path.stat().st_mode & 0o777,
            path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(root.rglob("*"))
    }


def _by_unzip(archive: Path, root: Path) -> None:
    subprocess.run(["unzip", "-qo", archive, "-d", root], check=True, capture_output=True)


def _by_libarchive(archive: Path, root: Path) -> None:
    subprocess.run(["bsdtar", "-xpf", archive, "-C", root], check=True, capture_output=True)


def _by_python(archive: Path, root: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(root)
        for info in zipped.infolist():
            (root / info.filename).chmod(info.external_attr >> 16 & 0o777)


_UNPACKERS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "unzip": _by_unzip,
    "bsdtar": _by_libarchive,
    "python": _by_python,
}


@dataclass(kw_only=True)
class Flipped:
    """What became of an archive with one bit flipped.

    Parameters:
        accepted: the bits, counted through the file, whose flip `verify` accepts.
        wrong: the accepted bits of which a tool made something else, and which tool.
    """

    refused: int = 0
    accepted: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def flipped(archive: Path, scratch: Path, stride: int = 1) -> Flipped:
    """Flip every bit of an archive, or one in `stride`; return what was accepted.

    Raises:
        PackVenvError, subprocess.CalledProcessError: the unchanged archive cannot be read.
    """
    there = [name for name in _UNPACKERS if name == "python" or shutil.which(name)]
    expected = {name: _unpacked(name, archive, scratch) for name in there}
    data = archive.read_bytes()
    changed = scratch / "changed.zip"
    found = Flipped()
    for bit in range(0, len(data) * 8, stride):
        content = bytearray(data)
        content[bit // 8] ^= 1 << bit % 8
        changed.write_bytes(content)
        if not _is_accepted(changed):
            found.refused += 1
            continue
        found.accepted.append(bit)
        for name in there:
            try:
                same = _unpacked(name, changed, scratch) == expected[name]
            except (subprocess.CalledProcessError, *ZIP_DAMAGE) as error:
                found.wrong.append(f"{name}, byte {bit // 8}, bit {bit % 8}: {error}")
                continue
            if not same:
                found.wrong.append(f"{name}, byte {bit // 8}, bit {bit % 8}: another tree")
    return found


def _is_accepted(archive: Path) -> bool:
    try:
        return verify(archive).is_whole
    except PackVenvError:
        return False


def _unpacked(name: str, archive: Path, scratch: Path) -> dict[str, object]:
    with TemporaryDirectory(dir=scratch) as root:
        _UNPACKERS[name](archive, Path(root))
        return _tree(Path(root))


# Names and widths in bytes, APPNOTE.TXT 4.3.7 and 4.3.12.
_LOCAL: Final = (
    "signature 4, version needed 2, flags 2, method 2, time 2, date 2, CRC 4, packed size 4,"
    " size 4, length of name 2, length of extra 2"
)
_CENTRAL: Final = (
    "signature 4, version made by 1, system 1, version needed 2, flags 2, method 2, time 2, date 2,"
    " CRC 4, packed size 4, size 4, length of name 2, length of extra 2, length of comment 2,"
    " disk 2, internal attributes 2, external attributes 4, offset 4"
)


def field_of(archive: Path, byte: int) -> str:
    """Return the field that a byte belongs to."""
    with zipfile.ZipFile(archive) as zipped:
        locals_ = [info.header_offset for info in zipped.infolist()]
        at = zipped.start_dir
        names = [len(info.orig_filename.encode()) for info in zipped.infolist()]
        extras = [len(info.extra) for info in zipped.infolist()]
    for start in locals_:
        if start <= byte < start + 30:
            return f"local header: {_field(_LOCAL, byte - start)}"
    for name, extra in zip(names, extras, strict=True):
        if at <= byte < at + 46:
            return f"directory: {_field(_CENTRAL, byte - at)}"
        at += 46 + name + extra
    return "end of the directory" if byte >= at else "names, extra fields and contents"


def _field(fields: str, offset: int) -> str:
    for each in fields.split(", "):
        name, _, width = each.rpartition(" ")
        if offset < int(width):
            return name
        offset -= int(width)
    raise AssertionError


def main() -> int:
    """Flip every bit."""
    with TemporaryDirectory(prefix="hatch-pack-venv-bits-") as scratch:
        archive = small_zip(Path(scratch))
        found = flipped(archive, Path(scratch))
        fields = Counter(field_of(archive, bit // 8) for bit in found.accepted)
        size = archive.stat().st_size
    print(f"{size} bytes: {found.refused} bits refused, {len(found.accepted)} accepted")
    print(*(f"  {name}: {count}" for name, count in fields.most_common()), sep="\n")
    print(*found.wrong, f"{len(found.wrong)} wrong", sep="\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
