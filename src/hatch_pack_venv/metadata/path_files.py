"""`.pth` files and `direct_url.json`, from bytes to bytes, and URLs with credentials."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .files import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def names_a_local_path(direct_url: bytes) -> bool:
    """Whether a `direct_url.json` (PEP 610) contains a path of the machine that installed it.

    A file that cannot be parsed is assumed to contain one.
    """
    try:
        url = parse_json(direct_url)["url"]
    except (ValueError, KeyError, TypeError):
        return True
    return not isinstance(url, str) or url.startswith("file:")


def with_changed_lines(content: bytes, change: Callable[[str], str]) -> bytes:
    """Return a `.pth` file with each line's path changed; what follows the path stays.

    Parameters:
        change: takes a line without trailing white space.
    """
    lines = content.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    changed = (change(path := line.rstrip()) + line[len(path) :] for line in lines)
    return "".join(changed).encode("utf-8", "surrogateescape")


def relocate_path_file(content: bytes, site: str, prefix_aliases: Sequence[str]) -> bytes:
    """Make a `.pth` file's absolute lines that point into the environment relative.

    `site` resolves a relative line against the folder that contains the file.

    Parameters:
        site: arcname of that folder.
        prefix_aliases: the paths by which files may refer to the environment.
    """

    def relocated(path: str) -> str:
        for prefix in prefix_aliases:
            if path == prefix or path.startswith(f"{prefix}/"):
                return posixpath.relpath(posixpath.relpath(path, prefix), site)
        return path

    return with_changed_lines(content, relocated)


def relative_path_lines(content: bytes, folder: Path, boundary: Path) -> bytes:
    """Make a `.pth` file's absolute lines that point below a boundary relative to its folder.

    Parameters:
        folder: the real path of the folder that contains the file.
        boundary: a real path.
    """

    def relative(path: str) -> str:
        inside = os.path.isabs(path) and Path(os.path.normpath(path)).is_relative_to(boundary)
        return os.path.relpath(path, folder) if inside else path

    return with_changed_lines(content, relative)


def path_lines(text: str) -> list[str]:
    """Return the lines of a `.pth` file that add to `sys.path`, as `site` reads them.

    A line with a NUL is ignored.
    """
    lines = (line.rstrip() for line in text.splitlines() if "\0" not in line)
    return [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]


def foreign_paths(path_file: bytes, site: str) -> list[str]:
    """Return the folders outside the environment that a (relocated) `.pth` file adds to `sys.path`.

    Parameters:
        site: arcname of the folder that contains the file; relative lines are relative to it.
    """
    lines = path_lines(path_file.decode("utf-8", "surrogateescape"))
    return [
        line
        for line in lines
        if os.path.isabs(line) or f"{posixpath.normpath(f'{site}/{line}')}/".startswith("../")
    ]


_URL: Final = re.compile(
    r"""\b[a-z][a-z0-9+.-]{0,30}://(?:(?P<user>[^\s/:@"'<>]*)(?P<colon>:(?P<password>[^\s/@"'<>]*))?@)?"""
    r"""(?P<host>[\w.-]+)(?P<rest>[^\s"'<>]*)""",
    re.IGNORECASE,
)
_OF_NOBODY: Final = re.compile(
    r"(?i)|.*[{}$%*].*|x+|\.+|your.*|user(?:name)?|(?:my)?pass(?:w(?:or)?d)?|secret|token|change.?me"
)
_OF_NO_MACHINE: Final = re.compile(
    r"(?i)(?:.*\.)?example(?:\.(?:com|net|org))?|localhost|127\.0\.0\.1|0\.0\.0\.0|host(?:name)?"
)
_TOKEN: Final = re.compile(r"(?:gh[a-z]_|github_pat_|glpat-|pypi-|hf_)\w+|[A-Za-z0-9_-]{32,}")
_QUERY: Final = re.compile(
    r"(?i)[?&](?:[\w-]*(?:token|signature|password|secret|api_?key)|sig)=(?P<value>[^&\s]{6,})"
)
_LONGEST_KEY: Final = 200  # characters before a URL in which to look for its key
_KEY: Final = re.compile(r"""["']?([\w.-]+)["']?\s*[=:]""")


def keys_with_credentials(content: bytes, *, examples: bool = True) -> list[str]:
    """Return the keys of settings that hold a URL with a password or a token, each once.

    Comments do not count, nor do placeholders for passwords. The secret is never returned.

    Parameters:
        examples: whether to ignore URLs whose host is a placeholder, such as `example.com`.
    """
    if b"://" not in content:
        return []
    found = []
    lines = content.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        if "://" not in line or line.lstrip().startswith(("#", ";", "//")):
            continue
        for match in _URL.finditer(line):
            if not (examples and _OF_NO_MACHINE.fullmatch(match["host"])) and _has_credentials(
                match
            ):
                start = match.start()
                named = _KEY.findall(line[max(0, start - _LONGEST_KEY) : start])
                found.append(named[-1] if named else f"line {number}")
    return list(dict.fromkeys(found))


def _has_credentials(url: re.Match[str]) -> bool:
    query = _QUERY.search(url["rest"])
    if query is not None and not _OF_NOBODY.fullmatch(query["value"]):
        return True
    if url["password"]:
        return not _OF_NOBODY.fullmatch(url["password"])
    return bool(url["user"]) and _TOKEN.fullmatch(url["user"]) is not None
