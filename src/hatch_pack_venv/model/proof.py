"""What was asked of an unpacked archive, and what it answered: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .errors import ProblemList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


Asked: TypeAlias = "str | tuple[str, ...]"
"""`none`, `start`, `all`, or commands."""
Kind: TypeAlias = Literal["interpreter", "module", "entry point", "command"]
_PLURALS: Final[dict[Kind, str]] = {
    "interpreter": "interpreter",
    "module": "modules",
    "entry point": "entry points",
    "command": "commands",
}


def amounts(ran: Mapping[str, int]) -> list[str]:
    """Return in words how many questions of each kind ran.

    Parameters:
        ran: the numbers, by the titles of the kinds (`Count.title`).
    """
    kinds = {title: kind for kind, title in _PLURALS.items()}
    return [
        "the interpreter"
        if title == "interpreter"
        else f"{count} {kinds.get(title, title) if count == 1 else title}"
        for title, count in ran.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something that must run.

    Parameters:
        name: the name of the module or entry point, or the command itself.
        module: the module to import; empty for a command.
        attr: the object in the module that an entry point names; may be dotted.
    """

    kind: Kind
    name: str
    module: str = ""
    attr: str = ""

    @property
    def shown(self) -> str:
        """The question as named in a sentence about its failure."""
        if self.kind == "entry point":
            return f"the entry point {self.name} ({self.module}:{self.attr})".replace(":)", ")")
        return f"the {self.kind} {self.name}" if self.kind != "interpreter" else "the interpreter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of a question.

    Parameters:
        said: the last line of a failure; empty if it ran.
        status: a command's exit status.
        late: whether it was stopped because it took too long.
        compared: whether the source environment has it too and was asked as well.
    """

    question: Question
    ran: bool
    seconds: float
    said: str = ""
    status: int | None = None
    late: bool = False
    compared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many questions of one kind ran.

    Parameters:
        passed_over: how many fail in the source environment too, and are excused.
    """

    kind: Kind
    ran: int
    passed_over: int
    seconds: float

    @property
    def title(self) -> str:
        """The kind as a table's row names it."""
        return _PLURALS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What ran in the clean room.

    Parameters:
        room: `hidden`, `bare` or `none`; `None` if nothing was run.
        made_by: what made the room, `bubblewrap` or `namespaces`.
        reason: why nothing was run.
        passed_over: failures that also occur in the source environment.
        seconds: how long everything took, including unpacking.
    """

    asked: Asked
    room: str | None = None
    made_by: str | None = None
    reason: str | None = None
    counts: tuple[Count, ...] = ()
    passed_over: tuple[Answer, ...] = ()
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return the facts that do not vary between runs, as JSON-compatible values."""
        asked = self.asked if isinstance(self.asked, str) else list(self.asked)
        if self.room is None:
            return {"prove": asked, "room": None, "reason": self.reason}
        return {
            "prove": asked,
            "room": self.room,
            "ran": {count.title: count.ran for count in self.counts},
            "passed_over": [
                {"kind": each.question.kind, "name": each.question.name, "said": each.said}
                for each in self.passed_over
            ],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
        if self.room is None:
            return self.facts()
        seconds = {count.title: round(count.seconds, 2) for count in self.counts}
        return {
            **self.facts(),
            "made_by": self.made_by,
            "seconds": round(self.seconds, 2),
            "seconds_by_kind": seconds,
        }


def counted(answers: Iterable[Answer], passed_over: Iterable[Answer]) -> Iterator[Count]:
    """Yield the counts of each kind that was asked for.

    Parameters:
        answers: those that ran.
        passed_over: those that fail in the source environment too.
    """
    ran, over = [*answers], [*passed_over]
    for kind in _PLURALS:
        good = [each for each in ran if each.question.kind == kind]
        bad = [each for each in over if each.question.kind == kind]
        if good or bad:
            yield Count(
                kind=kind,
                ran=len(good),
                passed_over=len(bad),
                seconds=sum(each.seconds for each in (*good, *bad)),
            )


class ProofError(ProblemList):
    """What was packed does not run, or a requested run is not possible."""
