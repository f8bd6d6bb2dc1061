"""The plan, from entries made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fakes import (
    PREFIX,
    SITE,
    distribution,
    environment,
    file,
    folder,
    inputs,
    link,
    names,
    plan,
)

from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.model.entries import (
    DEFAULT_TIME,
    DirectoryEntry,
    FileEntry,
    ScannedEntry,
    SymlinkEntry,
    TargetKind,
    Times,
    UnsupportedEntry,
)
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.platforms.posix.activation import activation_scripts

if TYPE_CHECKING:
    from hatch_pack_venv.model.plan import PackPlan

OLD_LAUNCHER = b"#!/build/env/bin/python3.11\nimport sys\nsys.exit(0)\n"
TOOL_LAUNCHER = OLD_LAUNCHER.replace(b"sys.exit(0)", b"from tool.cli import main\nsys.exit(main())")


def problems_of(*scanned: object, **changes: object) -> list[str]:
    with pytest.raises(PlanError) as caught:
        plan(*scanned, **changes)  # type: ignore[arg-type]
    return list(caught.value.problems)


def contents(made: PackPlan) -> dict[str, object]:
    """Return the contents of a plan's files by arcname."""
    return {entry.arcname: entry.content for entry in made.entries if isinstance(entry, FileEntry)}


def test_an_empty_environment_still_has_its_folders_and_the_script() -> None:
    """Activation scripts, site-packages, the metadata folder and postinstall.py always exist."""
    assert names(plan().entries) == [
        "bin",
        "lib",
        "lib/python3.11",
        SITE,
        "share",
        "share/venv",
        "share/venv/metadata",
        "bin/activate",
        "bin/activate.csh",
        "bin/activate.fish",
        "bin/activate.nu",
        "bin/Activate.ps1",
        "bin/activate_this.py",
        "postinstall.py",
    ]


def test_entries_are_in_order_whatever_order_the_scan_had() -> None:
    """Folders come first, and the order does not depend on the scan's."""
    scanned: list[ScannedEntry] = [
        file("a-b"),
        file("a/z"),
        folder("a"),
        file("a/b/c"),
        folder("a/b"),
        file("A"),
    ]
    there = names(plan(*scanned).entries)
    back = names(plan(*reversed(scanned)).entries)
    assert there == back
    assert [name for name in there if name[0] in "aA"] == ["a", "a/b", "A", "a/b/c", "a/z", "a-b"]


def test_like_lies_beside_like() -> None:
    """Folders come first, then machine code, other files by extension, and links."""
    program = FileEntry(
        arcname="bin/python3.11", content=str(PREFIX / "x"), size=1, executable=True
    )
    planned = plan(
        file("b/data.json"),
        file("a/z.py"),
        link("a/l", "z.py", "a/z.py"),
        file("b/_c.cpython-311-x86_64-linux-gnu.so"),
        file("b/a.PY"),
        file("lib/libz.so.1.3"),
        file("a/LICENSE"),
        file("bin/run", b"#!/bin/sh", executable=True),
        folder("b"),
        folder("a"),
        program,
        inputs=inputs(interpreter="bundled"),
        environment=environment(scripts="sbin"),
    )
    found = [name for name in names(planned.entries) if name[0] in "ab" or name.endswith("1.3")]
    assert found == [
        "a",
        "b",
        "bin",
        "b/_c.cpython-311-x86_64-linux-gnu.so",
        "bin/python3.11",
        "lib/libz.so.1.3",
        "a/LICENSE",
        "bin/run",
        "b/data.json",
        "a/z.py",
        "b/a.PY",
        "a/l",
    ]


@pytest.mark.parametrize(
    "arcname",
    [
        f"{SITE}/pkg/__pycache__/mod.cpython-311.pyc",
        f"{SITE}/pkg-1.0.dist-info/uv_cache.json",
        "bin/activate",
        "bin/activate.fish",
        "bin/Activate.ps1",
        "bin/activate_this.py",
        "bin/deactivate.bat",
        "pyvenv.cfg",
        ".gitignore",
        ".lock",
        "CACHEDIR.TAG",
    ],
)
def test_rules_leave_out_and_include_brings_back(arcname: str) -> None:
    """`include-files` brings back the file that it names, and nothing else that rules leave out."""
    own = file(arcname, b"own")
    layer = file("bin/activate.xsh")
    assert own.content not in contents(plan(own, layer)).values()
    back = plan(own, layer, inputs=inputs(selection=Selection(include=(f"/{arcname}",))))
    assert contents(back)[arcname] == own.content
    assert layer.arcname not in names(back.entries)


def test_activation_scripts_are_ours_unless_excluded() -> None:
    """Ours replace the environment's in every mode; patterns can exclude them."""
    scanned = [file("bin/activate", b"own"), file("bin/activate.fish", b"own")]
    ours = {entry.arcname: entry.content for entry in activation_scripts("bin")}
    for mode in ("target", "linked", "bundled"):
        made = plan(*scanned, inputs=inputs(interpreter=mode, external_links=mode == "linked"))
        assert ours.items() <= contents(made).items()
    selection = Selection(exclude=("/bin/activate*", "!/bin/activate"))
    packed = names(plan(*scanned, inputs=inputs(selection=selection)).entries)
    assert [name for name in packed if name.startswith("bin/")] == [
        "bin/activate",
        "bin/Activate.ps1",
    ]


def test_patterns_are_gitignores() -> None:
    """Excludes anchor, negate and match folders as gitignore does."""
    selection = Selection(exclude=("*.h", "!keep.h", "/docs/", "tests/"))
    scanned = [
        file(name) for name in ("a.h", "x/keep.h", "docs/a", "x/docs/a", "x/tests/b/c", "x/d")
    ]
    packed = names(plan(*scanned, inputs=inputs(selection=selection)).entries)
    assert [name for name in packed if name in names(scanned)] == ["x/d", "x/docs/a", "x/keep.h"]


def test_folders_that_lost_all_they_held_go_too() -> None:
    """A folder emptied by the rules is dropped; one that was already empty stays."""
    packed = names(
        plan(
            folder("a"), folder("a/__pycache__"), file("a/__pycache__/m.pyc"), folder("empty")
        ).entries
    )
    assert "a" not in packed
    assert "empty" in packed


def test_the_interpreter_stays_behind_in_target_mode() -> None:
    """Links to and copies of the interpreter are left out; other files in the folder are not."""
    scanned: list[ScannedEntry] = [
        link("bin/python", "python3.11", "/opt/python/bin/python3.11"),
        link("bin/python3.11", "/opt/python/bin/python3.11", "/opt/python/bin/python3.11"),
        file("bin/python3", b"\x7fELF"),
        file("bin/python-config"),
    ]
    assert [name for name in names(plan(*scanned).entries) if "bin/python" in name] == [
        "bin/python-config"
    ]


def test_the_interpreters_link_is_kept_when_links_may_leave() -> None:
    """The seed API's archives keep `bin/python` as a link."""
    python = link("bin/python", "/opt/python/bin/python3.11", "/opt/python/bin/python3.11")
    packed = plan(python, inputs=inputs(interpreter="linked", external_links=True))
    assert python.linkname in [e.linkname for e in packed.entries if isinstance(e, SymlinkEntry)]


def test_another_name_of_the_interpreter_points_at_the_one_in_the_archive() -> None:
    """`bin/py`, a link to the base interpreter, becomes a link to `bin/python3.11`."""
    packed = plan(link("bin/py", "/opt/python/bin/python3.11", "/opt/python/bin/python3.11"))
    (entry,) = [entry for entry in packed.entries if entry.arcname == "bin/py"]
    assert isinstance(entry, SymlinkEntry)
    assert entry.linkname == "python3.11"


def test_internal_links_stay_and_go_with_their_target() -> None:
    """An internal link is packed; if its target is left out, so is the link, with a note."""
    packed = plan(
        file("data/a"),
        link("data/to-a", "a", "data/a"),
        link("data/to-cache", "__pycache__", "data/__pycache__"),
        folder("data/__pycache__"),
    )
    assert "data/to-a" in names(packed.entries)
    assert "data/to-cache" not in names(packed.entries)
    assert packed.notes == ("the link data/to-cache was left out with its target data/__pycache__",)


def test_external_links_become_copies() -> None:
    """An external link is replaced with what it points to."""
    outside = SymlinkEntry(
        arcname="share/data",
        linkname="/srv/data",
        target=link("x", "/srv/data", "/srv/data", TargetKind.EXTERNAL_DIRECTORY).target,
        copies=(folder("share/data"), file("share/data/a", b"1")),
    )
    packed = {entry.arcname: entry for entry in plan(outside).entries}
    assert isinstance(packed["share/data"], DirectoryEntry)
    assert isinstance(packed["share/data/a"], FileEntry)


def test_everything_that_cannot_be_packed_is_told_at_once() -> None:
    """One error lists every problem by name, and what to do."""
    outside = SymlinkEntry(
        arcname="deep",
        linkname="/srv",
        target=link("x", "/srv", "/srv", TargetKind.EXTERNAL_DIRECTORY).target,
        copies=(UnsupportedEntry(arcname="deep/loop", reason="leads back to /srv"),),
    )
    found = problems_of(
        link("gone", "nowhere", "nowhere", TargetKind.DANGLING),
        link("round", "round", "round", TargetKind.LOOP),
        link("device", "/dev/null", "/dev/null", TargetKind.SPECIAL),
        UnsupportedEntry(arcname="pipe", reason="is no file, folder or link"),
        outside,
        file(f"{SITE}/x.pth", b"/home/me/src\n"),
        environment=environment(distribution("lib-x", editable_source="/home/me/lib-x")),
    )
    assert [problem.split(" ", 3)[:3] for problem in found] == [
        ["lib-x", "is", "installed"],
        ["the", "link", "gone"],
        ["the", "link", "round"],
        ["the", "link", "device"],
        ["pipe", "is", "no"],
        ["deep/loop", "leads", "back"],
        [f"{SITE}/x.pth", "adds", "/home/me/src"],
    ]
    assert all(": " in problem for problem in found)


def test_what_is_excluded_is_no_problem() -> None:
    """A FIFO or a dangling link that a pattern excludes does not stop packing."""
    selection = Selection(exclude=("pipe", "gone"))
    plan(
        UnsupportedEntry(arcname="pipe", reason="is no file, folder or link"),
        link("gone", "nowhere", "nowhere", TargetKind.DANGLING),
        inputs=inputs(selection=selection),
    )


def test_a_link_that_leaves_by_its_text_is_refused() -> None:
    """The final check looks at the text of every link, whatever the scan reported."""
    (problem,) = problems_of(link("a/b", "../../out", "a/c"), file("a/c"))
    assert problem == "the link a/b leads outside the environment: exclude it"


def test_launchers_find_their_own_place() -> None:
    """Entry point scripts are regenerated, other scripts get a new head, foreign ones stay."""
    point = EntryPoint(name="tool", module="tool.cli", attr="main")
    packed = plan(
        file("bin/tool", TOOL_LAUNCHER, executable=True),
        file("bin/script", OLD_LAUNCHER, executable=True),
        file("bin/foreign", b"#!/usr/bin/perl\n", executable=True),
        environment=environment(distribution("tool", entry_points=(point,))),
    )
    content = {e.arcname: e.content for e in packed.entries if isinstance(e, FileEntry)}
    assert b"from tool.cli import main" in bytes(content["bin/tool"])  # type: ignore[arg-type]
    assert b"sys.exit(0)" in bytes(content["bin/script"])  # type: ignore[arg-type]
    for name in ("bin/tool", "bin/script"):
        assert b"/build/env" not in bytes(content[name])  # type: ignore[arg-type]
    assert content["bin/foreign"] == b"#!/usr/bin/perl\n"
    sizes = {e.arcname: e.size for e in packed.entries if isinstance(e, FileEntry)}
    assert sizes["bin/tool"] == len(content["bin/tool"])  # type: ignore[arg-type]


def test_path_files_point_inside_relatively() -> None:
    """A line with an absolute path into the environment becomes relative to site-packages."""
    packed = plan(file(f"{SITE}/x.pth", b"/build/env/share/code\nimport x\n"))
    content = {e.arcname: e.content for e in packed.entries if isinstance(e, FileEntry)}
    assert content[f"{SITE}/x.pth"] == b"../../../share/code\nimport x\n"


@pytest.mark.parametrize(
    ("line", "leaves"),
    [
        *((line, True) for line in ("../../../../src", "/src", "sub/../../../../..")),
        *((line, False) for line in ("../../../src", "# ../../../../", "import x; x.y('/')", "")),
    ],
)
def test_path_files_do_not_lead_out(line: str, leaves: bool) -> None:
    """A line that adds an outside folder, absolute or relative, stops packing."""
    entry = file(f"{SITE}/x.pth", f"{line}\n".encode())
    if leaves:
        assert problems_of(entry)[0].startswith(f"{SITE}/x.pth adds {line} to sys.path")
    else:
        assert f"{SITE}/x.pth" in names(plan(entry).entries)


@pytest.mark.parametrize(
    ("url", "packed"),
    [("file:///home/me/wheels/x.whl", False), ("https://files.example/x.whl", True)],
)
def test_direct_url_does_not_tell_a_local_path(url: str, packed: bool) -> None:
    """`direct_url.json` is left out if it names a path on the build machine."""
    name = f"{SITE}/x-1.0.dist-info/direct_url.json"
    content = f'{{"url": "{url}", "archive_info": {{}}}}'.encode()
    assert (name in names(plan(file(name, content)).entries)) is packed


def test_the_excluded_project_goes_with_all_it_installed() -> None:
    """Files in its RECORD and its metadata go; files that another distribution also claims stay."""
    mine = distribution("app", f"{SITE}/app.py", f"{SITE}/shared.py", "bin/app")
    other = distribution("other", f"{SITE}/shared.py")
    packed = plan(
        file(f"{SITE}/app.py"),
        file(f"{SITE}/shared.py"),
        file("bin/app"),
        file(f"{SITE}/app-1.0.dist-info/METADATA"),
        environment=environment(mine, other),
        inputs=inputs(excluded_project="app"),
    )
    assert [n for n in names(packed.entries) if "app" in n or "shared" in n] == [
        f"{SITE}/shared.py"
    ]
    assert packed.head["distributions"] == [{"name": "other", "version": "1.0"}]


def test_times_are_one_rule() -> None:
    """Reproducible times are the same for all; kept and generated times are clamped."""
    fixed = plan(file("a", mtime=5), inputs=inputs(times=Times(fixed=7, generated=7)))
    assert {entry.mtime for entry in fixed.entries} == {7}
    kept = plan(file("a", mtime=5), file("b", mtime=99), inputs=inputs(times=Times(latest=50)))
    times = {entry.arcname: entry.mtime for entry in kept.entries}
    assert (times["a"], times["b"], times["postinstall.py"]) == (5, 50, 50)
    assert {e.arcname: e.mtime for e in plan().entries}["postinstall.py"] == DEFAULT_TIME


def test_a_file_in_the_place_of_a_folder_is_refused() -> None:
    """Nothing can be below a file."""
    problems = problems_of(file("share"))
    assert problems[0].startswith("share/venv is below share, which is not a folder")


def test_a_link_in_the_place_of_bin_is_one_problem() -> None:
    """The error counts the entries below it and says to replace the link with the folder."""
    (problem,) = problems_of(
        link("bin", "scripts", "scripts", TargetKind.INTERNAL), folder("scripts")
    )
    assert problem.startswith("bin/Activate.ps1 and ")
    assert problem.endswith(
        "more are below bin, which is a link: replace it with what it leads to, or exclude one of"
        " them"
    )


def test_the_head_names_python_and_platform() -> None:
    """The manifest's head says what the archive needs."""
    head = plan().head
    assert head["python"]["abi"] == "cp311"
    assert head["platform"] == {"system": "linux", "machine": "x86_64", "tag": "linux_x86_64"}
    assert head["interpreter"] == "target"
    assert str(PREFIX) not in repr(head)


def outside(arcname: str, linkname: str, *copies: ScannedEntry) -> SymlinkEntry:
    """Return an external link with the copies that can replace it."""
    return replace(link(arcname, linkname, "/out/f"), copies=copies or (file(arcname, b"out"),))


def test_a_link_skips_another_that_was_left_out() -> None:
    """A link in the middle of an internal chain may be excluded."""
    scanned: list[ScannedEntry] = [
        file("data/f"),
        link("data/b", "f", "data/f"),
        link("x/a", "../data/b", "data/f"),
    ]
    how = inputs(selection=Selection(exclude=("/data/b",)))
    found = {entry.arcname: entry for entry in plan(*scanned, inputs=how).entries}
    assert "data/b" not in found
    kept = found["x/a"]
    assert isinstance(kept, SymlinkEntry)
    assert kept.linkname == "../data/f"


def test_a_chain_that_ends_outside_stays_a_chain() -> None:
    """Only its last link becomes a copy; if that is excluded, the one before it does."""
    scanned: list[ScannedEntry] = [outside("data/b", "/out/f"), outside("x/a", "../data/b")]
    found = {entry.arcname: entry for entry in plan(*scanned).entries}
    assert isinstance(found["data/b"], FileEntry)
    assert isinstance(found["x/a"], SymlinkEntry)
    how = inputs(selection=Selection(exclude=("/data/b",)))
    found = {entry.arcname: entry for entry in plan(*scanned, inputs=how).entries}
    assert "data/b" not in found
    assert found["x/a"] == replace(file("x/a", b"out"), mtime=DEFAULT_TIME)


def test_a_text_with_dots_behind_a_name_is_not_trusted() -> None:
    """`d/../f` may not lead where its text says, so what it really points to is packed."""
    found = {
        entry.arcname: entry
        for entry in plan(file("data/f", b"in"), outside("data/l", "d/../f")).entries
    }
    packed = found["data/l"]
    assert isinstance(packed, FileEntry)
    assert packed.content == b"out"


def test_rules_hold_for_what_stands_in_a_links_place() -> None:
    """Bytecode and excluded files stay out of a copied outside folder; scripts are relocated."""
    copies = (
        folder("pkg"),
        folder("pkg/__pycache__"),
        file("pkg/__pycache__/m.pyc"),
        file("pkg/keep"),
        file("pkg/drop"),
    )
    how = inputs(selection=Selection(exclude=("drop",)))
    packed = names(plan(outside("pkg", "/out/pkg", *copies), inputs=how).entries)
    assert [name for name in packed if name.startswith("pkg")] == ["pkg", "pkg/keep"]
    tool = replace(
        link("bin/tool", "/out/tool", "/out/tool"),
        copies=(file("bin/tool", OLD_LAUNCHER, executable=True),),
    )
    for how in (inputs(), inputs(interpreter="linked", external_links=True)):
        (found,) = (e for e in plan(tool, inputs=how).entries if e.arcname == "bin/tool")
        (script,) = found.copies if isinstance(found, SymlinkEntry) else (found,)
        assert isinstance(script, FileEntry)
        assert isinstance(script.content, bytes)
        assert script.content.startswith(b"#!/bin/sh\n")
