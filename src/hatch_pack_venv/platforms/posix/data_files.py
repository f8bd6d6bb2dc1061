"""Data files that name the environment they lie in: bytes to bytes.

Rewritten are the kinds that can tell a place relative to themselves: Jupyter's kernelspecs and
pkg-config's `.pc` files. Desktop entries, systemd units, libtool archives and the configuration
files of applications know absolute paths only; they stay as they are, and the last look reports
them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


SIZE_LIMIT: Final = 1 << 20  # bytes; what is larger is no kernelspec and no `.pc` file
ENDINGS: Final = (".pc", "/kernel.json")
"""How the names of all such files end."""
_KERNELSPEC: Final = re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json")

# An interpreter below a prefix, of either layout.
_PYTHON: Final = r"(?:/+bin/+python(?:\d+(?:\.\d+t?)?)?|[\\/]+Scripts[\\/]+pythonw?(?:\.exe)?)"


def may_be_rewritten(arcname: str) -> bool:
    """Whether a data file is of a kind that can be made to follow its environment."""
    return arcname.endswith(".pc") or _is_kernelspec(arcname)


def relocate_data_file(arcname: str, content: bytes, prefix_aliases: Sequence[str]) -> bytes | None:
    """Return a data file that follows its environment; `None` to leave it alone.

    Parameters:
        spellings: the paths by which the environment may be named.
    """
    if not any(spelling.encode() in content for spelling in _as_written(prefix_aliases)):
        return None
    if _is_kernelspec(arcname):
        return _relocated_kernelspec(arcname, content, prefix_aliases)
    if arcname.endswith(".pc"):
        return _relocated_pc_file(arcname, content, prefix_aliases)
    return None


def _as_written(prefix_aliases: Sequence[str]) -> list[str]:
    return [*prefix_aliases, *(json.dumps(spelling)[1:-1] for spelling in prefix_aliases)]


def _is_kernelspec(arcname: str) -> bool:
    """Whether Jupyter finds a kernel there (`share/jupyter/kernels/NAME/kernel.json`)."""
    return bool(arcname.endswith("/kernel.json") and _KERNELSPEC.fullmatch(arcname))


def _relocated_kernelspec(
    arcname: str, content: bytes, prefix_aliases: Sequence[str]
) -> bytes | None:
    """Make the command of a kernel that was installed with `--sys-prefix` independent of places.

    jupyter_client starts a bare `python` with the interpreter it runs on itself, as it does for
    the kernelspec in ipykernel's wheel, and replaces `{resource_dir}` in every argument by the
    kernelspec's own folder (`KernelManager.format_kernel_cmd`). Values of `env` know no such word.
    """
    try:
        spec: Any = json.loads(content)
        argv: list[str] = [*map(_text, spec["argv"])]
    except (ValueError, KeyError, TypeError):
        return None
    if any(re.fullmatch(f"{re.escape(prefix)}{_PYTHON}", argv[0]) for prefix in prefix_aliases):
        argv[0] = "python"
    root = "{resource_dir}/" + _way_up(arcname)
    spec["argv"] = [_replaced(argument, prefix_aliases, root) for argument in argv]
    return (json.dumps(spec, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _text(argument: Any) -> str:
    if not isinstance(argument, str):
        raise TypeError(argument)
    return argument


def _relocated_pc_file(arcname: str, content: bytes, prefix_aliases: Sequence[str]) -> bytes:
    """Begin at `${pcfiledir}`, which pkg-config and pkgconf set to the file's own folder."""
    text = content.decode("utf-8", "surrogateescape")
    root = "${pcfiledir}/" + _way_up(arcname)
    return _replaced(text, prefix_aliases, root).encode("utf-8", "surrogateescape")


def _way_up(arcname: str) -> str:
    """Return the relative path from a file's folder to the environment."""
    return "/".join([".."] * arcname.count("/"))


def _replaced(text: str, prefix_aliases: Sequence[str], root: str) -> str:
    """Put `root` in the place of a prefix, where a path ends or goes on."""
    for prefix in sorted(prefix_aliases, key=len, reverse=True):
        text = re.sub(rf"{re.escape(prefix)}(?![\w.+-])", lambda _: root, text)
    return text
