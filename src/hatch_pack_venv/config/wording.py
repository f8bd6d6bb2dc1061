"""How messages name a key: by its TOML path, or by its option on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .table import KEYS

if TYPE_CHECKING:
    from collections.abc import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How to name the keys of a configuration.

    Parameters:
        where: the TOML path of the table that was read; empty if there is none.
        options: the keys that were given as options; without a table, all of them were.
    """

    where: str = ""
    options: Container[str] = frozenset()

    def key(self, name: str) -> str:
        """Return the name of a key in messages."""
        is_option = not self.where or name in self.options
        return option_name(name) if is_option else f"{self.where}.{name}"

    def wrong(self, name: str, value: object, expected: str, meant: str | None) -> str:
        """Return the sentence for a wrong value.

        Parameters:
            expected: what the value must be.
            meant: the valid value that it resembles most.
        """
        if self.key(name).startswith("--"):
            hint = f"; did you mean {meant}?" if meant else ""
            return f"{self.key(name)}: {value!r} is not {expected}{hint}"
        hint = f"; did you mean {meant!r}?" if meant else ""
        return f"{self.key(name)} must be {expected}, not {value!r}{hint}"


COMMAND_LINE: Final = Wording()


def option_name(key: str) -> str:
    """Return the option by which messages name a key."""
    option = KEYS[key].option if key in KEYS else None
    return option.flags[0] if option is not None and option.flags else f"--{key}"


_OPTIONS: Final = "|".join(sorted((n for n, k in KEYS.items() if k.option), key=len, reverse=True))
_SETTING: Final = re.compile(rf"`?\b({_OPTIONS})`? = \[?[\"']([^\"']*)[\"']\]?`?")
_SWITCH: Final = re.compile(rf"`?\b({_OPTIONS})`? = (true|false)\b`?")
_CHOICE: Final = re.compile(rf"\bset `({_OPTIONS})` to \"([^\"]*)\"(?: or \"([^\"]*)\")?")
_QUOTED: Final = re.compile(rf"`({_OPTIONS})`")
_BARE: Final = re.compile(rf"(?<![-\w/.])({'|'.join(n for n in KEYS if '-' in n)})(?![-\w/.])")


def in_options(message: str) -> str:
    """Return a message about settings as worded for the command line: `--editables copy`.

    Messages mention keys in one of five forms: `key = "value"`, `key = true`,
    `` set `key` to "value" ``, `` `key` ``, and a bare name that is not an English word.
    """

    def setting(match: re.Match[str]) -> str:
        value = f"'{match[2]}'" if re.search(r"[^\w.@-]", match[2]) else match[2]
        return f"{option_name(match[1])} {value}"

    def choice(match: re.Match[str]) -> str:
        other = f" or {match[3]}" if match[3] else ""
        return f"use {option_name(match[1])} {match[2]}{other}"

    def switch(match: re.Match[str]) -> str:
        option = KEYS[match[1]].option
        value = f" {match[2]}" if option is not None and option.metavar else ""
        return f"{option_name(match[1])}{value}"

    message = _SWITCH.sub(switch, message)
    message = _SETTING.sub(setting, _CHOICE.sub(choice, message))
    message = re.sub(r"\bset (--[a-z])", r"use \1", message)
    message = _QUOTED.sub(lambda match: option_name(match[1]), message)
    return _BARE.sub(lambda match: _bare(match[1]), message)


def _bare(name: str) -> str:
    return option_name(name) if KEYS[name].option is not None else name
