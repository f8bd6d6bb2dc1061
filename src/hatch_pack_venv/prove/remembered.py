"""Failures in the source environment, cached by content digest: the next build skips them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from ..filesystem import cache_folder, check_cache_folder, make_cache_folder
from ..metadata.files import read_json
from ..model.proof import Answer, Question

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_FORMAT: Final = 1
_KEPT: Final = 7 * 24 * 60 * 60
"""Seconds after which everything is asked again: what a module lacked may be there by then."""
_OURS: Final = re.compile(r"[0-9a-f]{32}\.(json|\d+\.partial)")


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAnswers:
    """A file of answers that a source environment has given.

    It holds only failures: the source environment is asked only about what fails in the archive.
    """

    path: Path

    @classmethod
    def of(cls, content_digest: str, prefix: Path, interpreter: str) -> Self:
        """Return the file for an archive's contents, an environment and its interpreter."""
        said = json.dumps([_FORMAT, content_digest, str(prefix), interpreter])
        name = hashlib.sha256(said.encode()).hexdigest()[:32]
        return cls(path=cache_folder("proof") / f"{name}.json")

    def read(self) -> dict[Question, Answer]:
        """Return the known answers; none if they cannot be read."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            check_cache_folder(self.path.parent)
            if _is_old(self.path):
                return {}
            rows = read_json(self.path)
            answers = [
                Answer(question=Question(**row["question"]), **row["answer"]) for row in rows
            ]
            return {each.question: each for each in answers if not each.ran}
        return {}

    def add(self, answers: Iterable[Answer]) -> None:
        """Remember failures; if the cache cannot be written, do without it."""
        known = self.read() | {each.question: each for each in answers}
        rows = [
            {
                "question": {
                    "kind": each.question.kind,
                    "name": each.question.name,
                    "module": each.question.module,
                    "attr": each.question.attr,
                },
                "answer": {"ran": False, "seconds": 0.0, "said": each.said, "late": each.late},
            }
            for each in known.values()
        ]
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        with suppress(OSError):
            make_cache_folder(self.path.parent)
            try:
                partial.write_text(json.dumps(rows), encoding="utf-8")
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)
            for each in self.path.parent.iterdir():
                if _OURS.fullmatch(each.name) and _is_old(each):
                    each.unlink()


def _is_old(path: Path) -> bool:
    return path.stat().st_mtime < time.time() - _KEPT
