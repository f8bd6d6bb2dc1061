"""Files that exceed the ceiling a release sets for its target, and what to do about them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ..model.entries import source_of
from ..model.requirements import version_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..model.distribution import InstalledDistribution
    from ..model.requirements import Excess


def ceiling_problems(
    found: Iterable[Excess], distributions: Iterable[InstalledDistribution], machine: str
) -> Iterator[str]:
    """Yield a sentence for each owner of files that require too much, naming all of the files.

    Parameters:
        machine: the interpreter's machine, for the advice.
    """
    owners = {name: each for each in distributions for name in each.files}
    grouped: defaultdict[tuple[str, str, str], list[Excess]] = defaultdict(list)
    for each in found:
        owner = owners.get(source_of(each.file))
        grouped[(*_owner_and_help(each, owner, machine), each.key)].append(each)
    for (owner_name, way_out, key), files in sorted(grouped.items()):
        listed = ", ".join(f"{each.file} ({each.needs})" for each in files)
        limit = version_text(files[0].limit)
        yield f'{owner_name} needs more than {key} = "{limit}" allows: {listed}; {way_out}'


def _owner_and_help(
    excess: Excess, owner: InstalledDistribution | None, machine: str
) -> tuple[str, str]:
    """Return where a file comes from, in words, and what to do about it."""
    if excess.module is not None:
        return (
            f"the module {excess.module} of the standard library",
            f'leave it out (interpreter-trim = ["{excess.module}"])',
        )
    if owner is None:
        return (
            "the interpreter, or a file that comes with it,",
            "create the environment with an interpreter that was built for older systems (uv's, for"
            ' example), or let the target provide it (interpreter = "target"); compile your own'
            " extensions on an older system",
        )
    return (
        f"{owner.name} {owner.version}",
        "install a wheel built for older systems, perhaps of an earlier version"
        f" ({_resolve(excess, machine)})",
    )


def _resolve(excess: Excess, machine: str) -> str:
    if excess.key == "max-macos":
        return f"MACOSX_DEPLOYMENT_TARGET={version_text(excess.limit)} uv pip install …"
    major, minor = (*excess.limit, 0)[:2]
    return f"uv pip install --python-platform {machine}-manylinux_{major}_{minor} …"
