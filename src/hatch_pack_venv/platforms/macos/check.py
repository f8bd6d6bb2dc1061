"""Problems with an archive for macOS, and notes for its user: no I/O."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from ...model import manifest
from ...model.entries import collisions
from ...model.plan import Findings
from .requirements import MacosFileRequirements, common_architectures

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from ...binary.macho import MachO
    from ...model.entries import Entry
    from ...model.requirements import FileRequirements


FINDER_FILES: Final = re.compile(
    r"(?s)(?:.*/)?"
    r"(?:(?:\.DS_Store|\.AppleDouble|__MACOSX|\.Spotlight-V100|\.Trashes)(?:/.*)?|\._[^/]*)"
)
"""Arcnames of the Finder's own files.

`._name` holds the attributes of `name` on file systems without them (AppleDouble); no module can be
imported under such a name.
"""


def fold(name: str) -> str:
    """Return the same text for all names that APFS treats as equal by default.

    It ignores case and how letters with diacritics are composed.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def name_problems(names: Iterable[str]) -> list[str]:
    """Return a sentence for each group of names that would be one file.

    Contents of colliding folders are reported with them only if they collide as well.
    """
    return [
        f"{' and '.join(group)} are the same name on macOS, whose file system does not"
        " distinguish them: exclude all but one"
        for group in collisions(names, fold=fold)
    ]


# Every Mac has them; since macOS 11 most exist only in the loader's cache, not as files.
_OF_THE_SYSTEM: Final = ("/usr/lib/", "/System/")
_SIGN: Final = "codesign --force --sign - FILE"


def look_over(
    files: Mapping[str, MachO], names: Container[str], build_paths: Iterable[str]
) -> Findings:
    """Check all Mach-O files.

    Parameters:
        files: the Mach-O files, by arcname.
        names: arcnames of all packed entries.
        build_paths: folders of the build machine.
    """
    inside = tuple(f"{place.rstrip('/')}/" for place in build_paths)
    return Findings(
        problems=(
            *_foreign_loads(files, inside),
            *_missing_loads(files, names),
            *_no_common_architecture(files),
        ),
        notes=(*_outer_loads(files, inside), *_outer_rpaths(files), *_unsigned(files)),
    )


def _absolute_loads(files: Mapping[str, MachO]) -> Iterator[tuple[str, str]]:
    """Yield each file with each library that it loads by an absolute path outside macOS itself."""
    for name, file in sorted(files.items()):
        for load in file.loads:
            absolute = load.name.startswith("/") and not load.weak
            if absolute and not load.name.startswith(_OF_THE_SYSTEM):
                yield name, load.name


def _foreign_loads(files: Mapping[str, MachO], build_paths: tuple[str, ...]) -> Iterator[str]:
    for name, library in _absolute_loads(files):
        if library.startswith(build_paths):
            yield (
                f"{name} loads {library}, a path on this machine: repair its wheel with"
                " delocate-wheel, which copies the library into it, or exclude the file"
            )


def _missing_loads(files: Mapping[str, MachO], names: Container[str]) -> Iterator[str]:
    """Report libraries missing from `@loader_path`; `@rpath` depends on what loads the file."""
    for name, file in sorted(files.items()):
        for load in file.loads:
            start, _, rest = load.name.partition("/")
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), rest))
            if start == "@loader_path" and not load.weak and there not in names:
                yield (
                    f"{name} loads {there}, which is not packed: include it, or exclude the file"
                    " that loads it as well"
                )


def _outer_loads(files: Mapping[str, MachO], build_paths: tuple[str, ...]) -> Iterator[str]:
    for name, library in _absolute_loads(files):
        if not library.startswith(build_paths):
            yield f"{name} loads {library}, which the target must have"


def _outer_rpaths(files: Mapping[str, MachO]) -> Iterator[str]:
    for name, file in sorted(files.items()):
        for path in file.rpaths:
            if path.startswith("/") and not f"{path}/".startswith(_OF_THE_SYSTEM):
                yield f"{name} searches {path} for libraries (LC_RPATH), on the target as well"


def _no_common_architecture(files: Mapping[str, MachO]) -> Iterator[str]:
    if not files or common_architectures(files.values()):
        return
    by_architecture = {name: file for file in files for name in sorted(files[file].architectures)}
    listed = ", ".join(f"{name}: {file}" for name, file in sorted(by_architecture.items()))
    yield (
        f"no Mac can load all files, because they are for different processors ({listed}): install"
        " wheels for only one, or universal2 wheels"
    )


def _unsigned(files: Mapping[str, MachO]) -> Iterator[str]:
    """List unsigned files, which Macs with Apple's processors refuse to load."""
    unsigned = [
        name
        for name, file in sorted(files.items())
        if any(each.architecture.startswith("arm64") and not each.signed for each in file.slices)
    ]
    if unsigned:
        yield (
            f"Macs with Apple silicon refuse to load {', '.join(unsigned)} without a signature:"
            f" sign each file on a Mac, before packing or after unpacking, with {_SIGN}"
        )


def check(
    entries: Mapping[str, Entry], files: FileRequirements, build_paths: Iterable[str]
) -> Findings:
    """Return problems with an archive's names and Mach-O files, and notes on them.

    Parameters:
        build_paths: folders of the build machine.
    """
    collisions = name_problems([*entries, manifest.ARCNAME])
    if not isinstance(files, MacosFileRequirements):
        return Findings(problems=tuple(collisions))
    found = look_over(files.at(entries.values()), entries, build_paths)
    return Findings(problems=(*collisions, *found.problems), notes=found.notes)
