"""What a target must have at least: values, what the manifest says of them, and words for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .entries import ScannedEntry


Version: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A least version and the file that asks for it."""

    version: Version
    file: str

    def facts(self) -> dict[str, str]:
        """Return what the manifest says of it."""
        return {"version": _text(self.version), "file": self.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRequirements:
    """What all packed files together ask of the target's system; this one, nothing."""

    def platform_tag(self, tag: str) -> str:
        """Return a platform's tag with what is needed in it.

        Parameters:
            tag: the build machine's platform.
        """
        return tag

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest says of the platform.

        Parameters:
            tag: the build machine's platform.
        """
        return {"tag": self.platform_tag(tag)}

    def check(self) -> str:
        """Return Python statements that end a script where it cannot run, in one sentence.

        Empty where nothing has to be checked, or the interpreter itself would not start there.
        """
        return ""


@dataclass(frozen=True)
class FileRequirements:
    """What single files ask of the target's system; the base of one kind for each system."""

    def of(self, entries: Iterable[ScannedEntry]) -> PlatformRequirements:  # noqa: ARG002
        """Return what entries ask for together; later ones stand in the place of earlier ones."""
        return PlatformRequirements()


def describe_floor(fact: Mapping[str, Any], name: str = "glibc") -> str:
    """Return a floor of the manifest in words: `glibc 2.34 or later (numpy/core/x.so)`."""
    file = str(fact.get("file")).rpartition("/site-packages/")[2]
    return f"{name} {fact.get('version')} or later ({file})"


def describe_requirements(platform: Mapping[str, Any]) -> list[str]:
    """Return what a manifest's platform asks of the target, in words."""
    names = {
        "glibc": "glibc",
        "glibcxx": "libstdc++ with GLIBCXX",
        "macos": "macOS",
        "windows": "Windows",
    }
    needs = [describe_floor(platform[key], name) for key, name in names.items() if key in platform]
    if "path_budget" in platform:
        needs.append(describe_path_budget(platform["path_budget"]))
    return needs + _describe_optional_modules(platform.get("seldom", ()))


def _describe_optional_modules(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what seldom modules ask for, those with the same version together."""
    told = []
    for version in dict.fromkeys(fact["version"] for fact in facts):
        same = [fact for fact in facts if fact["version"] == version]
        modules = " and ".join(fact["module"] for fact in same)
        files = ", ".join(dict.fromkeys(fact["file"] for fact in same))
        told.append(f"glibc {version} or later for {modules} alone ({files})")
    return told


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def describe_path_budget(facts: Mapping[str, Any]) -> str:
    """Return a manifest's path budget in words."""
    return (
        f"a folder whose path has at most {facts.get('deepest_prefix_length')} characters, or long"
        f" paths enabled ({facts.get('longest_member')} has"
        f" {facts.get('longest_member_length')} of {facts.get('limit')})"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFindings:
    """What was found of planned entries on the platform that they are for.

    Parameters:
        problems: what keeps them from working there.
        notes: what may.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
