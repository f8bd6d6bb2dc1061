"""Archives unpacked by other programs: tar, bsdtar, unzip, Java and the compressors' own."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.archives import planned_content, written
from support.environments import run
from support.machine import has, needs, require

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.entries import SymlinkEntry
from hatch_pack_venv.model.formats import CompressionOptions
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan


FORMATS = [each for each in CompressionFormat if not each.runs_where_it_is]


READERS = {
    "tar": [
        ["tar", "-xf", "{archive}", "-C", "{out}"],
        ["bsdtar", "-xf", "{archive}", "-C", "{out}"],
    ],
    "zip": [
        ["unzip", "-q", "{archive}", "-d", "{out}"],
        ["bsdtar", "-xf", "{archive}", "-C", "{out}"],
    ],
}


CHECKS = {
    CompressionFormat.GZIP: ["gzip", "-t"],
    CompressionFormat.BZIP2: ["bzip2", "-t"],
    CompressionFormat.XZ: ["xz", "-t"],
    CompressionFormat.ZSTD: ["zstd", "-q", "-t"],
}


@pytest.mark.parametrize("format", FORMATS)
def test_other_programs_unpack_it(
    tmp_path: Path, large: PackPlan, format: CompressionFormat
) -> None:
    """GNU tar, bsdtar and unzip find every file; the compressor's own program finds no fault."""
    path = written(large, tmp_path / "a", format, 2)
    if format in CHECKS:
        require(CHECKS[format][0])
        run(*CHECKS[format], path)
    expected = {
        name: content for name, kind, _, content in planned_content(large, format) if kind == "file"
    }
    readers = READERS["tar" if format.is_tar_format else "zip"]
    for number, command in enumerate(each for each in readers if has(each[0])):
        out = tmp_path / str(number)
        out.mkdir()
        run(*(part.format(archive=path, out=out) for part in command))
        found = {
            each.relative_to(out).as_posix(): each.read_bytes()
            for each in out.rglob("*")
            if each.is_file() and not each.is_symlink()
        }
        found.pop("app/share/venv/metadata/pack-venv.json")
        assert found == expected
    require(*(command[0] for command in readers))


@pytest.mark.parametrize("command", READERS["zip"], ids=lambda words: words[0])
def test_other_programs_restore_links_in_zip_files(
    tmp_path: Path, large: PackPlan, command: list[str]
) -> None:
    """unzip and bsdtar restore the planned links, and the result verifies."""
    require(command[0])
    with_links = CompressionOptions(zip_links=True)
    (result,) = write_archives(
        large, tmp_path / "a", [CompressionFormat.ZIP], compression=with_links
    )
    (plain,) = write_archives(large, tmp_path / "b", [CompressionFormat.ZIP])
    assert result.size < plain.size
    assert result.content_digest == plain.content_digest
    out = tmp_path / "out"
    out.mkdir()
    run(*(part.format(archive=result.path, out=out) for part in command))
    planned = [each for each in large.entries if isinstance(each, SymlinkEntry)]
    links = {each.arcname: each.linkname for each in planned}
    found = {str(p.relative_to(out / "app")): p for p in out.rglob("*") if p.is_symlink()}
    assert links
    assert {name: os.readlink(path) for name, path in found.items()} == links
    assert verify(result.path).findings == verify(out / "app").findings == ()


JAVA = """
import java.io.*; import java.nio.file.*; import java.security.*; import java.util.zip.*;
class Read {
    public static void main(String[] a) throws Exception {
        System.out.println(sum(new GZIPInputStream(new FileInputStream(a[0]))));
        try (ZipInputStream zip = new ZipInputStream(new FileInputStream(a[1]))) {
            for (ZipEntry e; (e = zip.getNextEntry()) != null; )
                System.out.println(e.getName() + " " + sum(zip));
        }
        try (ZipFile zip = new ZipFile(a[1])) { System.out.println(zip.size()); }
    }
    static String sum(InputStream in) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        in.transferTo(new DigestOutputStream(OutputStream.nullOutputStream(), digest));
        return String.format("%064x", new java.math.BigInteger(1, digest.digest()));
    }
}
"""


@needs("java", "javac")
def test_java_reads_gzip_and_zip(tmp_path: Path, large: PackPlan) -> None:
    """Java's own streams, which Spark unpacks with, give the same bytes."""
    (tmp_path / "Read.java").write_text(JAVA)
    gz = written(large, tmp_path / "a", CompressionFormat.GZIP, 2)
    zipped = written(large, tmp_path / "a", CompressionFormat.ZIP, 2)
    tar = written(large, tmp_path / "a", CompressionFormat.UNCOMPRESSED, 2)
    lines = run("java", tmp_path / "Read.java", gz, zipped).splitlines()
    assert lines[0] == hashlib.sha256(tar.read_bytes()).hexdigest()
    with zipfile.ZipFile(zipped) as expected:
        assert lines[1:-1] == [
            f"{name} {hashlib.sha256(expected.read(name)).hexdigest()}"
            for name in expected.namelist()
        ]
        assert lines[-1] == str(len(expected.namelist()))


@needs("xz")
def test_xz_is_one_stream_of_blocks(tmp_path: Path, large: PackPlan) -> None:
    """An xz file is one stream, as some readers stop after the first; machine code is filtered."""
    path = written(large, tmp_path / "a", CompressionFormat.XZ, 2)
    listing = run("xz", "--list", "--robot", "--verbose", "--verbose", path)
    rows = [line.split("\t") for line in listing.splitlines()]
    assert [row[1] for row in rows if row[0] == "stream"] == ["1"]
    blocks = [(int(row[7]), row[-1]) for row in rows if row[0] == "block"]
    native = [size for size, filters in blocks if "--x86" in filters]
    others = [size for size, filters in blocks if "--x86" not in filters]
    assert len(native) == 2
    assert min(native) > 1 << 20, "what is left over is no block of its own"
    assert len(others) >= 5
    assert max(others[-2:]) <= 1 << 20, "the last ones are small"
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    decoder.decompress(path.read_bytes())
    assert decoder.eof
    assert not decoder.unused_data


def test_the_programs_are_there() -> None:
    """Nothing here is left untested for want of a program."""
    programs = ["tar", "bsdtar", "unzip", "gzip", "bzip2", "xz", "zstd", "java"]
    require(*programs)
    assert [program for program in programs if shutil.which(program) is None] == []
