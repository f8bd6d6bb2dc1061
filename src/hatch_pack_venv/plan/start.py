"""What self-starting archives run, and what they state in addition to their entries.

For a run file that is its head; for an image, its layers, command and labels.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from ..metadata.files import read_text
from ..model.entries import DirectoryEntry, FileEntry, SymlinkEntry
from ..model.errors import OptionsError, PlanError, printable
from ..model.image import PREFIX, Image
from ..platforms.posix.launchers import launcher_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..injected.run_file import Head
    from ..model.distribution import InstalledDistribution
    from ..model.image import ImageBase
    from ..model.plan import PackPlan


_NAMED: Final = 10  # how many scripts an error names
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._+-]")


def with_start(
    plan: PackPlan, entry_point: str | None, project: InstalledDistribution | None
) -> PackPlan:
    """Return a plan that records which script to start.

    Parameters:
        entry_point: the script's name; by default the project's only console script.
        project: the project, if one is packed.

    Raises:
        PlanError: the script is not packed; or no name is given, and the project does not
            have exactly one console script.
    """
    own = [] if project is None else [p.name for p in project.entry_points if not p.gui]
    name = entry_point or (own[0] if len(own) == 1 else None)
    arcname = f"{plan.head['layout']['scripts']}/{name}"
    there = {entry.arcname for entry in plan.entries if isinstance(entry, FileEntry | SymlinkEntry)}
    if name is not None and arcname in there:
        return replace(plan, start=arcname)
    if name is not None:
        problem = f"entry-point names {arcname}, which is not packed"
        if entry_point is None:
            problem = f"{arcname}, the project's console script, is not packed"
    elif own:
        problem = f"the project has several console scripts, {_listed(own)}"
    else:
        problem = "no project with a console script is packed"
    scripts = [p.name for each in plan.distributions for p in each.entry_points if not p.gui]
    raise PlanError(
        "cannot tell which script to start",
        [f"{problem}: set entry-point to the name of a script ({_listed(scripts) or 'python'})"],
    )


def _listed(names: Sequence[str]) -> str:
    found = sorted(set(names))
    more = ["…"] if len(found) > _NAMED else []
    return ", ".join([*found[:_NAMED], *more])


def run_head(plan: PackPlan) -> Head:
    """Return the head of a run file, with the fields that the plan determines."""
    from ..injected.run_file import Head  # needed by one format only

    head = plan.head
    name = " ".join(str(head[key]) for key in ("name", "version") if head[key])
    platform = head["platform"]
    needs = ", ".join(plan.needs) or "nothing else"
    return Head(
        title=ascii(f"{name} for {platform['tag']}")[1:-1],
        name=_UNUSUAL.sub("_", name.replace(" ", "-")),
        top="" if plan.install_target == "." else plan.install_target,
        start=plan.start,
        python=f"{head['layout']['scripts']}/python",
        machine=platform["machine"] if platform["system"] == "linux" else "",
        needs=needs,
        info="\n".join(
            f"{label:<14} {printable(value)}" for label, value in _info(plan, name, needs).items()
        ),
    )


def _info(plan: PackPlan, name: str, needs: str) -> dict[str, str]:
    python: Any = plan.head["python"]
    return {
        "name": name,
        "interpreter": f"{python['implementation']} {python['version']}",
        "platform": plan.platform_tag,
        "needs": needs,
        "starts": plan.start,
        "unpacked size": f"{plan.size} bytes",
    }


# images


LAYERS: Final = ("interpreter", "dependencies", "project")
"""Ordered from the one that changes least often; the manifest is in the last."""
_KEY: Final = "org.opencontainers.image"
_REFERENCE: Final = re.compile(
    r"([a-zA-Z0-9.-]+(:\d+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r":[\w][\w.-]{0,127}",
    re.ASCII,
)
_LONGEST: Final = 200  # characters; a longer licence is a text, not a name


def with_image(
    plan: PackPlan, name: str, base: ImageBase, project: InstalledDistribution | None
) -> PackPlan:
    """Return a plan with what an image needs in addition.

    Parameters:
        name: repository and tag.
        project: the project, if one is packed; its metadata become labels.

    Raises:
        PlanError: a file's name has a special meaning in an image layer.
    """
    hidden = [e.arcname for e in plan.entries if f"/{e.arcname}".rpartition("/")[2][:4] == ".wh."]
    if hidden:
        raise PlanError(
            "it cannot be packed into an image",
            [f"{each} would hide another file (`.wh.`): rename or exclude it" for each in hidden],
        )
    image = Image(name=name, command=_command(plan), labels=_labels(plan, project), base=base)
    facts = {"image": {"name": name, "base_packages": [each.label for each in base.packages]}}
    return replace(plan, image=image).with_beside(facts, ())


def image_layers(plan: PackPlan) -> dict[str, int]:
    """Return the index in `LAYERS` of each entry's layer, by arcname.

    A folder is in the first layer that has any of its contents. A file that belongs to no
    distribution or interpreter and was not in the environment (the manifest, for instance) is
    generated for this release.
    """
    name = canonicalize_name(str(plan.head["name"]))
    own = {f: each.key == name for each in plan.distributions for f in each.files}
    metadata = {f"{each.metadata_dir}/": each.key == name for each in plan.distributions}
    scanned = {entry.arcname for entry in plan.scanned}
    found: dict[str, int] = {}
    for entry in plan.entries:
        if isinstance(entry, DirectoryEntry):
            continue
        arcname = entry.arcname
        ours = own.get(arcname, _below(arcname, metadata))
        if ours is not None:
            found[arcname] = 2 if ours else 1
        elif arcname in plan.runtime:
            found[arcname] = 0
        else:
            found[arcname] = 1 if arcname in scanned else 2
    for arcname, number in list(found.items()):
        while arcname:
            arcname = arcname.rpartition("/")[0]
            found[arcname] = min(number, found.get(arcname, number))
    return found


def in_image(plan: PackPlan) -> PackPlan:
    """Return a plan with its entries in layer order, at its path in an image."""
    layers = image_layers(plan)
    entries = sorted(plan.entries, key=lambda entry: layers.get(entry.arcname, len(LAYERS) - 1))
    return replace(plan, entries=tuple(entries), install_target=PREFIX)


def _below(arcname: str, folders: Mapping[str, bool]) -> bool | None:
    return next((ours for folder, ours in folders.items() if arcname.startswith(folder)), None)


def image_name(template: str, name: str, version: str | None) -> str:
    """Fill in the template of repository and tag, using only characters that image names allow.

    Without a version the tag is `latest`. See
    https://github.com/distribution/reference/blob/main/reference.go.

    Raises:
        OptionsError: the result is not a valid image name.
    """
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "app"
    tag = re.sub(r"[^\w.-]", "-", version or "latest", flags=re.ASCII)
    found = template.format(name=name, version=tag)
    if ":" not in found.rpartition("/")[2]:
        found += ":latest"
    if not _REFERENCE.fullmatch(found):
        problem = (
            f"image-name gives {found!r}, which is not a valid image name (such as"
            " 'registry/app:1.0')"
        )
        raise OptionsError("the configuration is wrong", [problem])
    return found


def _command(plan: PackPlan) -> tuple[str, ...]:
    """Return the command that starts the script without a shell; launchers are Python, too."""
    script = next((e for e in plan.entries if e.arcname == plan.start), None)
    options = None
    if isinstance(script, FileEntry) and isinstance(script.content, bytes):
        options = launcher_options(script.content)
    path = f"/{PREFIX}/{plan.start}"
    if options is None:
        return (path,)
    return (f"/{PREFIX}/{plan.head['layout']['scripts']}/python", *options, path)


def _labels(plan: PackPlan, project: InstalledDistribution | None) -> dict[str, str]:
    head = plan.head
    labels = {f"{_KEY}.title": str(head["name"])}
    if head["version"]:
        labels[f"{_KEY}.version"] = str(head["version"])
    text = None if project is None else _metadata(plan, f"{project.metadata_dir}/METADATA")
    if text is not None:
        labels |= _labels_of_metadata(text)
    return labels


def _metadata(plan: PackPlan, arcname: str) -> str | None:
    files = (entry for entry in plan.entries if isinstance(entry, FileEntry))
    content = next((file.content for file in files if file.arcname == arcname), None)
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    return read_text(content, "replace") if isinstance(content, str) else None


def _labels_of_metadata(text: str) -> dict[str, str]:
    """Return labels from a distribution's core metadata."""
    from email import message_from_string  # 10 ms that most runs can do without

    found = message_from_string(text)
    urls = [str(each).partition(",") for each in found.get_all("Project-URL", ())]
    by_name = {name.strip().lower(): url.strip() for name, _, url in urls}
    licence = found.get("License-Expression") or found.get("License") or ""
    is_text = len(licence) > _LONGEST or "\n" in licence
    values = {
        "description": found.get("Summary"),
        "licenses": None if is_text else licence,
        "authors": found.get("Author-email") or found.get("Author"),
        "url": by_name.get("homepage") or found.get("Home-page"),
        "source": by_name.get("source") or by_name.get("repository"),
        "documentation": by_name.get("documentation"),
    }
    return {f"{_KEY}.{key}": value for key, value in values.items() if value and value != "UNKNOWN"}
