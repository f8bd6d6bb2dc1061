"""Licence notices: what is packed under which licence, and the texts that must accompany it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..metadata.licences import text_names
from .bom import purl_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..model.components import Bom, Component
    from ..model.distribution import InstalledDistribution
    from .bom import Parts
    from .packed_files import PackedFiles


_RULE: Final = "=" * 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The notice of one component; `texts` are the arcnames of its licence files."""

    component: Component
    texts: tuple[str, ...]


def notices(parts: Parts, bom: Bom) -> bytes:
    """Return the notices: each component with its licence, and each licence text once."""
    found = sorted(_notices(parts, bom), key=lambda each: each.component.label.casefold())
    numbers, titles = _numbered(parts.files, found)
    blocks = [_head(bom.root.label)]
    blocks += ["\n".join(_lines(each, numbers)) for each in found]
    blocks += [
        f"{_RULE}\n[{number}] {'; '.join(titles[number])}\n{_RULE}\n\n{text}"
        for text, number in _texts(parts.files, found, numbers)
    ]
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "backslashreplace")


def _head(name: str) -> str:
    return (
        f"Notices of {name}\n{'-' * len(f'Notices of {name}')}\n\n"
        "This is what is packed besides the application's own files, with the licence that each\n"
        "component states. The numbers refer to the texts below, which are as they were found."
    )


def _notices(parts: Parts, bom: Bom) -> Iterator[Notice]:
    owners = {purl_of(each): each for each in parts.distributions.values()}
    for each in bom.components:
        if each.kind != "operating-system":
            names = _text_names(parts, each, owners.get(each.ref))
            yield Notice(component=each, texts=tuple(names))


def _text_names(
    parts: Parts, component: Component, distribution: InstalledDistribution | None
) -> Iterable[str]:
    files = parts.files
    if distribution is not None:
        folder = distribution.metadata_dir
        return text_names(folder, files.of_metadata(folder), distribution.about.licence_files)
    if component.name == "CPython":
        minor = parts.environment.interpreter.minor
        places = (f"lib/python{minor}/LICENSE.txt", f"lib64/python{minor}/LICENSE.txt")
        own = [name for name in places if name in files.packed]
        return own or files.licences_of("python") or _of_package(parts)
    return files.licences_of(component.name)


def _of_package(parts: Parts) -> Iterable[str]:
    """Return the licence texts of the package that the interpreter came from."""
    package = parts.plan.head.get("bundle", {}).get("package") or {}
    return parts.files.licences_of(package.get("package", "python"))


def _numbered(
    files: PackedFiles, found: Iterable[Notice]
) -> tuple[dict[str, int], dict[int, list[str]]]:
    """Return each file's text number, and the titles of each number; equal texts share one."""
    by_text: dict[str, int] = {}
    numbers: dict[str, int] = {}
    titles: dict[int, list[str]] = {}
    for notice in found:
        for name in notice.texts:
            text = _text(files, name)
            if text is not None:
                number = numbers[name] = by_text.setdefault(text, len(by_text) + 1)
                title = f"{posixpath.basename(name)} of {notice.component.label}"
                titles.setdefault(number, []).append(title)
    return numbers, titles


def _texts(
    files: PackedFiles, found: Iterable[Notice], numbers: dict[str, int]
) -> Iterator[tuple[str, int]]:
    """Yield each text once, in the order of their numbers."""
    told: set[int] = set()
    for name in (name for notice in found for name in notice.texts if name in numbers):
        if numbers[name] not in told:
            told.add(numbers[name])
            yield _text(files, name) or "", numbers[name]


def _text(files: PackedFiles, name: str) -> str | None:
    """Return a licence file's text; `None` if it is not text, but a picture or the like."""
    text = files.text(name)
    if text is None or "\0" in text or not text.strip():
        return None
    return text.strip("\n").rstrip()


def _lines(notice: Notice, numbers: dict[str, int]) -> Iterator[str]:
    component = notice.component
    yield component.label
    licence = component.licence
    yield f"  licence: {'not stated' if licence is None else ' '.join(licence.text.split())}"
    if component.files:
        names = dict.fromkeys(posixpath.basename(name) for name in component.files)
        yield f"  files: {', '.join(names)}"
    texts = dict.fromkeys(f"[{numbers[name]}]" for name in notice.texts if name in numbers)
    yield f"  texts: {', '.join(texts) or 'none was found'}"
