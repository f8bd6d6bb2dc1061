"""Archives where tools that upload packages look for packages: what will happen, told in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..archives import PackResult


def upload_warnings(results: Iterable[PackResult], packages: Path) -> list[str]:
    """Return the exact failures that archives inside the packages' folder lead to.

    Measured with twine 7 and hatch 1.18: twine refuses every file and folder that it does not know,
    `hatch publish` reads only `*.whl` and `*.tar.gz` directly in the folder.

    Parameters:
        packages: the folder that takes wheel and sdist.
    """
    paths = [result.path for result in results]
    within = [path.relative_to(packages) for path in paths if path.is_relative_to(packages)]
    if not within:
        return []
    first = min(within)
    reason = f"Unknown distribution format: '{first.parts[0]}'"
    if len(first.parts) == 1 and first.name.endswith((".tar.gz", ".zip")):
        reason = "No PKG-INFO in archive or PKG-INFO missing 'Metadata-Version'"
    name = packages.name
    warnings = [f'`twine upload {name}/*` will stop with "InvalidDistribution: {reason}"']
    if any(len(path.parts) == 1 and path.name.endswith(".tar.gz") for path in within):
        warnings.append(
            "`hatch publish` will take the archive for an sdist and stop with"
            ' "ArtifactMetadataError: Could not find file: …/PKG-INFO"'
        )
    advice = f"set `output-directory` to a folder outside of {name}, such as the default dist-venv"
    return [f"the archives lie inside {name}: {'; '.join(warnings)}: {advice}"]
