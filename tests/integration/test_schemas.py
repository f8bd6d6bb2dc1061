"""JSON outputs, and the file next to an archive, match the published schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from support.documentation import README

from hatch_pack_venv.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = README.parent / "docs" / "schemas"


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text()))


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("interpreter", ["bundled", "target", "/opt/python/bin/python3"])
def test_outputs_are_as_their_schemas_say(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interpreter: str
) -> None:
    """Outputs of `pack`, `export`, `inspect` and `verify` are valid, for one archive or several."""
    options = ["--interpreter", interpreter, "--format", "tar", "--exclude-files", "*.fish"]
    base = tmp_path / "out" / "app"
    packed = told(capsys, "pack", environment, "-o", base, *options)
    validator("pack").validate(packed)
    assert packed[0]["proof"]["prove"] == "start"
    dry = ("pack", environment, "-o", base, *options, "--dry-run")
    validator("dry-run").validate(told(capsys, *dry))
    folder = tmp_path / "folder"
    exported = told(capsys, "export", environment, folder, "--interpreter", interpreter)
    validator("export").validate(exported)
    archive = base.with_name("app.tar")
    facts = json.loads(archive.with_name("app.tar.json").read_text())
    validator("archive").validate(facts)
    assert {"why": "exclude-files", "count": 1} in [
        {"why": each["why"], "count": each["count"]} for each in facts["left_out"]
    ]
    for command in ("inspect", "verify"):
        for paths in ([archive], [folder], [archive, folder]):
            validator(command).validate(told(capsys, command, *paths))
    if not interpreter.startswith("/"):
        again = told(capsys, "verify", archive, "--run", "--prove-room", "none")
        validator("verify").validate(again)
    (folder / "postinstall.py").unlink()
    damaged = told(capsys, "verify", folder)
    assert damaged["findings"]
    validator("verify").validate(damaged)


def test_a_refused_dry_run_is_as_its_schema_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], environment: Path
) -> None:
    """The output of a dry run that refuses to pack is valid."""
    options = ["--max-size", "1", "--interpreter", "target"]
    found = told(capsys, "pack", environment, "-o", tmp_path / "x", "--dry-run", *options)
    assert found["refused"]
    validator("dry-run").validate(found)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_schemas_are_schemas_and_listed(path: Path) -> None:
    """Each is a valid schema, rejects an empty object, and is listed in the README."""
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert not Draft202012Validator(schema).is_valid({})
    assert f"[{path.name}]({path.name})" in (SCHEMAS / "README.md").read_text()
