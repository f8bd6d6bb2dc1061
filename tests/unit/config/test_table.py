"""The table of keys: documentation, command and options agree with it."""

from __future__ import annotations

from dataclasses import fields

from support.documentation import README, with_table

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.config.table import KEYS


def test_the_readme_has_the_table_of_the_code() -> None:
    """README's configuration table is what `hatch run docs` writes."""
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text


def test_every_key_has_a_field_of_the_options() -> None:
    """Keys and fields are the same set, one for one."""
    assert {key.field for key in KEYS.values()} == {field.name for field in fields(PackOptions)}


def test_keys_that_need_a_project_have_no_option() -> None:
    """All others are options of the command."""
    without = {name for name, key in KEYS.items() if key.option is None}
    project = {"source", "hatch-env", "project", "output-directory", "archive-name", "extras"}
    assert without == project
