"""Write what is made from the code into the documentation: `hatch run docs`."""

from __future__ import annotations

import re
from pathlib import Path

from hatch_pack_venv.config.table import markdown

README = Path(__file__).parents[2] / "README.md"
_TABLE = re.compile(
    r"(?<=<!-- configuration-table -->\n).*?(?=<!-- /configuration-table -->)", re.DOTALL
)


def with_table(text: str) -> str:
    """Return README's text with the configuration table as the code has it."""
    text, count = _TABLE.subn(lambda _match: markdown(), text)
    assert count == 1, "README.md has lost the markers of its configuration table"
    return text


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
