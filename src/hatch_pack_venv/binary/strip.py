"""What `strip --strip-all` does to an ELF file, without the tool: bytes to bytes.

Debug information and the symbol table are most of what a CPython built from source weighs
(3.12: 40 of 49 MB); the loader needs neither. They lie behind everything that is loaded, so that
the file is cut there and gets a shorter table of sections.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile


_SHF_ALLOC: Final = 0x2
_NAMES: Final = b".shstrtab"


def stripped(content: bytes) -> bytes:
    """Return an ELF file without what is never loaded; an unusual one as it is."""
    from elftools.elf.elffile import ELFFile  # 20 ms that most runs can do without

    elf = ELFFile(io.BytesIO(content))
    found = list(elf.iter_sections())
    sections = [section.header for section in found]
    kept = [0, *(i for i, header in enumerate(sections) if header.sh_flags & _SHF_ALLOC)]
    # Symbols name sections by number: those that stay must keep theirs.
    if len(sections) < 2 or kept != list(range(len(kept))):
        return content
    end = max(
        [segment.header.p_offset + segment.header.p_filesz for segment in elf.iter_segments()]
        + [
            header.sh_offset + header.sh_size
            for header in sections[: len(kept)]
            if header.sh_type != "SHT_NOBITS"
        ]
    )
    names, offsets = _names([found[index].name for index in kept])
    headers = b"".join(
        _header(elf, sections[index], sh_name=offsets[index]) for index in kept
    ) + _header(elf, sections[elf.header.e_shstrndx], **_names_section(names, offsets, end))
    start = -(-(end + len(names)) // 8) * 8
    data = content[:end] + names
    data = data.ljust(start, b"\0") + headers
    header = elf.header
    header.e_shoff, header.e_shnum, header.e_shstrndx = start, len(kept) + 1, len(kept)
    text: bytes = elf.structs.Elf_Ehdr.build(header)
    return data if len(data) >= len(content) else text + data[len(text) :]


def _names(names: list[str]) -> tuple[bytes, list[int]]:
    table, offsets = b"\0", []
    for name in [*names, _NAMES.decode()]:
        offsets.append(len(table) if name else 0)
        table += name.encode() + b"\0" if name else b""
    return table, offsets


def _names_section(names: bytes, offsets: list[int], offset: int) -> dict[str, int]:
    return {"sh_name": offsets[-1], "sh_offset": offset, "sh_size": len(names)}


def _header(elf: ELFFile, header: Any, **changes: int) -> bytes:
    for name, value in changes.items():
        header[name] = value
    text: bytes = elf.structs.Elf_Shdr.build(header)
    return text
