"""Modes, times and order, the same for every builder and in every format."""

from __future__ import annotations

import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.archives import members
from support.fakes import file, folder, inputs, link, names, plan

from hatch_pack_venv import CompressionFormat, PackVenvError
from hatch_pack_venv.model.entries import (
    DEFAULT_TIME,
    Entry,
    FileEntry,
    SymlinkEntry,
    Times,
    UnsupportedEntry,
    mode_of,
)
from hatch_pack_venv.plan.order import in_order, normalised
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZONES = ["UTC", "America/New_York", "Pacific/Kiritimati", "XYZ+11:30"]
FIRST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp())


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the process's time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def mtimes(tmp_path: Path, format: CompressionFormat, times: list[int]) -> list[int]:
    planned = plan(
        *(file(f"data/{number}", mtime=moment) for number, moment in enumerate(times)),
        inputs=inputs(times=Times()),
    )
    (result,) = write_archives(planned, tmp_path / "app", [format])
    found = members(result.path)
    return [found[f"app/data/{number}"].mtime for number in range(len(times))]


EDGES = {
    0: FIRST,
    FIRST - 1: FIRST,
    FIRST: FIRST,
    FIRST + 2: FIRST + 2,
    LAST - 2: LAST - 2,
    LAST: LAST,
    LAST + 1: LAST,
    LAST + 2: LAST,
    LAST + 40 * 365 * 86400: LAST,
    1 << 62: LAST,
}


@pytest.mark.usefixtures("zone")
def test_zip_times_stay_within_its_limits(tmp_path: Path) -> None:
    """1980 and 2107 are the limits in UTC, wherever the archive is made."""
    assert mtimes(tmp_path, CompressionFormat.ZIP, list(EDGES)) == list(EDGES.values())


@pytest.mark.usefixtures("zone")
def test_zip_members_hold_utc_and_no_other_time(tmp_path: Path) -> None:
    """The times in the file are in UTC, and no extra field says anything else."""
    planned = plan(inputs=inputs(times=Times(fixed=DEFAULT_TIME)))
    (result,) = write_archives(planned, tmp_path / "app", [CompressionFormat.ZIP])
    with zipfile.ZipFile(result.path) as zipped:
        infos = zipped.infolist()
    assert infos
    assert {info.date_time for info in infos if "metadata/" not in info.filename} == {
        (2020, 2, 2, 0, 0, 0)
    }
    assert {info.extra for info in infos} == {b""}


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "format", [f for f in CompressionFormat if f.is_tar_format], ids=lambda f: f.name
)
def test_tar_times_are_the_files(tmp_path: Path, format: CompressionFormat) -> None:
    """The epoch is the only limit; even times that no octal field can hold are kept."""
    times = [0, 1, FIRST, LAST, 1 << 33, 1 << 40]
    assert mtimes(tmp_path, format, times) == times
    assert mtimes(tmp_path, format, [-1, -(1 << 40)]) == [0, 0]


@pytest.mark.parametrize("text", ["0", "1", "315532800", "1700000000", "9999999999"])
def test_source_date_epoch_is_every_time(text: str) -> None:
    """The variable overrides the times of files, folders, links and generated files."""
    times = Times.reproducible({"SOURCE_DATE_EPOCH": text})
    assert {times.of(moment) for moment in (None, 0, 5, 1 << 40)} == {int(text)}


def test_without_the_variable_the_time_is_hatchlings() -> None:
    """2020-02-02 in UTC."""
    assert Times.reproducible({}).of(5) == 1580601600
    assert Times.kept({}).of(None) == 1580601600
    assert Times.kept({"SOURCE_DATE_EPOCH": "7"}).of(None) == 7
    assert Times.kept({"SOURCE_DATE_EPOCH": "7"}).of(5) == 5


@pytest.mark.parametrize("text", ["", " 1", "-1", "1.5", "0x10", "1e9", "now", "\u0661"])
def test_a_wrong_source_date_epoch_is_one_sentence(text: str) -> None:
    """A value that is not a whole number of seconds is named and not guessed at."""
    with pytest.raises(PackVenvError, match="SOURCE_DATE_EPOCH is invalid: it must be") as caught:
        Times.reproducible({"SOURCE_DATE_EPOCH": text})
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", [str(2**63), "253402300800", "1" * 5000])
def test_a_source_date_epoch_beyond_all_calendars_is_refused(text: str) -> None:
    """Tools would refuse to unpack it, or Python to parse so many digits."""
    with pytest.raises(PackVenvError, match="it must be at most 253402300799"):
        Times.reproducible({"SOURCE_DATE_EPOCH": text})


def test_clamped_times_keep_what_is_early() -> None:
    """Only what is later than the limit changes; fractions of the limit are cut off."""
    limit = datetime(2001, 9, 9, 1, 46, 40, 900_000, tzinfo=UTC)
    times = Times.clamped(limit)
    found = [times.of(moment) for moment in (5, 999_999_999, 1_000_000_000, 1_000_000_001, None)]
    assert found == [5, 999_999_999, *[1_000_000_000] * 3]
    assert Times.clamped(None).of(1 << 40) == 1 << 40
    assert Times.clamped(datetime(1969, 1, 1, tzinfo=UTC)).of(5) == 0


def test_what_stands_for_a_link_gets_its_time_too() -> None:
    """The copies that replace an external link are clamped like all other entries."""
    odd = UnsupportedEntry(arcname="l/p", reason="is a FIFO")
    outside = replace(link("l", "/x", "/x"), copies=(folder("l", 9), file("l/f", mtime=9), odd))
    (entry,) = normalised([outside], Times(latest=4))
    assert isinstance(entry, SymlinkEntry)
    assert entry.mtime == 0
    assert [getattr(copy, "mtime", None) for copy in entry.copies] == [4, 4, None]


def test_modes_follow_the_owners_execute_bit() -> None:
    """Files are 755 or 644, folders 755."""
    entries: list[Entry] = [file("a"), file("b", executable=True), folder("c"), link("d", "a", "a")]
    assert [f"{mode_of(entry):o}" for entry in entries] == ["644", "755", "755", "777"]


def test_modes_are_kept_on_request_as_far_as_they_are_safe() -> None:
    """Bits are cleared but never added: private stays private, and read-only stays read-only."""
    found = {0o600: 0o600, 0o444: 0o444, 0o7777: 0o755, 0o664: 0o644, 0o500: 0o500}
    files: list[Entry] = [replace(file("a"), mode=mode) for mode in found]
    folders: list[Entry] = [replace(folder("a"), mode=mode) for mode in found]
    outside = replace(link("l", "/x", "/x"), copies=(replace(file("l"), mode=0o640),))
    for entries in (files, folders):
        kept = normalised(entries, Times(), keeps_modes=True)
        assert [mode_of(entry) for entry in kept] == [*found.values()]
        assert len({mode_of(entry) for entry in normalised(entries, Times())}) == 1
    (entry,) = normalised([outside], Times(), keeps_modes=True)
    assert isinstance(entry, SymlinkEntry)
    assert [mode_of(copy) for copy in entry.copies if isinstance(copy, FileEntry)] == [0o640]


def test_the_order_is_that_of_the_parts_of_names() -> None:
    """Files are sorted by extension, then parents before children, and siblings by code point."""
    wanted = ["B", "a", "a/b", "a/b/c", "a b", "a-b", "a0", "é", "\U0001f600", "a.b"]
    assert names(in_order(map(file, reversed(wanted)))) == wanted


def test_large_copies_lie_side_by_side() -> None:
    """Files of the same name and size go where the last one is, except small or compiled ones."""
    large, small = bytes(256 << 10), bytes((256 << 10) - 1)
    entries = [
        file("a/1.js", large),
        file("a/2.js", large),
        file("a/3.js", large),
        file("a/4.js", small),
        file("a/c.so", large),
        file("b/1.js", large),
        file("b/2.js", large + b"x"),
        file("b/3.js", large),
        file("b/4.js", small),
        file("b/b.so", large),
        file("b/c.so", large),
    ]
    wanted = ["a/c.so", "b/b.so", "b/c.so"]
    wanted += ["a/2.js", "a/4.js", "a/1.js", "b/1.js", "b/2.js", "a/3.js", "b/3.js", "b/4.js"]
    assert names(in_order(entries)) == wanted
    assert names(in_order(reversed(entries))) == wanted
