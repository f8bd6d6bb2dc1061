"""Data files that name the environment they are in: bytes to bytes.

Only kinds that can express paths relative to themselves are rewritten: Jupyter's kernelspecs and
pkg-config's `.pc` files; `_KINDS` lists them, and another kind takes one more line there. Desktop
entries, systemd units, libtool archives and applications' configuration files support only absolute
paths; they are left unchanged, and the leak scanner reports them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...metadata.files import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE_LIMIT: Final = 1 << 20
"""In bytes; a larger file is not a data file of these kinds."""

# An interpreter below a prefix, in either layout.
_PYTHON: Final = r"(?:/+bin/+python(?:\d+(?:\.\d+t?)?)?|[\\/]+Scripts[\\/]+pythonw?(?:\.exe)?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of data file.

    Parameters:
        ending: the common suffix of their arcnames.
        pattern: matches the whole arcname.
        relocate: returns the file's content with paths relative to itself, or `None` to leave it
            unchanged; takes arcname, content and the aliases of the prefix.
    """

    ending: str
    pattern: re.Pattern[str]
    relocate: Callable[[str, bytes, Sequence[str]], bytes | None]


def may_be_rewritten(arcname: str) -> bool:
    """Return whether a data file is of a kind that can be made to follow its environment."""
    return arcname.endswith(ENDINGS) and _kind_of(arcname) is not None


def relocate_data_file(arcname: str, content: bytes, prefix_aliases: Sequence[str]) -> bytes | None:
    """Return a data file that follows its environment, or `None` to leave it unchanged.

    Parameters:
        prefix_aliases: the paths by which the environment may be named.
    """
    kind = _kind_of(arcname)
    if kind is None or not any(path.encode() in content for path in _as_written(prefix_aliases)):
        return None
    return kind.relocate(arcname, content, prefix_aliases)


def _kind_of(arcname: str) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.pattern.fullmatch(arcname)), None)


def _as_written(prefix_aliases: Sequence[str]) -> list[str]:
    return [*prefix_aliases, *(json.dumps(path)[1:-1] for path in prefix_aliases)]


def _relocated_kernelspec(
    arcname: str, content: bytes, prefix_aliases: Sequence[str]
) -> bytes | None:
    """Make the command of a kernel installed with `--sys-prefix` location-independent.

    jupyter_client starts a bare `python` with the interpreter it runs on itself, as it does for the
    kernelspec in ipykernel's wheel, and replaces `{resource_dir}` in every argument with the
    kernelspec's own folder (`KernelManager.format_kernel_cmd`). Values of `env` support no such
    placeholder.
    """
    try:
        spec: Any = parse_json(content)
        argv: list[str] = [*map(_text, spec["argv"])]
    except (ValueError, KeyError, TypeError):
        return None
    if argv and any(
        re.fullmatch(f"{re.escape(prefix)}{_PYTHON}", argv[0]) for prefix in prefix_aliases
    ):
        argv[0] = "python"
    root = "{resource_dir}/" + _way_up(arcname)
    spec["argv"] = [_replaced(argument, prefix_aliases, root) for argument in argv]
    return (json.dumps(spec, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _text(argument: Any) -> str:
    if not isinstance(argument, str):
        raise TypeError(argument)
    return argument


def _relocated_by_variable(
    variable: str, arcname: str, content: bytes, prefix_aliases: Sequence[str]
) -> bytes:
    """Make paths start with a variable that the file's reader sets to the file's own folder."""
    text = content.decode("utf-8", "surrogateescape")
    root = f"{variable}/{_way_up(arcname)}"
    return _replaced(text, prefix_aliases, root).encode("utf-8", "surrogateescape")


def _way_up(arcname: str) -> str:
    """Return the relative path from a file's folder to the environment."""
    return "/".join([".."] * arcname.count("/"))


def _replaced(text: str, prefix_aliases: Sequence[str], root: str) -> str:
    """Replace a prefix with `root`, unless it is only the start of a longer name."""
    for prefix in sorted(prefix_aliases, key=len, reverse=True):
        text = re.sub(rf"{re.escape(prefix)}(?![\w.+-])", lambda _: root, text)
    return text


def _by_variable(ending: str, variable: str) -> _Kind:
    return _Kind(
        ending=ending,
        pattern=re.compile(rf"(?s).*{re.escape(ending)}"),
        relocate=partial(_relocated_by_variable, variable),
    )


_KINDS: Final = (
    # Where Jupyter finds kernels.
    _Kind(
        ending="/kernel.json",
        pattern=re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json"),
        relocate=_relocated_kernelspec,
    ),
    _by_variable(".pc", "${pcfiledir}"),  # pkg-config and pkgconf
)
ENDINGS: Final = tuple(kind.ending for kind in _KINDS)
"""The suffixes of the names of all such files."""
