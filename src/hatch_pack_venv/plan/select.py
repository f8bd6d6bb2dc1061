"""Which entries are packed: what rules and patterns leave out, and what patterns bring back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from ..config.values import PRESETS, pattern_groups
from ..injected import postinstall
from ..model.distribution import entry_points_by_name
from ..model.entries import FileEntry, SymlinkEntry, with_copies
from ..model.plan import POSTINSTALL
from ..platforms.posix.activation import activation_scripts, first_edit
from ..platforms.posix.launchers import is_as_installed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pathspec import GitIgnoreSpec

    from ..config.options import PackOptions
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment


BY_PATTERN: Final = "exclude-files"
"""The reason why an entry that a pattern matches is left out."""
REPLACED: Final = "which a wheel replaces"
"""The end of the reason why a distribution's files are left out."""

# Files in which venv, virtualenv and uv describe the environment they created.
_OWN: Final = "written for this environment by the tool that created it"
_OWN_FILES: Final = {"pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG"}

# Their text contains the path at which the environment was created (relocation facts, Q5).
_ACTIVATION: Final = re.compile(
    r"(?:de)?activate(?:\.(?:bat|csh|fish|nu|ps1|xsh))?|Activate\.ps1|activate_this\.py|(?:pydoc|_assign)\.bat"
)

# Where people, pip and uv keep passwords; at the top of an environment (pip reads its `pip.conf`).
_SECRETS: Final = {
    *(".condarc", ".git-credentials", ".netrc", ".npmrc", ".pypirc", ".yarnrc"),
    *("_netrc", "pip.conf", "pip.ini", "uv.toml"),
}

# uv's notes on where a distribution came from; they contain the build machine's paths and times.
_INSTALLER_NOTES: Final = {"uv_cache.json", "uv_build.json"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rules and patterns that decide which entries of an environment are packed.

    Parameters:
        exclude: gitignore-style patterns of entries to leave out, and names of presets.
        include: gitignore-style patterns that bring back what any rule or pattern leaves out.
        records: whether RECORD files are packed.
        sitecustomize: whether a `sitecustomize.py` directly in site-packages is packed.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    records: bool = True
    sitecustomize: bool = True

    @classmethod
    def of(cls, options: PackOptions) -> Self:
        """Return the rules and patterns that options set."""
        return cls(
            exclude=options.exclude_files,
            include=options.include_files,
            records=options.record_files == "update",
        )

    def excludes(self, arcname: str, environment: Environment) -> bool:
        """Whether an entry of the environment is left out."""
        return self.why_excluded(arcname, environment) is not None

    def why_excluded(self, arcname: str, environment: Environment) -> str | None:
        """Return why an entry of the environment is left out, in words; `None` if it is not."""
        if self.brings_back(arcname):
            return None
        return BY_PATTERN if self.by_pattern(arcname) else self._by_rule(arcname, environment)

    def by_pattern(self, arcname: str) -> bool:
        """Whether the patterns alone leave a file out, wherever it comes from."""
        if not self.exclude:
            return False
        known = self._excluded.get(arcname)
        if known is None:
            known = any(spec.match_file(arcname) for spec in self._exclude_specs)
            known = self._excluded[arcname] = known and not self.brings_back(arcname)
        return known

    def brings_back(self, arcname: str) -> bool:
        """Whether `include` matches a file."""
        return bool(self.include) and self._include_spec.match_file(arcname)

    def unused(self, arcnames: Collection[str]) -> Iterator[str]:
        """Yield a sentence for each pattern that matches none of the given files and folders.

        Presets are skipped, as they are meant for any environment, and so are patterns for byte
        code, which comes and goes.
        """
        for key, patterns in (("exclude-files", self.exclude), ("include-files", self.include)):
            for pattern in patterns:
                if pattern in PRESETS or pattern.strip()[:1] in ("", "#", "!"):
                    continue
                if "__pycache__" in pattern or pattern.endswith((".pyc", ".py[co]")):
                    continue
                (compiled,) = _spec([pattern]).patterns
                if not any(compiled.match_file(name) is not None for name in arcnames):
                    yield f"{key} names {pattern!r}, which matches nothing: correct or remove it"

    @cached_property
    def _excluded(self) -> dict[str, bool]:
        """Earlier answers: several steps ask, but each name is matched only once."""
        return {}

    @cached_property
    def _exclude_specs(self) -> list[GitIgnoreSpec]:
        return [_spec(each) for each in pattern_groups(self.exclude) if each]

    @cached_property
    def _include_spec(self) -> GitIgnoreSpec:
        return _spec(self.include)

    def _by_rule(self, arcname: str, environment: Environment) -> str | None:
        folder, _, name = arcname.rpartition("/")
        if "__pycache__" in arcname and "__pycache__" in arcname.split("/"):
            return "bytecode compiled on this machine"
        if folder.endswith(".dist-info"):
            return self._by_rule_of_metadata(name)
        if folder in environment.site_packages:
            customises = name == "sitecustomize.py" and not self.sitecustomize
            return "it customises the environment in which it was created" if customises else None
        if folder == environment.scripts:
            return "an activation script for this location" if _ACTIVATION.fullmatch(name) else None
        if not folder and name in _SECRETS:
            return "a configuration file that may hold passwords"
        return _OWN if not folder and name in _OWN_FILES else None

    def _by_rule_of_metadata(self, name: str) -> str | None:
        if name in _INSTALLER_NOTES:
            return "records where on this machine it was installed from"
        return 'record-files = "exclude"' if name == "RECORD" and not self.records else None


def nameable(entries: Iterable[ScannedEntry], environment: Environment) -> frozenset[str]:
    """Return the arcnames that patterns can match: those of entries and of generated files."""
    given = [*entries]
    generated = (POSTINSTALL, *(e.arcname for e in activation_scripts(environment.scripts)))
    return frozenset([*generated, *(each.arcname for each in (*given, *with_copies(given)))])


def _spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # 10 ms that most runs can do without

    return GitIgnoreSpec.from_lines(patterns)


def note_on(entry: ScannedEntry, environment: Environment, why: str) -> Iterator[str]:
    """Yield what a user should know about an entry that a rule leaves out or replaces.

    Parameters:
        why: the reason for leaving it out.
    """
    folder, _, name = entry.arcname.rpartition("/")
    if is_written_for_layers(entry) or _is_of_venvstacks(entry):
        return
    if folder in environment.site_packages and name == "sitecustomize.py":
        yield f"{entry.arcname} was left out: it customised the environment in which it was created"
    if folder != environment.scripts or environment.is_windows:
        return
    if not isinstance(entry, FileEntry) or not isinstance(entry.content, bytes):
        return
    line = first_edit(name, entry.content)
    if line is not None:
        yield (
            f"{entry.arcname} was edited (line {line}), and the edit is lost: a script that finds"
            " its own folder takes its place; set variables where the application is started, or"
            " in a .pth file"
        )
    elif environment.is_of_interpreter(entry.arcname) and entry.content.startswith(b"#!"):
        yield (
            f"{entry.arcname} is a wrapper script for the interpreter, and the interpreter itself"
            " takes its place: do what the script does where the application is started, or in a"
            " .pth file"
        )
    elif why.endswith(REPLACED):
        points = entry_points_by_name(environment.distributions).get(name, ())
        if points and not is_as_installed(entry.content, points):
            yield (
                f"{entry.arcname} was edited, and the edit is lost: the wheel's launcher takes its"
                " place; make the change in the project, or set variables where the application is"
                " started"
            )


def why_added(added: Entry, original: ScannedEntry | None) -> str:
    """Return why an entry of the interpreter is packed, in words.

    Parameters:
        original: the environment's entry of the same name.
    """
    if added.arcname == "pyvenv.cfg":
        return "contains no path of this machine"
    if isinstance(original, SymlinkEntry) and isinstance(added, SymlinkEntry):
        return f"the link leads to {added.linkname} instead of {original.linkname}"
    if isinstance(original, SymlinkEntry):
        return f"the bundled interpreter itself instead of a link to it ({original.linkname})"
    if added.arcname.startswith("share/licenses/"):
        return "a licence of something that the interpreter needs"
    return "part of the interpreter, or needed by it"


def is_written_for_layers(entry: ScannedEntry) -> bool:
    """Whether this is a file that `postinstall.py` wrote to connect layers in place."""
    name = entry.arcname.rpartition("/")[2]
    if name == postinstall.LAYERS_FILE:
        return True
    return (
        isinstance(entry, FileEntry)
        and name == "sitecustomize.py"
        and isinstance(entry.content, bytes)
        and entry.content.startswith(postinstall.SITECUSTOMIZE_MARK.encode())
    )


_OF_VENVSTACKS: Final = b'"""venvstacks layered environment site customization script'


def _is_of_venvstacks(entry: ScannedEntry) -> bool:
    """Whether venvstacks wrote this file to connect layers, which `postinstall.py` redoes."""
    content = entry.content if isinstance(entry, FileEntry) else b""
    return isinstance(content, bytes) and content.startswith(_OF_VENVSTACKS)
