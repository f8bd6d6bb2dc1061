"""What sets the oldest system that an archive runs on, and what would lower it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fakes import distribution, file, plan

from hatch_pack_venv.model.requirements import FileRequirements, Floor, PlatformRequirements
from hatch_pack_venv.plan.explain import floor_reason, left_out_by_reason

SITE = "lib/python3.11/site-packages"


class Rest(PlatformRequirements):
    """The rest of the files, without a distribution's, requires glibc 2.24."""

    def facts(self, tag: str) -> dict[str, object]:
        """Return what the manifest would record."""
        return {"tag": tag, "glibc": Floor(version=(2, 24), file="x").facts()}


class Floors(FileRequirements):
    """Gives the same answer for any files."""

    def of(self, entries: object) -> PlatformRequirements:  # noqa: ARG002
        """Return what the files require together."""
        return Rest()


@pytest.mark.parametrize(
    ("path", "version", "interpreter", "expected"),
    [
        (f"{SITE}/one/a.so", "2.28", "bundled", "only one 1.0 requires glibc 2.28; everything "),
        (f"{SITE}/one/a.so", "2.24", "bundled", "one 1.0 and others require glibc 2.24"),
        (f"{SITE}/one/a.so", "2.17", "bundled", None),
        ("lib/libpython3.11.so.1.0", "2.35", "bundled", "the interpreter requires glibc 2.35"),
        ("lib/libstdc++.so.6", "2.36", "bundled", "a bundled library of this machine"),
        ("lib/libpython3.11.so.1.0", "2.35", "target", None),
    ],
)
def test_who_sets_the_floor(
    path: str, version: str, interpreter: str, expected: str | None
) -> None:
    """One distribution, several, the interpreter, or a bundled library is named."""
    planned = plan(file(path))
    platform = {"tag": "linux_x86_64", "glibc": {"version": version, "file": path}}
    owner = distribution("one", f"{SITE}/one/a.so", version="1.0")
    planned = replace(
        planned,
        head={**planned.head, "platform": platform, "interpreter": interpreter},
        distributions=(owner,),
    )
    found = floor_reason(planned, Floors())
    assert (found is None) == (expected is None)
    assert found is None or found.startswith(str(expected))


def test_what_was_left_out_is_counted_by_reason() -> None:
    """The reason with the most bytes comes first; packed files are not counted."""
    entries = [file("a.py", b"12"), file("b.pyc", b"1"), file("c.pyc", b"12345")]
    planned = plan(*entries)
    planned = replace(planned, scanned=tuple(entries), entries=tuple(entries[:1]))
    planned.log.leave_out("c.pyc", "byte code")
    planned.log.leave_out("b.pyc", "byte code")
    assert left_out_by_reason(planned) == [{"why": "byte code", "count": 2, "size": 6}]
