"""Neighbours, their archives and their libraries, on small trees, without an interpreter."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import SITE, inputs, names
from support.trees import LayerStack, layer_of

from hatch_pack_venv.config.options import PackOptions
from hatch_pack_venv.injected import postinstall
from hatch_pack_venv.model.entries import FileEntry, SymlinkEntry
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.model.formats import CompressionFormat
from hatch_pack_venv.plan.build import build_plan
from hatch_pack_venv.platforms.linux.search_paths import (
    relative_from,
)
from hatch_pack_venv.scan.layers import LayerArchives, read_layers
from hatch_pack_venv.scan.walk import scan
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@pytest.fixture
def stack(tmp_path: Path) -> LayerStack:
    """Make the folders."""
    return LayerStack(tmp_path)


def problems(stack: LayerStack, **table: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        stack.find(**table)
    return list(caught.value.problems)


def test_neighbours_are_read_in_the_order_of_the_path(stack: LayerStack) -> None:
    """Layers come first and the runtime last, each with its relative path and its packages."""
    found = stack.find(
        base_runtime="python", layers=["science", "base"], dynlib_dirs=["base/share/venv/dynlib"]
    )
    assert [each.relative for each in found.below] == ["../science", "../base", "../python"]
    assert [each.key for each in found.distributions] == ["plots", "numbers-lib"]
    assert [each.relative for each in found.dynlib] == ["../base/share/venv/dynlib"]
    facts = found.facts(stack.app, {"numbers-lib"}, [stack.root / "other/data/file"])
    assert [each["distributions"] for each in facts["layers"]] == [
        [],
        [{"name": "numbers_lib", "version": "1.5"}],
    ]
    assert facts["base_runtime"]["python"] == "bin/python3.11"
    assert facts["linked"] == ["../other"]


def test_neighbours_that_are_not_right_are_told_together(stack: LayerStack) -> None:
    """Each that is missing, outside, in the environment, or for another Python has a sentence."""
    (stack.root.parent / "outside").mkdir()
    (stack.root / "elsewhere").symlink_to("../outside")
    (stack.root / "loop").symlink_to("loop")
    (stack.root / "old/lib/python3.9/site-packages").mkdir(parents=True)
    told = problems(
        stack,
        base_runtime="base",
        layers=["gone", "loop", "elsewhere", "app/lib", "old"],
        dynlib_dirs=["science/so"],
    )
    expected = [
        f"base-runtime names {stack.root}/base, which has no bin/python3.11",
        f"layers names {stack.root}/gone, which is not an existing folder: create it first",
        f"layers names {stack.root}/loop, which is not an existing folder: create it first",
        "elsewhere, which is not in containing-dir",
        "app/lib, which cannot be one of its layers: one contains the other",
        f"layers names {stack.root}/old, which contains no packages for python3.11",
        "dynlib-dirs names",
    ]
    assert len(told) == len(expected)
    for sentence, part in zip(told, expected, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("answer", "said"),
    [("cp311d", "has the ABI cp311d, but the environment has cp311"), ("broken", "does not run")],
)
def test_a_runtime_that_does_not_fit_is_refused(stack: LayerStack, answer: str, said: str) -> None:
    """What the runtime's interpreter reports has to be what the environment needs."""
    stack.write("python/bin/python3.11", answer)
    (problem,) = problems(stack, base_runtime="python")
    assert problem.startswith("base-runtime")
    assert said in problem


def test_the_containing_folder_must_hold_the_environment(stack: LayerStack) -> None:
    """A folder that is not above the environment is refused."""
    with pytest.raises(PlanError, match="does not contain the environment"):
        read_layers(stack.app, PackOptions(containing_dir=stack.root / "base"))
    assert read_layers(stack.app, PackOptions()) is None


# links


def test_a_link_to_a_neighbour_stays_and_others_are_copied(
    stack: LayerStack, tmp_path: Path
) -> None:
    """Links into the containing folder stay links, whether absolute, relative or indirect."""
    stack.write("base/share/data.txt", "data")
    outside = tmp_path / "outside.txt"
    outside.write_text("outside")
    (stack.root / "short").symlink_to("base/share")
    (stack.root / "app/near").symlink_to(stack.root / "short/data.txt")
    (stack.root / "app/folder").symlink_to("../base/share")
    (stack.root / "app/far").symlink_to(outside)
    plan = stack.plan()
    found = {entry.arcname: entry for entry in plan.entries}
    near, folder, far = found["near"], found["folder"], found["far"]
    assert isinstance(near, SymlinkEntry)
    assert near.linkname == "../base/share/data.txt"
    assert isinstance(folder, SymlinkEntry)
    assert folder.linkname == "../base/share"
    assert isinstance(far, FileEntry)
    assert plan.head["neighbours"]["linked"] == ["../base"]
    (result,) = write_archives(plan, tmp_path / "out", [CompressionFormat.ZIP])
    with zipfile.ZipFile(result.path) as archive:
        assert archive.read("app/near") == archive.read("app/folder/data.txt") == b"data"


def test_without_a_containing_folder_such_a_link_is_a_copy(stack: LayerStack) -> None:
    """The promise of the other modes holds: nothing leaves the install target."""
    data = stack.write("base/share/data.txt", "data")
    (stack.root / "app/near").symlink_to(data)
    plan = build_plan(scan(stack.app), environment=stack.app, inputs=inputs())
    assert not any(isinstance(entry, SymlinkEntry) for entry in plan.entries)
    assert "near" in names(plan.entries)


def test_a_path_file_may_lead_to_a_layer(stack: LayerStack) -> None:
    """Lines that name a layer become relative; those that name another layer are refused."""
    site = stack.root / "base" / SITE
    stack.write(f"app/{SITE}/see.pth", f"{site}\nimport os\n")
    layers = stack.find(base_runtime="python", layers=["base"])
    (content,) = [
        entry.content
        for entry in stack.plan(layers).entries
        if isinstance(entry, FileEntry) and entry.arcname.endswith(".pth")
    ]
    assert content == f"../../../../base/{SITE}\nimport os\n".encode()
    with pytest.raises(PlanError, match=r"adds \.\./\.\./\.\./\.\./base/"):
        stack.plan(stack.find(base_runtime="python", layers=["science"]))


def test_a_sitecustomize_of_its_own_is_refused(stack: LayerStack) -> None:
    """postinstall.py would write over it; one that it wrote itself is left out."""
    path = stack.write(f"app/{SITE}/sitecustomize.py", "print()\n")
    layers = stack.find(base_runtime="python")
    with pytest.raises(PlanError, match=r"would be replaced when postinstall.py writes its own"):
        stack.plan(layers)
    path.write_text(postinstall.SITECUSTOMIZE_MARK + "\n")
    assert f"{SITE}/sitecustomize.py" not in names(stack.plan(layers).entries)


# archives of layers


def record(folder: Path, name: str, digest: str, **versions: str) -> None:
    """Write the facts next to an archive."""
    folder.mkdir(exist_ok=True)
    packed = [{"name": key, "version": value} for key, value in versions.items()]
    facts = {
        "install_target": name,
        "content_digest": digest,
        "manifest": {"distributions": packed},
    }
    (folder / f"{name}-{digest}.json").write_text(json.dumps(facts))


def digest_of(
    stack: LayerStack, folder: Path | None, relied_on: Iterable[str] = ("numbers-lib",)
) -> tuple[str | None, list[str]]:
    found, notes = LayerArchives(folder=folder).of(layer_of(stack), frozenset(relied_on))
    return found.content_digest, notes


def test_the_digest_is_that_of_the_archive_that_holds_the_same(
    stack: LayerStack, tmp_path: Path
) -> None:
    """Archives with other contents are skipped; an ambiguous match is reported, not guessed."""
    dist = tmp_path / "dist-venv"
    assert digest_of(stack, None) == digest_of(stack, dist) == (None, [])
    record(dist, "base", "old", numbers_lib="1.0")
    (dist / "broken.json").write_text("{")
    digest, (note,) = digest_of(stack, dist)
    assert digest is None
    assert "an archive of the layer base that does not match its current contents" in note
    record(dist, "base", "empty")
    record(dist, "base", "new", numbers_lib="1.5")
    record(dist, "other", "other", numbers_lib="1.5")
    assert digest_of(stack, dist) == ("new", [])
    digest, (note,) = digest_of(stack, dist, relied_on=())
    assert digest is None
    assert "several archives of the layer base with different contents" in note
    stack.write(
        "base/share/venv/metadata/pack-venv.json",
        json.dumps({"content_digest": "unpacked", "distributions": []}),
    )
    assert digest_of(stack, dist) == ("unpacked", [])


# shared libraries


def test_paths_from_a_folder_below_the_top() -> None:
    """A search path leads up to the top folder, out of it, and down again."""
    assert relative_from("lib/x", "../base/so") == "../../../base/so"
    assert relative_from("", "../base/so") == "../base/so"
    assert relative_from(".", "share") == "share"


# what postinstall.py writes


def test_the_layers_are_seen_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sitecustomize.py` adds them one after the other, and existing library folders on Windows."""
    head = {
        "interpreter": "neighbour",
        "neighbours": {
            "layers": [
                {"path": "../b", "site_packages": [SITE], "distributions": []},
                {"path": "../a", "site_packages": [SITE], "distributions": []},
            ],
            "base_runtime": {
                "path": "../python",
                "site_packages": [SITE],
                "distributions": [],
                "python": "bin/python3.11",
            },
            "dynlib_dirs": ["../b/so", "../b/none"],
            "linked": [],
        },
    }
    needs = {"version": "3.11", "abi": "cp311", "system": "linux"}
    tree = postinstall.Tree(
        prefix=str(tmp_path / "app"),
        label="app",
        bundled=False,
        needs=needs,
        scripts=str(tmp_path / "app/bin"),
        site_packages=[str(tmp_path / "app" / SITE)],
        system_site=False,
        prompt=None,
        floors={},
        promised="",
        neighbours=postinstall.neighbours_from(head),
        base_distributions={},
        libraries={},
        files=[],
    )
    pieces = postinstall.pieces(tree, "/real/python/bin/python3.11", "3.11.7")
    name = str(tmp_path / "app" / SITE / "sitecustomize.py")
    script = pieces[name]
    assert isinstance(script, bytes)
    assert str(tmp_path) not in script.decode()
    assert pieces[str(tmp_path / "app/bin/python3.11")] == "../../python/bin/python3.11"
    (tmp_path / "b/so").mkdir(parents=True)
    added: list[str] = []
    libraries: list[str] = []
    monkeypatch.setattr("site.addsitedir", added.append)
    monkeypatch.setattr("os.add_dll_directory", libraries.append, raising=False)
    exec(compile(script, name, "exec"), {"__file__": name})  # noqa: S102
    assert added == [str(tmp_path / each / SITE) for each in ("b", "a", "python")]
    assert libraries == [str(tmp_path / "b/so")]


PYTHON = {
    "base_runtime": {"path": "../x", "site_packages": [], "distributions": [], "python": "bin/p"}
}


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([], "neighbours is [], not of type dict"),
        ({"layers": 1, **PYTHON}, "neighbours.layers is 1, not of type list"),
        ({"layers": [{"path": 3, "distributions": []}], **PYTHON}, "neighbour.path is 3"),
        ({"layers": [], "dynlib_dirs": [], "linked": []}, "neighbours.base_runtime.python is None"),
    ],
)
def test_a_broken_manifest_is_told(layers: Any, said: str) -> None:
    """The types of what a manifest says about layers are checked."""
    with pytest.raises(postinstall.ConnectError) as caught:
        postinstall.neighbours_from({"interpreter": "neighbour", "neighbours": layers})
    assert said in str(caught.value)
