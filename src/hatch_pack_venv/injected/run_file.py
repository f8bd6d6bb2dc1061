"""The head of a run file: a POSIX script that unpacks what follows it, and then starts it.

Its first lines are assignments, which are read back. Those that are only known when everything is
written have a fixed width: the head is written twice, and is as long both times.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Self

MAGIC: Final = b"#!/bin/sh\n# "
LIMIT: Final = 1 << 16
"""Bytes that a head may have; ours have about 9,000."""
_NO_DIGEST: Final = "0" * 64
_DIGITS: Final = 20
_HEAD_SHA256: Final = re.compile(rb"^_pv_head_sha256=([0-9a-f]{64})$", re.MULTILINE)
_ASSIGNED: Final = re.compile(r"^_pv_(\w+)=(.*?) *$", re.MULTILINE)
_END: Final = b'\n_pv_self=$0\n_pv_main "$@"\nexit\n'


class NotAHead(ValueError):
    """What a file begins with is no head of ours, or not as it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a head says.

    Parameters:
        title: the first line's: name, version and platform.
        name: of the folder in the cache, which the content digest's first digits complete.
        top: the payload's top folder; empty for none.
        start: arcname of what is started; python: of the interpreter.
        machine: what `uname -m` must say; empty where that is left to the interpreter's start.
        needs: what the target must have at least, in words.
        info: what `--pack-venv-info` prints.
        digest: the content digest; sha256, size: of the payload, in bytes.
    """

    title: str
    name: str
    top: str
    start: str
    python: str
    machine: str
    needs: str
    info: str
    digest: str = _NO_DIGEST
    sha256: str = _NO_DIGEST
    size: int = 0

    def render(self) -> bytes:
        """Return the script, of the same length for every digest and size."""
        text = (files("hatch_pack_venv") / "injected" / "run.sh").read_text(encoding="utf-8")
        quoted = {
            "NAME": f"{self.name}-{self.digest[:16]}",
            "TOP": self.top,
            "START": self.start,
            "PYTHON": self.python,
            "MACHINE": self.machine,
            "NEEDS": self.needs,
            "INFO": f"{self.info}\ncontent digest {self.digest}\npayload sha256 {self.sha256}",
        }
        values = {name: shlex.quote(value) for name, value in quoted.items()}
        values |= {"TITLE": self.title, "DIGEST": self.digest, "SHA256": self.sha256}
        values |= {"HEAD_SHA256": _NO_DIGEST, "OFFSET": " " * _DIGITS, "SIZE": " " * _DIGITS}
        pattern = re.compile("@(" + "|".join(values) + ")@")
        length = len(pattern.sub(lambda match: values[match[1]], text).encode(*_CODEC))
        values["OFFSET"] = f"{length + 1:<{_DIGITS}}"
        values["SIZE"] = f"{length + self.size:<{_DIGITS}}"
        script = pattern.sub(lambda match: values[match[1]], text).encode(*_CODEC)
        return script.replace(_NO_DIGEST.encode(), hashlib.sha256(script).hexdigest().encode(), 1)


_CODEC: Final = ("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where the payload of a run file is, and what it must be.

    Parameters:
        offset: where it begins; size: of the whole file, in bytes.
    """

    offset: int
    size: int
    sha256: str
    digest: str

    @classmethod
    def read(cls, start: bytes) -> Self:
        """Read the first `LIMIT` bytes of a file.

        Raises:
            NotAHead: they are not as `Head` has written them.
        """
        length = start.find(_END) + len(_END)
        match = _HEAD_SHA256.search(start)
        if length < len(_END) or match is None:
            raise NotAHead("the end of its head is missing")
        head = start[:length]
        blank = head[: match.start(1)] + _NO_DIGEST.encode() + head[match.end(1) :]
        if hashlib.sha256(blank).hexdigest().encode() != match[1]:
            raise NotAHead("its head is not as it was written")
        told = dict(reversed(_ASSIGNED.findall(head[: head.index(b"\n\n")].decode(*_CODEC))))
        try:
            found = cls(
                offset=int(told["offset"]) - 1,
                size=int(told["size"]),
                sha256=told["sha256"],
                digest=told["digest"],
            )
        except (KeyError, ValueError):
            raise NotAHead("its head does not tell where the rest is") from None
        if found.offset != length:
            raise NotAHead("its head tells another length than it has")
        return found
