"""What ran, as the command and builds show it."""

from __future__ import annotations

from hatch_pack_venv.api.report import proof_lines
from hatch_pack_venv.model.proof import Answer, Proof, Question, counted

MODULE = Question(kind="module", name="a", module="a")
INTERPRETER = Question(kind="interpreter", name="python")


def proof(asked: str, room: str | None = "hidden") -> Proof:
    ran = [Answer(question=INTERPRETER, ran=True, seconds=0.5)]
    ran += [Answer(question=MODULE, ran=True, seconds=1.25)] * 2
    over = [Answer(question=MODULE, ran=False, seconds=0.25, said="x")]
    counts = tuple(counted(ran, over))
    return Proof(asked=asked, room=room, counts=counts, passed_over=tuple(over), seconds=2.0)


def test_a_start_is_one_line() -> None:
    """It is one of the lines about a result."""
    assert [*proof_lines(proof("start"), 80)] == [
        "  ran      the interpreter, 2 modules in a clean room, 2.0 s"
    ]


def test_all_is_a_table() -> None:
    """A row for each kind."""
    assert [line.split() for line in proof_lines(proof("all", "bare"), 80)] == [
        ["ran", "in", "a", "bare", "room,", "2.0", "s"],
        ["ran", "failed", "failed", "in", "environment", "seconds"],
        ["interpreter", "1", "0", "0", "0.5"],
        ["modules", "2", "0", "1", "2.8"],
    ]


def test_nothing_is_no_line() -> None:
    """A note has said why."""
    assert [*proof_lines(proof("start", None), 80)] == []


def test_facts_are_the_same_whenever_it_is_proved() -> None:
    """The facts next to an archive, which is reproducible, contain no seconds."""
    assert proof("all").facts() == {
        "prove": "all",
        "room": "hidden",
        "ran": {"interpreter": 1, "modules": 2},
        "passed_over": [{"kind": "module", "name": "a", "said": "x"}],
    }
    assert proof("all").to_dict()["seconds"] == 2.0
