"""Unit tests are pure: they start no process and reach no network."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# https://docs.python.org/3/library/audit_events.html
_IMPURE = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "socket.connect"}


class _Guard:
    """Refuses processes and connections while a unit test runs; an audit hook stays for good."""

    def __init__(self) -> None:
        self.active = False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.active and event in _IMPURE:
            pytest.fail(f"{event}{arguments[:2]!r}: tests/unit is pure; see tests/README.md")

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.active = True
        try:
            yield
        finally:
            self.active = False


_GUARD = _Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Watch the fixtures of unit tests."""
    with _GUARD.watching():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Watch unit tests."""
    with _GUARD.watching():
        return (yield)
