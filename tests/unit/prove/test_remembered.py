"""What is remembered about an environment: failures, by what was packed from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatch_pack_venv.model.proof import Answer, Question
from hatch_pack_venv.prove.remembered import HomeAnswers

GUI = Question(kind="module", name="gui", module="gui")
FAILED = Answer(question=GUI, ran=False, seconds=1.0, said="no display", late=True)


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("HATCH_PACK_VENV_CACHE_DIR")


def answers(digest: str = "ab", prefix: str = "/env", interpreter: str = "3.11") -> HomeAnswers:
    return HomeAnswers.of(digest, Path(prefix), interpreter)


def test_failures_are_known_again() -> None:
    """Failures of one build are known to the next, with their messages; more can be added."""
    assert answers().read() == {}
    answers().add([FAILED])
    other = Answer(question=Question(kind="module", name="x", module="x"), ran=False, seconds=0.0)
    answers().add([other])
    known = answers().read()
    assert set(known) == {GUI, other.question}
    assert (known[GUI].ran, known[GUI].said, known[GUI].late) == (False, "no display", True)


@pytest.mark.parametrize(
    "changed", [{"digest": "cd"}, {"prefix": "/other"}, {"interpreter": "3.12"}]
)
def test_another_archive_environment_or_interpreter_is_asked_anew(changed: dict[str, str]) -> None:
    """After a change to any of them, the module may load."""
    answers().add([FAILED])
    assert answers(**changed).read() == {}


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"question": {}, "answer": {}}]', "null"])
def test_a_damaged_file_is_none(content: str) -> None:
    """Nothing is remembered then, and the file is rewritten."""
    path = answers().path
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert answers().read() == {}
    answers().add([FAILED])
    assert set(answers().read()) == {GUI}


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    """It is a convenience."""
    (tmp_path / "caches").write_text("a file")
    answers().add([FAILED])
    assert answers().read() == {}


def test_what_is_known_ends() -> None:
    """What a module lacked may exist a week later; old files are removed, and other files stay."""
    answers().add([FAILED])
    folder = answers().path.parent
    for path in (answers().path, folder / f"{'a' * 32}.7.partial", folder / "notes.json"):
        path.touch()
        os.utime(path, (1, 1))
    assert answers().read() == {}
    answers(digest="cd").add([FAILED])
    assert {path.name for path in folder.iterdir()} == {
        answers(digest="cd").path.name,
        "notes.json",
    }


def test_what_others_may_have_written_is_not_known() -> None:
    """Otherwise an archive that does not run could be released."""
    answers().add([FAILED])
    assert answers().read() != {}
    answers().path.parent.chmod(0o777)
    assert answers().read() == {}
