"""What messages call keys: options on the command line, TOML paths in a build."""

from __future__ import annotations

import pytest

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.config.wording import COMMAND_LINE, Wording, in_options
from hatch_pack_venv.model.errors import OptionsError


def problem(table: dict[str, object], names: Wording | str) -> str:
    with pytest.raises(OptionsError) as caught:
        PackOptions.from_mapping(table, names, ())
    (told,) = caught.value.problems
    return told


@pytest.mark.parametrize(
    ("table", "on_the_command_line", "in_a_table"),
    [
        ({"format": ["targz"]}, "; did you mean tar.gz?", "; did you mean 'tar.gz'?"),
        ({"format": "gz"}, "; did you mean tar.gz?", "; did you mean 'tar.gz'?"),
        ({"editables": "copi"}, "; did you mean copy?", "; did you mean 'copy'?"),
        ({"interpreter": "bundle"}, "; did you mean bundled?", "; did you mean 'bundled'?"),
        ({"exclude-files": ["@test"]}, "; did you mean @tests?", "; did you mean '@tests'?"),
        ({"format": "rar-archive"}, "each once", "not 'rar-archive'"),
    ],
)
def test_a_value_suggests_the_nearest(
    table: dict[str, object], on_the_command_line: str, in_a_table: str
) -> None:
    """A slip in a value is refused with the one that was meant, as a slip in a key is."""
    (key,) = table
    told = problem(table, COMMAND_LINE)
    assert told.startswith(f"--{key}: ")
    assert told.endswith(on_the_command_line)
    told = problem(table, "tool.x")
    assert told.startswith(f"tool.x.{key} must be ")
    assert told.endswith(in_a_table)


def test_an_option_in_a_project_is_called_by_its_name() -> None:
    """A setting given as an option is called by its option, one in the table by its path."""
    names = Wording(where="build.hooks.pack-venv", options=frozenset({"wheels"}))
    assert problem({"wheels": "x"}, names).startswith("--wheel: 'x' is not ")
    assert problem({"check": "x"}, names).startswith("build.hooks.pack-venv.check must be ")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'name its wheel in `wheels`, or set `editables` to "copy" or "exclude"',
            "name its wheel in --wheel, or use --editables copy or exclude",
        ),
        ('set interpreter = "target" and let', "use --interpreter target and let"),
        (
            "only applies with distributions = 'required', but",
            "only applies with --distributions required, but",
        ),
        ('include-files = ["/include/"] brings', "--include-files '/include/' brings"),
        ("name one, or set `wheels-newest = true`", "name one, or use --wheels-newest"),
        ("with vendor-libraries = false they", "with --vendor-libraries false they"),
        ("bring it back with include-files", "bring it back with --include-files"),
        ("see /srv/exclude-files/x and a-max-size", "see /srv/exclude-files/x and a-max-size"),
        ("the format of the archive-name", "the format of the archive-name"),
    ],
)
def test_messages_about_settings_speak_of_options(message: str, expected: str) -> None:
    """Settings in messages are rewritten as options; paths and prose stay unchanged."""
    assert in_options(message) == expected
