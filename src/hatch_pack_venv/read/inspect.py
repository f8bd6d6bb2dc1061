"""What an archive or an unpacked folder is, and what in it takes up the space."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name
from pathspec import GitIgnoreSpec

from ..config.values import PRESETS
from ..metadata.files import read_json
from ..metadata.record import rows_of
from ..model import manifest
from ..model.components import NOTICES, SBOM
from ..model.errors import ArchiveProblem, telling_system_errors
from ..model.results import silent
from .contents import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..model.results import Reporter


# In this order, so that what a preset would leave out is counted under its name.
_PRESETS: Final[Mapping[str, str]] = {
    "@tests": "tests",
    "@docs": "documentation",
    "@headers": "headers",
    "@static-libraries": "static libraries",
    "@type-stubs": "type stubs",
}
_SUFFIXES: Final[Mapping[str, str]] = {
    ".py": "Python source",
    ".pyw": "Python source",
    ".pyc": "byte code",
    ".so": "shared objects",
    ".pyd": "shared objects",
    ".dll": "shared objects",
    ".dylib": "shared objects",
    ".pyi": "type stubs",  # including those that the preset keeps
}
_VERSIONED: Final = re.compile(r"\.so(\.\d+)+$")  # libssl.so.3
KINDS: Final = (
    *dict.fromkeys([*_SUFFIXES.values(), *_PRESETS.values()]),
    "metadata",
    "programs",
    "data",
)
"""All kinds that there are."""


def kind_of(arcname: str) -> str:
    """Return the kind of a file below an install target.

    Byte code counts as such even if its source is a test; `programs` are the files in `bin` or
    `Scripts`, `metadata` those in `*.dist-info` or `*.egg-info` and the release documents.
    """
    folder, name = posixpath.split(arcname)
    suffix = posixpath.splitext(name)[1].lower()
    if suffix == ".pyc":
        return "byte code"
    if folder.rpartition("/")[2].endswith((".dist-info", ".egg-info")) or ".dist-info/" in folder:
        return "metadata"
    if arcname in (SBOM, NOTICES):
        return "metadata"
    for preset, kind in _PRESETS.items():
        if _spec(preset).match_file(arcname):
            return kind
    if folder in ("bin", "Scripts"):
        return "programs"
    if _VERSIONED.search(name):
        return "shared objects"
    return _SUFFIXES.get(suffix, "data")


@cache
def _spec(preset: str) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(PRESETS[preset])


_RUNTIME: Final = "the interpreter and its standard library"
_SCRIPTS: Final = "files of no distribution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that takes up space: a distribution, files of none, or a kind of file.

    Parameters:
        version: of a distribution; `None` for others.
        size: bytes of its files, unpacked; `None` if no RECORD lists them.
    """

    name: str
    version: str | None
    size: int | None
    file_count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON-compatible values."""
        return {
            "name": self.name,
            "version": self.version,
            "size": self.size,
            "file_count": self.file_count,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an archive or a folder is.

    Parameters:
        head: what the manifest says before it lists the files.
        packed_size: bytes of the archive; `None` for a folder.
        size: bytes of all files, unpacked.
        distributions, rest: largest first.
        kinds: of all files, largest first.
        shares: bytes by distribution, with its version, or group of other files, and by kind.
        left_out: what was left out of the environment, according to the `.json` next to an archive.
        needs_shell: whether it holds launchers that `/bin/sh` starts.
        proof: what ran before it was released, according to the `.json` next to it.
    """

    path: Path
    head: Mapping[str, Any]
    install_target: str
    packed_size: int | None
    size: int
    entry_count: int
    distributions: tuple[Part, ...]
    rest: tuple[Part, ...]
    kinds: tuple[Part, ...]
    shares: Mapping[str, Mapping[str, int]]
    left_out: tuple[Mapping[str, Any], ...] = ()
    needs_shell: bool = False
    proof: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values; the manifest's head keeps its own keys."""
        head = {key: value for key, value in self.head.items() if key != "distributions"}
        return {
            "path": str(self.path),
            "packed_size": self.packed_size,
            "size": self.size,
            "entry_count": self.entry_count,
            "install_target": self.install_target,
            "needs_shell": self.needs_shell,
            **head,
            "distributions": [part.to_dict() for part in self.distributions],
            "other_files": [part.to_dict() for part in self.rest],
            "kinds": [part.to_dict() for part in self.kinds],
            **({} if self.proof is None else {"proof": dict(self.proof)}),
        }


@telling_system_errors()
def inspect(path: Path, *, report: Reporter = silent) -> Inspection:
    """Read the manifest of an archive or a folder, and from RECORD files what belongs to what.

    Parameters:
        report: reports the bytes read of an archive; of a folder, next to none are read.

    Raises:
        ArchiveProblem: it cannot be read, is damaged or refused, or is none of ours.
    """
    contents = Contents.from_path(
        path,
        hashing=False,
        keep=lambda name: name.endswith(".dist-info/RECORD"),
        report=silent if path.is_dir() else report,
    )
    if contents.damage is not None:
        raise ArchiveProblem(contents.damage)
    kinds = {name: kind_of(name) for name in contents.listing.files}
    owned = dict(_owned_files(contents))
    owners = _owners(contents, owned)
    distributions, rest = _parts(contents, owned)
    shares: dict[str, Counter[str]] = defaultdict(Counter)
    for name, file in contents.listing.files.items():
        shares[owners[name]][kinds[name]] += file.size
    return Inspection(
        path=path,
        head=contents.listing.head,
        install_target=contents.install_target,
        packed_size=None if contents.is_folder else path.stat().st_size,
        size=contents.size,
        entry_count=contents.entry_count,
        distributions=tuple(sorted(distributions, key=_largest_first)),
        rest=tuple(sorted(rest, key=_largest_first)),
        kinds=tuple(sorted(_kinds(contents, kinds), key=_largest_first)),
        shares=shares,
        left_out=() if contents.is_folder else tuple(_told_beside(path)),
        needs_shell=any(map(_is_launcher, contents.listing.files)),
        proof=proof_beside(path, contents.listing.head["content_digest"]),
    )


_NO_LAUNCHER: Final = re.compile(r"[Aa]ctivate.*|python[\d.]*t?")


def _is_launcher(arcname: str) -> bool:
    """Whether a file may be a launcher that needs a shell, which none in `Scripts` does."""
    folder, name = posixpath.split(arcname)
    return folder == "bin" and not _NO_LAUNCHER.fullmatch(name)


def proof_beside(archive: Path, digest: str | None = None) -> dict[str, Any] | None:
    """Return what the `.json` next to an archive says about its proof, if anything.

    Parameters:
        digest: the archive's content digest, which the file must have as well.
    """
    try:
        facts = read_json(archive.with_name(f"{archive.name}.json"))
        proof = facts["proof"]
        as_told = digest in (None, facts["content_digest"])
        return proof if as_told and _is_proof(proof) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_proof(proof: Any) -> bool:
    """Whether parsed JSON has the shape of a proof."""
    return (
        manifest.fits(proof, _PROOF)
        and all(isinstance(each, str) for each in proof["prove"])
        and all(type(count) is int for count in proof.get("ran", {}).values())
    )


_PROOF: Final = {
    "prove": (str, list),
    "room": (str, type(None)),
    "reason?": str,
    "ran?": dict,
    "passed_over?": [{"kind": str, "name": str, "said": str}],
}


def _largest_first(part: Part) -> tuple[int, str]:
    return -(part.size or 0), part.name


def _parts(contents: Contents, owned: Mapping[str, set[str]]) -> tuple[list[Part], list[Part]]:
    sizes = {name: file.size for name, file in contents.listing.files.items()}
    parts = []
    for told in contents.listing.head.get("distributions", []):
        files = owned.get(canonicalize_name(told["name"]))
        mine = [sizes.pop(name) for name in files or () if name in sizes]
        size = None if files is None else sum(mine)
        parts.append(
            Part(name=told["name"], version=told["version"], size=size, file_count=len(mine))
        )
    return parts, [*_rest(contents, sizes)]


def _owners(contents: Contents, owned: Mapping[str, set[str]]) -> dict[str, str]:
    """Return what each file belongs to: a distribution and its version, or a place."""
    sites = contents.listing.head.get("layout", {}).get("site_packages", [])
    interpreter = contents.listing.head.get("interpreter")
    owners = {name: _place(name, sites, interpreter) for name in contents.listing.files}
    for told in contents.listing.head.get("distributions", []):
        for name in owned.get(canonicalize_name(told["name"]), ()):
            if name in owners:
                owners[name] = f"{told['name']} {told['version']}"
    return owners


def _told_beside(archive: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what the `.json` next to an archive, if there is one, says was left out."""
    try:
        facts = read_json(archive.with_name(f"{archive.name}.json"))
    except (OSError, ValueError):
        return
    told = facts.get("left_out") if isinstance(facts, dict) else None
    for each in told if isinstance(told, list) else ():
        if isinstance(each, dict) and isinstance(each.get("why"), str):
            numbers = {key: each.get(key) for key in ("count", "size")}
            if all(isinstance(number, int) for number in numbers.values()):
                yield {"why": each["why"], **numbers}


def _owned_files(contents: Contents) -> Iterator[tuple[str, set[str]]]:
    """Yield the normalised names of distributions that have a RECORD, with their files."""
    for record, content in contents.kept.items():
        if not record.endswith(".dist-info/RECORD"):
            continue
        info = posixpath.dirname(record)
        site = posixpath.dirname(info)
        name = posixpath.basename(info).removesuffix(".dist-info").rpartition("-")[0]
        try:
            rows = [*rows_of(content.decode("utf-8", "surrogateescape"))]
        except ValueError as error:
            raise ArchiveProblem(f"{contents.path} is damaged: in {record}, {error}") from None
        yield (
            canonicalize_name(name),
            {posixpath.normpath(posixpath.join(site, row[0])) for row in rows},
        )


def _rest(contents: Contents, sizes: Mapping[str, int]) -> Iterator[Part]:
    """Return the files of no distribution, grouped by where they are."""
    sites = contents.listing.head.get("layout", {}).get("site_packages", [])
    interpreter = contents.listing.head.get("interpreter")
    return _summed((_place(name, sites, interpreter), size) for name, size in sizes.items())


def _kinds(contents: Contents, kinds: Mapping[str, str]) -> Iterator[Part]:
    return _summed((kinds[name], file.size) for name, file in contents.listing.files.items())


def _summed(sizes: Iterable[tuple[str, int]]) -> Iterator[Part]:
    totals: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for name, size in sizes:
        totals[name] += size
        counts[name] += 1
    for name, total in totals.items():
        yield Part(name=name, version=None, size=total, file_count=counts[name])


def _place(name: str, sites: list[str], interpreter: str | None) -> str:
    for site in sites:
        if name.startswith(f"{site}/"):
            top = name.removeprefix(f"{site}/").partition("/")[0]
            return f"{site}/{top}"
    is_runtime = name.startswith(("lib/", "lib64/", "bin/python", "Lib/", "DLLs/", "tcl/"))
    is_runtime = is_runtime or re.fullmatch(r"[^/]+\.(exe|dll)", name) is not None
    return _RUNTIME if interpreter == "bundled" and is_runtime else _SCRIPTS
