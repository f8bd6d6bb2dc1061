"""What is left out with distributions that nothing requires."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.fakes import SITE, distribution, environment, file, folder, link, names, plan

from hatch_pack_venv.model.entries import FileEntry, TargetKind
from hatch_pack_venv.plan.explain import PruneReport
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.requirements.check import PrunedDistributions

if TYPE_CHECKING:
    from hatch_pack_venv.model.entries import ScannedEntry


def at(*files: str) -> list[str]:
    return [f"{SITE}/{name}" for name in files]


APP = distribution("app", *at("app.py", "space/app.py", "both.py"), "bin/app")
TOOL = distribution(
    "tool",
    *at("tool/x.py", "space/tool.py", "both.py", "tool-1.0.dist-info/RECORD"),
    "bin/tool",
    "share/man/tool.1",
)
OLD = distribution("old", metadata_dir=f"{SITE}/old-1.0.egg-info")
FILED = distribution("filed", *at("filed.py"), metadata_dir=f"{SITE}/filed-1.0.egg-info")
SCANNED: list[ScannedEntry] = [
    folder(SITE),
    folder("share"),
    folder("share/man"),
    folder("share/empty"),
    file("share/man/tool.1"),
    file("share/mine", b"mine"),
    file("bin/app", b"12345"),
    file("bin/tool"),
    folder(f"{SITE}/tool"),
    folder(f"{SITE}/tool/__pycache__"),
    file(f"{SITE}/tool/__pycache__/x.cpython-311.pyc"),
    file(f"{SITE}/tool/x.py", b"0123456789"),
    folder(f"{SITE}/space"),
    *map(file, at("app.py", "both.py", "space/app.py", "space/tool.py", "_virtualenv.py")),
    folder(f"{SITE}/tool-1.0.dist-info"),
    *map(file, at("tool-1.0.dist-info/RECORD", "tool-1.0.dist-info/uv_cache.json")),
    *map(file, at("filed.py", "filed-1.0.egg-info", "old.py")),
    link(f"{SITE}/lost.py", "tool/x.py", f"{SITE}/tool/x.py"),
]
ENVIRONMENT = environment(APP, TOOL, OLD, FILED)


def pruned() -> PrunedDistributions:
    return PrunedDistributions.of(ENVIRONMENT, {"app"})


def test_what_a_distribution_installed_stays_behind() -> None:
    """Modules, launchers, data, metadata and bytecode go, and the folders that this empties.

    A file that a kept distribution also has stays, and so do namespace folders, files that no
    distribution owns, and folders that were already empty.
    """
    assert [entry.arcname for entry in pruned().applied(SCANNED, Selection().brings_back)] == [
        SITE,
        "share",
        "share/empty",
        "share/mine",
        "bin/app",
        f"{SITE}/space",
        *at("app.py", "both.py", "space/app.py", "_virtualenv.py", "old.py", "lost.py"),
    ]


def test_a_distribution_whose_files_are_unknown_stays() -> None:
    """Without RECORD or an older file list it cannot be left out, and it is listed as unknown."""
    assert [each.name for each in pruned().unknown] == ["old"]
    assert [each.name for each in pruned().without(ENVIRONMENT).distributions] == ["app", "old"]


def test_a_pattern_brings_back_what_stayed_behind() -> None:
    """`include-files` brings back what any rule left out."""
    kept = [
        entry.arcname
        for entry in pruned().applied(SCANNED, Selection(include=("bin/tool",)).brings_back)
    ]
    assert "bin/tool" in kept
    assert "share/man/tool.1" not in kept


def told(**changes: Any) -> Any:
    choice = pruned()
    made = plan(
        *choice.applied(SCANNED, Selection().brings_back),
        environment=choice.without(ENVIRONMENT),
        **changes,
    )
    return PruneReport(
        pruned=choice, selection=Selection(), environment=ENVIRONMENT, scanned=SCANNED
    ).added_to(made)


def test_what_was_left_out_is_told() -> None:
    """Notes say how much was packed and count unowned files, which the facts name."""
    made = told()
    assert f"{SITE}/tool/x.py" not in names(made.entries)
    assert list(made.notes[-3:]) == [
        "packed 2 of 4 distributions, 5 B of 15 B",
        "old 1.0 is not required but was kept, because neither a RECORD nor other metadata lists"
        " its files",
        "2 files that no distribution owns were kept (-v names them)",
    ]
    assert made.beside["distributions"] == {
        "packed": 2,
        "of": 4,
        "packed_size": 5,
        "size": 15,
        "left_out": [
            {"name": "tool", "version": "1.0", "why": "not required"},
            {"name": "filed", "version": "1.0", "why": "not required"},
        ],
        "files_of_no_distribution": ["share/mine", f"{SITE}/old.py"],
    }


def test_what_uv_links_into_its_cache_counts_as_the_copies_it_becomes() -> None:
    """The sizes are the same for each of uv's link modes."""

    def linked(entry: ScannedEntry) -> ScannedEntry:
        name = entry.arcname
        if not isinstance(entry, FileEntry) or name != f"{SITE}/tool/x.py":
            return entry
        target = link(name, f"/cache/{name}", f"/cache/{name}", TargetKind.EXTERNAL_FILE)
        return replace(target, copies=(entry,))

    scanned = [linked(entry) for entry in SCANNED]
    assert scanned != list(SCANNED)
    choice = pruned()
    report = PruneReport(
        pruned=choice, selection=Selection(), environment=ENVIRONMENT, scanned=scanned
    )
    kept = [*choice.applied(scanned, Selection().brings_back)]
    made = report.added_to(plan(*kept, environment=choice.without(ENVIRONMENT)))
    assert "packed 2 of 4 distributions, 5 B of 15 B" in made.notes


def test_the_manifest_does_not_tell_of_what_is_not_there() -> None:
    """An archive's bytes do not depend on what was left behind."""
    assert told().head == plan(environment=environment(APP, OLD)).head
