"""Minimum requirements on the target: plain values, their manifest form, and their wording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .entries import ScannedEntry


Version: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A minimum version and the file that requires it."""

    version: Version
    file: str

    def facts(self) -> dict[str, str]:
        """Return what the manifest records about it."""
        return {"version": version_text(self.version), "file": self.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRequirements:
    """What all packed files together require of the target's system; nothing in this base class."""

    def platform_tag(self, tag: str) -> str:
        """Return a platform tag that states the requirements.

        Parameters:
            tag: the build machine's platform.
        """
        return tag

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest records about the platform.

        Parameters:
            tag: the build machine's platform.
        """
        return {"tag": self.platform_tag(tag)}

    def check(self) -> str:
        """Return Python statements that exit a script, with one sentence, where it cannot run.

        Empty if there is nothing to check, or if the interpreter itself would not start on such a
        target.
        """
        return ""

    def start_check(self) -> str:
        """Return shell statements with which a launcher says why its interpreter would not start.

        Empty if the archive does not contain the interpreter, or nothing is known about it.
        """
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that may be required of the target's system; `None` sets no limit."""

    glibc: Version | None = None
    macos: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """A file that requires more than a ceiling allows.

    Parameters:
        key: the configuration key that sets the ceiling.
        needs: what the file requires, in words.
        module: the optional stdlib module, if it is the only one that loads the file.
    """

    file: str
    key: str
    limit: Version
    needs: str
    module: str | None = None


def exceeds(version: Version, limit: Version | None) -> bool:
    """Whether a version is later than a limit; `13` allows `13.0`, but `2.28` not `2.28.1`."""
    length = max(len(version), len(limit or ()))
    return limit is not None and _padded(version, length) > _padded(limit, length)


def _padded(version: Version, length: int) -> Version:
    return version + (0,) * (length - len(version))


@dataclass(frozen=True)
class FileRequirements:
    """What individual files require of the target's system; has one subclass per system."""

    def of(self, entries: Iterable[ScannedEntry]) -> PlatformRequirements:  # noqa: ARG002
        """Return the combined requirements of entries; a later entry replaces an earlier one."""
        return PlatformRequirements()

    def beyond(
        self,
        entries: Iterable[ScannedEntry],  # noqa: ARG002
        ceiling: Ceiling,  # noqa: ARG002
    ) -> list[Excess]:
        """Return which files require more than a ceiling allows, in the order of their names."""
        return []


def describe_floor(fact: Mapping[str, Any], name: str = "glibc") -> str:
    """Return a floor from the manifest in words: `glibc 2.34 or later (numpy/core/x.so)`."""
    file = str(fact.get("file")).rpartition("/site-packages/")[2]
    return f"{name} {fact.get('version')} or later ({file})"


def describe_requirements(platform: Mapping[str, Any]) -> list[str]:
    """Return what a manifest's platform requires of the target, in words."""
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


def describe_needs(head: Mapping[str, Any]) -> list[str]:
    """Return what a manifest's head says that the target must have, in words."""
    libraries = [each["name"] for each in head.get("target_libraries", ())]
    named = [f"libraries of the target: {', '.join(libraries)}"] if libraries else []
    return describe_requirements(head["platform"]) + named


def _describe_optional_modules(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what optional stdlib modules require, grouped by version."""
    told = []
    for version in dict.fromkeys(fact["version"] for fact in facts):
        same = [fact for fact in facts if fact["version"] == version]
        modules = " and ".join(fact["module"] for fact in same)
        files = ", ".join(dict.fromkeys(fact["file"] for fact in same))
        told.append(f"glibc {version} or later for {modules} alone ({files})")
    return told


def version_text(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


def describe_path_budget(facts: Mapping[str, Any]) -> str:
    """Return a manifest's path budget in words."""
    return (
        f"a folder whose path has at most {facts.get('deepest_prefix_length')} characters, or long"
        f" paths enabled ({facts.get('longest_member')} has"
        f" {facts.get('longest_member_length')} of {facts.get('limit')})"
    )
