"""The leak scan: what files reveal about the machine that they were packed on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.binaries import DT_NEEDED, DT_RUNPATH, make_elf
from support.fakes import INTERPRETER, ListSink, environment, file, inputs, plan

from hatch_pack_venv.model.build_paths import (
    BASE,
    ENVIRONMENT,
    HOME,
    PROJECT,
    BuildPath,
    Finding,
    LeakPolicy,
)
from hatch_pack_venv.model.errors import LeakError
from hatch_pack_venv.model.formats import CompressionFormat
from hatch_pack_venv.scan.build_paths import build_paths_of
from hatch_pack_venv.write.archive import write_archives
from hatch_pack_venv.write.leaks import LeakScanner
from hatch_pack_venv.write.stream import write

if TYPE_CHECKING:
    from hatch_pack_venv.model.plan import PackPlan


PLACES = (
    BuildPath(kind=ENVIRONMENT, path=b"/home/alice/app/.venv"),
    BuildPath(kind=PROJECT, path=b"/home/alice/app"),
    BuildPath(kind=BASE, path=b"/opt/python"),
    BuildPath(kind=HOME, path=b"/home/alice"),
    BuildPath(kind=HOME, path=b"/root", names=frozenset({b".cache", b"work"})),
)


def findings(
    content: bytes, arcname: str = "share/x.txt", *, mode: str = "bundled", piece: int = 1 << 20
) -> list[Finding]:
    look = LeakScanner(LeakPolicy.for_mode(mode, PLACES, "bin"))
    one = look.at(arcname)
    for start in range(0, len(content), piece):
        one.feed(content[start : start + piece])
    look.finish(one, lambda: io.BytesIO(content))
    return look.findings


def names(content: bytes, piece: int = 1 << 20) -> list[str]:
    return [name for finding in findings(content, piece=piece) for name in finding.names]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (b"home = /home/alice/app/.venv/lib", [ENVIRONMENT]),
        (b"/home/alice/app/.venv2", [PROJECT]),
        (b"see /home/alice/app.", [PROJECT]),
        (b"file:///home/alice/application", [HOME]),
        (b"//home/alice", [HOME]),
        (b"-I/opt/python/include -L/opt/python/lib", [BASE]),
        (b"-Wl,-rpath,/opt/python/lib", [BASE]),
        (b'"a\\n/opt/python"', [BASE]),
        (b"/root/work/x and /opt/python", [BASE, HOME]),
        (b"PATH=/bin:/root/.cache/uv:/sbin", [HOME]),
        (b"/home/alicea /home/alice-b /home/alice.old /home/bob", []),
        (b"src/home/alice ~/home/alice ../root/work $X/root/work", []),
        (b"/root /root/ </root> '/root/other'", []),
        (b"", []),
    ],
)
def test_a_place_is_named_where_a_path_begins_and_ends(text: bytes, kinds: list[str]) -> None:
    """The longest path counts; longer names, the tails of other paths and bare `/root` do not."""
    assert names(text) == kinds


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11, 64, 299, 300, 301, 1000])
def test_a_path_is_found_across_the_pieces(piece: int) -> None:
    """The findings are the same however the bytes are cut."""
    for before in (0, 1, 290, 600):
        text = b"x" * before + b" /root/.cache/uv," + b"y" * 700 + b"-I/home/alice"
        assert names(text, piece=piece) == [HOME]
        assert names(b"x" * before + b"src/home/alice/x" + b"y" * 400, piece=piece) == []


@pytest.mark.parametrize(
    ("arcname", "content"),
    [
        ("a.bin", b"\0\x01 /home/alice/app"),
        ("lib/m.cpython-311.pyc", b"\x01 /home/alice/app"),
        ("lib/x.so", make_elf((DT_NEEDED, "libc.so.6")) + b"built in /home/alice/app"),
        ("lib/x.so", b"\x7fELF, damaged, /home/alice/app"),
    ],
)
def test_binary_files_say_nothing(arcname: str, content: bytes) -> None:
    """Bytecode, other binary files and the debug strings of ELF files are skipped."""
    assert findings(content, arcname) == []


@pytest.mark.parametrize("piece", [7, 100, 1 << 20])
@pytest.mark.parametrize(
    ("text", "debug", "expected"),
    [
        ("/home/alice/app/.venv/share/calc", "", [ENVIRONMENT]),
        ("x" * 5000 + ":/home/alice/app/.venv", "y" * 5000, [ENVIRONMENT]),
        ("/home/alice/app/.venv2/share", "", []),
        ("/home/alice/app/share", "", []),
        ("share", "/home/alice/app/.venv/include/numpy.h", []),
    ],
)
def test_the_environment_in_the_data_of_a_program_is_a_finding(
    text: str, debug: str, expected: list[str], piece: int
) -> None:
    """A compiled-in path cannot follow the environment; debug data is never loaded."""
    unused = 99  # a tag that means nothing: its text is data of the file
    content = make_elf((unused, text)) + debug.encode() + b"\0"
    found = findings(content, "bin/calc", piece=piece)
    assert [name for finding in found for name in finding.names] == expected
    assert not any(finding.problem for finding in found)


@pytest.mark.parametrize("piece", [10, 1 << 20])
@pytest.mark.parametrize(
    ("tag", "text", "kind", "fatal"),
    [
        (DT_RUNPATH, "$ORIGIN:/opt/python/lib", BASE, True),
        (DT_RUNPATH, "/home/alice/app/.venv/lib", ENVIRONMENT, True),
        (DT_NEEDED, "/opt/python/lib/libx.so", BASE, True),
        (DT_RUNPATH, "/home/alice/app/build", PROJECT, False),
    ],
)
def test_of_elf_files_the_dynamic_section_counts(
    tag: int, text: str, kind: str, fatal: bool, piece: int
) -> None:
    """A library looked for in the old environment or base interpreter is an error."""
    (finding,) = findings(make_elf((tag, text)), "lib/x.so", piece=piece)
    assert finding.names == (kind,)
    assert bool(finding.problem) is fatal
    if finding.problem:
        assert finding.problem.startswith(f"lib/x.so looks for libraries in {text.split(':')[-1]}")


@pytest.mark.parametrize("padding", [0, 1 << 16, 1 << 20])
@pytest.mark.parametrize(
    ("arcname", "content", "fill", "kinds"),
    [
        ("share/x.txt", b"at /home/alice/app\n", b"x", [PROJECT]),
        ("share/x.txt", b"nowhere\n", b"/", []),
        ("bin/tool", b"#!/opt/python/bin/python3\n", b"#", [BASE]),
        ("share/x.bin", b"\0 /home/alice/app", b"\0", []),
        ("lib/m.pyc", b"/home/alice/app", b"x", []),
        ("lib/x.so", make_elf((DT_RUNPATH, "/opt/python/lib")), b"\0", [BASE]),
        ("lib/x.so", make_elf((DT_NEEDED, "libc.so.6")) + b"/home/alice/app", b"\0", []),
    ],
)
def test_a_file_at_hand_is_judged_as_one_that_streams(
    arcname: str, content: bytes, fill: bytes, kinds: list[str], padding: int
) -> None:
    """Small files are searched at once, larger ones by their kind; the findings are the same."""
    content += fill * padding
    look = LeakScanner(LeakPolicy.for_mode("bundled", PLACES, "bin"))
    look.over(arcname, content)
    assert look.findings == findings(content, arcname)
    assert [name for finding in look.findings for name in finding.names] == kinds


@pytest.mark.parametrize(
    ("content", "arcname", "fatal"),
    [
        (b"#!/home/alice/app/.venv/bin/node\nrun\n", "bin/tool", True),
        (b"#! /opt/python/bin/python3 -I\nrun\n", "bin/tool", True),
        (
            b"#!/bin/sh\n'''exec' \"/opt/python/bin/python3\" \"$0\" \"$@\"\n' '''\n",
            "bin/tool",
            True,
        ),
        (b"#!/home/alice/app/tools/run\n", "bin/tool", False),
        (b"#!/bin/sh\nprefix=/home/alice/app/.venv\n", "bin/tool", False),
        (b"#!/home/alice/app/.venv/bin/node\n", "share/tool", False),
    ],
)
def test_a_script_is_run_by_what_its_head_names(content: bytes, arcname: str, fatal: bool) -> None:
    """A head that names the old environment or base interpreter is an error, a body is not."""
    (finding,) = findings(content, arcname)
    assert bool(finding.problem) is fatal


def test_the_base_interpreter_may_be_there_in_target_mode() -> None:
    """The target may have it at the same path, so it is a warning; the environment has moved."""
    (base,) = findings(b"#!/opt/python/bin/python3\n", "bin/tool", mode="target")
    (old,) = findings(b"#!/home/alice/app/.venv/bin/x\n", "bin/tool", mode="target")
    assert (base.problem, bool(old.problem)) == (None, True)


def test_places_come_in_every_spelling(tmp_path: Path) -> None:
    """Links and their targets come plain, as URLs and in JSON, with the longest first."""
    home = tmp_path / "Bü ro"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    found = build_paths_of(
        environment(config={"home": "/opt/py/bin"}, requested=Path("/link/env")),
        project=Path("/nothing-here"),
        home=str(tmp_path / "link"),
    )
    spelled = {place.path: place.kind for place in found}
    assert spelled[str(home).encode()] == HOME
    assert spelled[f"{tmp_path}/B%C3%BC%20ro".encode()] == HOME
    assert spelled[f"{tmp_path}/B\\u00fc ro".encode()] == HOME
    assert spelled[f"{tmp_path}/link".encode()] == HOME
    assert (spelled[b"/opt/py"], spelled[b"/opt/python"]) == (BASE, BASE)
    assert (spelled[b"/link/env"], spelled[b"/build/env"]) == (ENVIRONMENT, ENVIRONMENT)
    assert b"/nothing-here" not in spelled  # it contains no name that could identify it
    assert [len(place.path) for place in found] == sorted(
        (len(place.path) for place in found), reverse=True
    )


def test_a_folder_right_below_the_root_counts_by_what_it_holds() -> None:
    """`/dev`, which exists everywhere, is used here in place of `/app` and `/root`."""
    (place,) = build_paths_of(
        environment(interpreter=INTERPRETER, requested=Path("/build/env")), home="/dev"
    )[-1:]
    assert place.path == b"/dev"
    assert place.names is not None
    assert b"null" in place.names


ENTRIES = (file("bin/tool", b"#!/build/env/bin/node\n"), file("etc/a", b"/build/env\n"))


def watched(interpreter: str = "target") -> PackPlan:
    return plan(
        *ENTRIES, inputs=inputs(interpreter=interpreter, build_paths=build_paths_of(environment()))
    )


def test_what_breaks_stops_the_writing(tmp_path: Path) -> None:
    """The error names each file, the sink drops its entries, and nothing is left behind."""
    sink = ListSink()
    with pytest.raises(LeakError, match=r"bin/tool starts with '#!/build/env/bin/node'") as caught:
        write(watched(), sink, lambda _: None)
    assert "etc/a" not in str(caught.value)
    assert sink.entries == []
    with pytest.raises(LeakError):
        write_archives(watched(), tmp_path / "app", [CompressionFormat.GZIP])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_an_error_where_no_file_can_be_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The seed API warns with a line for each file; the facts do not contain the paths."""
    (result,) = write_archives(watched("linked"), tmp_path / "app", [CompressionFormat.GZIP])
    assert [finding.arcname for finding in result.findings] == ["bin/tool", "etc/a"]
    assert [record.getMessage() for record in caplog.records] == [
        "bin/tool starts with '#!/build/env/bin/node', whose path will not exist on the target:"
        " reinstall or exclude it",
        "etc/a names the environment's old place",
    ]
    facts = (tmp_path / "app.tar.gz.json").read_text()
    assert '"path": "etc/a"' in facts
    assert "/build/env" not in facts


def test_the_interpreter_that_is_replaced_is_passed_by(tmp_path: Path) -> None:
    """A copy that replaces the seed API's link names the base, and postinstall.py replaces it."""
    entry = file("bin/python3.11", make_elf((DT_RUNPATH, "/opt/python/lib")))
    planned = plan(
        entry, inputs=inputs(interpreter="linked", build_paths=build_paths_of(environment()))
    )
    (result,) = write_archives(planned, tmp_path / "app", [CompressionFormat.ZIP])
    assert result.findings == ()


def test_many_findings_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ten are named; the rest are only in the results."""
    entries = [file(f"etc/{number}", b"/build/env") for number in range(13)]
    planned = plan(*entries, inputs=inputs(build_paths=build_paths_of(environment())))
    (result,) = write_archives(planned, tmp_path / "app", [CompressionFormat.UNCOMPRESSED])
    assert len(result.findings) == 13
    assert len(caplog.records) == 11
    assert caplog.records[-1].getMessage().startswith("3 more files contain such paths")
