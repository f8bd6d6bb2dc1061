"""A configuration key: its parser, its command-line option and its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Group: TypeAlias = Literal["contents", "interpreter", "documents", "format", "layers", "proof"]
"""What an option is about; `format` and `proof` apply to archives only, not to exported folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The command-line option for a key.

    Parameters:
        metavar: placeholder for the value in the help; empty for an option without a value, which
            means true.
        help: what it does; `(default: …)` is appended.
        flags: its spellings, if different from the key's name.
        repeated: whether it may be given several times, once per value.
        convert: converts the given words into the value that a configuration table would hold.
    """

    group: Group
    metavar: str
    help: str
    default: str | None = None
    flags: tuple[str, ...] = ()
    repeated: bool = False
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A configuration key.

    Parameters:
        parse: parses a value.
        values: the accepted values and their meaning, in Markdown.
        default: the default, in Markdown.
        option: the command-line option, or `None` for a key that makes sense only in a project.
    """

    name: str
    parse: Callable[[Any], Any]
    values: str
    default: str = "none"
    option: Option | None = None

    @property
    def field(self) -> str:
        """The field of `PackOptions` for this key."""
        return "formats" if self.name == "format" else self.name.replace("-", "_")
