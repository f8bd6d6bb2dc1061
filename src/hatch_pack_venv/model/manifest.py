"""The manifest: the archive's last entry, which describes the archive and lists its contents.

It is a function of the plan and of the hashes computed by the writer.
"""

from __future__ import annotations

import hashlib
import io
import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from .entries import SAFE_MODE, DirectoryEntry, FileEntry, SymlinkEntry, mode_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sized

    from .distribution import InstalledDistribution
    from .entries import Entry
    from .environment import Environment
    from .requirements import PlatformRequirements


FORMAT_VERSION: Final = 1
_BY_NAME: Final = attrgetter("arcname")
_quoted: Final = json.encoder.encode_basestring_ascii
ARCNAME: Final = "share/venv/metadata/pack-venv.json"
SIZE_LIMIT: Final = 1 << 28
"""The most bytes that readers accept; a million files take about 200 MB."""


_NAMED: Final = {"name": str, "version": (str, type(None))}
_FLOOR: Final = {"version": str, "file": str}
_LAYER: Final = {
    "path": str,
    "python_version?": str,
    "site_packages?": [str],
    "distributions": [_NAMED],
    "content_digest?": (str, type(None)),
    "python?": str,
}
_LIBRARY: Final = {
    "name": str,
    "package?": str,
    "version?": str,
    "license?": str,
    "purl?": str,
}
_LINK: Final = {"path": str, "target": str}
_SHAPE: Final[dict[str, Any]] = {
    "format_version": int,
    "name?": (str, type(None)),
    "version?": (str, type(None)),
    "interpreter?": str,
    "interpreter_path?": str,
    "python": {
        "version?": str,
        "implementation?": str,
        "abi?": str,
        "cache_tag?": (str, type(None)),
        "pointer_bits?": int,
    },
    "platform": {
        "system?": str,
        "machine?": str,
        "tag?": str,
        "glibc?": _FLOOR,
        "glibcxx?": _FLOOR,
        "macos?": _FLOOR,
        "windows?": _FLOOR,
        "path_budget?": {"longest_member?": str, "longest_member_length?": int},
        "seldom?": [{"version": str, "file": str, "module": str}],
    },
    "layout?": {
        "scripts?": str,
        "site_packages?": [str],
        "include_system_site_packages?": bool,
        "prompt?": (str, type(None)),
    },
    "distributions?": [_NAMED],
    "base_distributions?": [_NAMED],
    "bundle?": {
        "package?": (dict, type(None)),
        "libraries": [_LIBRARY],
        "left_to_the_target?": dict,
    },
    "target_libraries?": [{"name": str, "file": str, "folder?": str}],
    "neighbours?": {
        "layers?": [_LAYER],
        "base_runtime?": _LAYER,
        "dynlib_dirs?": [str],
        "linked?": [str],
    },
    "content_digest": str,
    "directories": [str],
    "directory_modes?": dict,
    "links": [_LINK],
    "copied_links": [_LINK],
    "files": list,
}
"""The types of what readers use; a key with `?` may be absent, and other keys may be present."""


def has_shape(data: Any) -> bool:
    """Whether parsed JSON has a manifest's keys and their types; callers check the files listed."""
    return fits(data, _SHAPE)


def fits(data: Any, shape: Any) -> bool:
    """Whether parsed JSON has a shape: keys with `?` may be absent, a tuple lists types."""
    match shape:
        case dict():
            return isinstance(data, dict) and all(
                fits(data[name], kind) if name in data else key.endswith("?")
                for key, kind in shape.items()
                for name in (key.removesuffix("?"),)
            )
        case [kind]:
            return isinstance(data, list) and all(fits(each, kind) for each in data)
        case tuple():
            return type(data) in shape
    return type(data) is shape


def manifest_head(
    environment: Environment,
    distributions: Iterable[InstalledDistribution],
    *,
    name: str,
    version: str | None,
    interpreter: str,
    needs: PlatformRequirements,
) -> dict[str, Any]:
    """Return the part of the manifest before the list of files.

    Parameters:
        distributions: the packed distributions.
        name, version: those of the project, or of the environment.
        interpreter: `bundled`, `target`, `promised` or `neighbour`.
        needs: what the packed files require of the target's system.
    """
    python = environment.interpreter
    packed = sorted(distributions, key=lambda distribution: distribution.key)
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "version": version,
        "interpreter": interpreter,
        "python": {
            "version": python.version,
            "implementation": python.implementation,
            "abi": python.abi,
            "cache_tag": python.cache_tag,
            "pointer_bits": python.pointer_bits,
        },
        "platform": {
            "system": python.system,
            "machine": python.machine,
            **needs.facts(python.platform_tag),
        },
        "layout": {
            "scripts": environment.scripts,
            "site_packages": list(environment.site_packages),
            "include_system_site_packages": environment.include_system_site_packages,
            "prompt": environment.prompt,
        },
        "distributions": [{"name": each.name, "version": each.version} for each in packed],
    }


def content_digest(entries: Iterable[Entry], sha256: Callable[[str], str]) -> str:
    """Return the SHA-256 over names, kinds, modes, link texts and file hashes.

    It covers neither times, nor the order of entries, nor how a format encodes any of this; hence
    it is the same for every format and compressor.

    Parameters:
        sha256: returns a file's hash as hexadecimal digits, given its arcname.
    """
    return digest_of(told(sorted(entries, key=_BY_NAME), sha256))


def told(entries: Iterable[Entry], sha256: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield each entry's arcname and the text that the content digest covers."""
    for entry in entries:
        name = _quoted(entry.arcname)
        match entry:
            case FileEntry():
                line = f'["file", {name}, "{mode_of(entry):o}", "{sha256(entry.arcname)}"]\n'
            case DirectoryEntry():
                mode = "" if mode_of(entry) == SAFE_MODE else f', "{mode_of(entry):o}"'
                line = f'["directory", {name}{mode}]\n'
            case SymlinkEntry():
                line = f'["link", {name}, {_quoted(entry.linkname)}]\n'
        yield entry.arcname, line


def digest_of(entries: Iterable[tuple[str, str]]) -> str:
    """Return the content digest of entries as yielded by `told`, in the order of their names."""
    digest = hashlib.sha256()
    for _, line in entries:
        digest.update(line.encode())
    return digest.hexdigest()


def entry_count(entries: Sized) -> int:
    """Return how many entries an archive or a folder has, the same for every format.

    The install target does not count, because a folder and an archive without one have the same
    content; a link counts as one, even where a format stores copies instead; so does the manifest.

    Parameters:
        entries: the planned entries and the documents, without the manifest.
    """
    return len(entries) + 1


def render_manifest(
    head: Mapping[str, Any],
    entries: Iterable[Entry],
    sha256: Callable[[str], str],
    copied: Iterable[SymlinkEntry] = (),
) -> bytes:
    """Return the manifest's text: the head, then every folder, link and file by name.

    Parameters:
        sha256: returns a file's hash as hexadecimal digits, given its arcname.
        copied: links that this format replaces with copies or omits; listing them allows the
            content digest to be recomputed from the archive's contents.
    """
    entries = sorted(entries, key=_BY_NAME)
    kept = {
        each.arcname: f"{mode_of(each):o}"
        for each in entries
        if isinstance(each, DirectoryEntry) and mode_of(each) != SAFE_MODE
    }
    lists = {
        "directories": [each.arcname for each in entries if isinstance(each, DirectoryEntry)],
        **({"directory_modes": kept} if kept else {}),
        "links": _listed(entry for entry in entries if isinstance(entry, SymlinkEntry)),
        "copied_links": _listed(copied),
    }
    lines = (
        _line(entry.arcname, entry.size, f"{mode_of(entry):o}", sha256(entry.arcname))
        for entry in entries
        if isinstance(entry, FileEntry)
    )
    return _with_own_digest({**head, **lists}, lines)


def _listed(links: Iterable[SymlinkEntry]) -> list[dict[str, str]]:
    return [{"path": link.arcname, "target": link.linkname} for link in links]


def render(manifest: Mapping[str, Any]) -> bytes:
    """Return the canonical text of a manifest.

    Each file takes one line, identical to what `json` would take ten times as long to write.
    """
    text = io.BytesIO()
    text.write(_start({key: value for key, value in manifest.items() if key != "files"}))
    _write_files(
        text,
        (
            _line(file["path"], file["size"], file["mode"], file["sha256"])
            for file in manifest["files"]
        ),
    )
    return text.getvalue()


def own_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's text without this digest; it detects damage."""
    return hashlib.sha256(render(manifest)).hexdigest()


def _with_own_digest(head: Mapping[str, Any], lines: Iterable[str]) -> bytes:
    """Return a text with its own digest in its head, without ever holding it in memory twice."""
    text, start = io.BytesIO(), _start(head)
    text.write(start + _OWN_DIGEST % (b"0" * 64))
    files = text.tell()
    _write_files(text, lines)
    digest = hashlib.sha256(start)
    with text.getbuffer() as written:
        digest.update(written[files:])
    text.seek(len(start))
    text.write(_OWN_DIGEST % digest.hexdigest().encode())
    return text.getvalue()


_OWN_DIGEST: Final = b',\n "manifest_sha256": "%b"'


def _start(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, indent=1).removesuffix("\n}").encode()


def _line(path: str, size: int, mode: str, sha256: str) -> str:
    return f'{{"path": {_quoted(path)}, "size": {size:d}, "mode": "{mode}", "sha256": "{sha256}"}}'


def _write_files(text: io.BytesIO, lines: Iterable[str]) -> None:
    between = b""
    text.write(b',\n "files": [\n  ')
    for line in lines:
        text.write(between)
        text.write(line.encode())
        between = b",\n  "
    text.write(b"\n ]\n}\n")
