"""What goes in: what the rules leave out, what patterns leave out and bring back."""

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
"""Why an entry stays out that a pattern names."""
REPLACED: Final = "which a wheel replaces"
"""Why a distribution's files stay out; the end of a reason."""

# Written by venv, virtualenv and uv into an environment about itself.
_OWN: Final = "written about this environment by what made it"
_OWN_FILES: Final = {"pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG"}

# Their text names the place the environment was made at (relocation facts, Q5).
_ACTIVATION: Final = re.compile(
    r"(?:de)?activate(?:\.(?:bat|csh|fish|nu|ps1|xsh))?|Activate\.ps1|activate_this\.py|(?:pydoc|_assign)\.bat"
)

# What people, pip and uv keep passwords in; directly in an environment (pip reads its `pip.conf`).
_SECRETS: Final = {
    *(".condarc", ".git-credentials", ".netrc", ".npmrc", ".pypirc", ".yarnrc"),
    *("_netrc", "pip.conf", "pip.ini", "uv.toml"),
}

# uv's notes on where a distribution came from; they hold paths and times of the build machine.
_INSTALLER_NOTES: Final = {"uv_cache.json", "uv_build.json"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rules and patterns that decide what of an environment is packed.

    Parameters:
        exclude: gitignore-style patterns of what stays out, and names of presets.
        include: gitignore-style patterns that bring back what any rule or pattern left out.
        records: whether RECORD files are packed.
        sitecustomize: whether a `sitecustomize.py` directly in site-packages is packed.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    records: bool = True
    sitecustomize: bool = True

    @classmethod
    def of(cls, options: PackOptions) -> Self:
        """Return the rules and patterns of options."""
        return cls(
            exclude=options.exclude_files,
            include=options.include_files,
            records=options.record_files == "update",
        )

    def excludes(self, arcname: str, environment: Environment) -> bool:
        """Whether an entry of the environment stays out."""
        return self.why_excluded(arcname, environment) is not None

    def why_excluded(self, arcname: str, environment: Environment) -> str | None:
        """Return why an entry of the environment stays out, in words; `None` if it does not."""
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
        """Whether `include` names a file."""
        return bool(self.include) and self._include_spec.match_file(arcname)

    def unused(self, arcnames: Collection[str]) -> Iterator[str]:
        """Yield a sentence for each pattern that names none of some files and folders.

        Presets are for any environment, and so are patterns of byte code, which comes and goes.
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
        """What was asked for already: several steps ask, and each name is matched once."""
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
            return "byte code of this machine"
        if folder.endswith(".dist-info"):
            return self._by_rule_of_metadata(name)
        if folder in environment.site_packages:
            customises = name == "sitecustomize.py" and not self.sitecustomize
            return "it customises the environment that it was made in" if customises else None
        if folder == environment.scripts:
            return "an activation script of this place" if _ACTIVATION.fullmatch(name) else None
        if not folder and name in _SECRETS:
            return "a configuration file that may hold passwords"
        return _OWN if not folder and name in _OWN_FILES else None

    def _by_rule_of_metadata(self, name: str) -> str | None:
        if name in _INSTALLER_NOTES:
            return "tells where it was installed from on this machine"
        return 'record-files = "exclude"' if name == "RECORD" and not self.records else None


def nameable(entries: Iterable[ScannedEntry], environment: Environment) -> frozenset[str]:
    """Return the arcnames that patterns can name: those of entries, and of what is generated."""
    given = [*entries]
    generated = (POSTINSTALL, *(e.arcname for e in activation_scripts(environment.scripts)))
    return frozenset([*generated, *(each.arcname for each in (*given, *with_copies(given)))])


def _spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # 10 ms that most runs can do without

    return GitIgnoreSpec.from_lines(patterns)


def note_on(entry: ScannedEntry, environment: Environment, why: str) -> Iterator[str]:
    """Yield what a user should know of an entry that a rule leaves out or replaces.

    Parameters:
        why: it is left out.
    """
    folder, _, name = entry.arcname.rpartition("/")
    if is_written_for_layers(entry) or _is_of_venvstacks(entry):
        return
    if folder in environment.site_packages and name == "sitecustomize.py":
        yield f"{entry.arcname} was left out: it customised the environment it was made in"
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
            f"{entry.arcname} is a script around the interpreter, and the interpreter itself takes"
            " its place: do what the script does where the application is started, or in a .pth"
            " file"
        )
    elif why.endswith(REPLACED):
        points = entry_points_by_name(environment.distributions).get(name, ())
        if points and not is_as_installed(entry.content, points):
            yield (
                f"{entry.arcname} was edited, and the edit is lost: the launcher of a wheel takes"
                " its place; make the change in the project, or set variables where the"
                " application is started"
            )


def why_added(added: Entry, original: ScannedEntry | None) -> str:
    """Return why an entry of the interpreter is packed, in words.

    Parameters:
        original: what the environment holds under its name.
    """
    if added.arcname == "pyvenv.cfg":
        return "names no place, so that it is right everywhere"
    if isinstance(original, SymlinkEntry) and isinstance(added, SymlinkEntry):
        return f"the link leads to {added.linkname} instead of {original.linkname}"
    if isinstance(original, SymlinkEntry):
        return f"the bundled interpreter itself instead of a link to it ({original.linkname})"
    if added.arcname.startswith("share/licenses/"):
        return "a licence of what the interpreter needs"
    return "of the interpreter, or of what it needs"


def is_written_for_layers(entry: ScannedEntry) -> bool:
    """Whether this is a file by which `postinstall.py` has connected layers in place."""
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
    """Whether venvstacks has connected layers by this file, as `postinstall.py` does again."""
    content = entry.content if isinstance(entry, FileEntry) else b""
    return isinstance(content, bytes) and content.startswith(_OF_VENVSTACKS)
