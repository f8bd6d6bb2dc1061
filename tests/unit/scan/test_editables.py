"""Editable installs, resolved before the plan: copied or excluded."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from support.fakes import (
    SITE,
    copied,
    direct_url,
    distribution,
    editable,
    environment,
    file,
    folder,
    inputs,
    names,
    plan,
    problem_of,
)
from support.trees import write

from hatch_pack_venv.model.entries import FileEntry, UnsupportedEntry
from hatch_pack_venv.model.errors import PlanError
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.scan.editables import ResolvedEditables, resolve_editables

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.entries import ScannedEntry


# copies


def digest(content: bytes) -> str:
    """Return a hash in the form that RECORD uses."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={encoded.decode().rstrip('=')}"


def added(resolved: ResolvedEditables) -> list[str]:
    """Return the files that were copied, below site-packages."""
    files = [entry for entry in resolved.added if not entry.arcname.endswith("-info")]
    return [e.arcname.removeprefix(f"{SITE}/") for e in files if isinstance(e, FileEntry)]


def test_all_that_is_importable_is_copied(tmp_path: Path) -> None:
    """Packages with data, modules and namespaces are; caches, metadata and loose files are not."""
    source = write(
        tmp_path / "src",
        *("a/__init__.py", "a/data/x.json", "a/__pycache__/a.pyc", "a/.git/config", "b.py"),
        *("c.cpython-311-x86_64-linux-gnu.so", "ns/d/__init__.py", "tests/t.py", "assets/logo.svg"),
        *("a.egg-info/PKG-INFO", "README.md", ".hidden/x.py", "not-a-name.py", "my-dir/x.py"),
        *("venv/pyvenv.cfg", "venv/lib/x.py"),
    )
    resolved = copied(tmp_path, editable("a", source))
    assert added(resolved) == [
        "a/__init__.py",
        "a/data/x.json",
        "assets/logo.svg",
        "b.py",
        "c.cpython-311-x86_64-linux-gnu.so",
        "ns/d/__init__.py",
        "tests/t.py",
    ]
    (distribution,) = resolved.environment.distributions
    assert distribution.editable is None
    assert distribution.files == {f"{SITE}/{name}" for name in added(resolved)}


def test_a_projects_own_folder_is_not_all_meant(tmp_path: Path) -> None:
    """Next to pyproject.toml, tests and the like are left out unless the metadata names them."""
    source = write(
        tmp_path / "project",
        *("pyproject.toml", "setup.py", "a/__init__.py", "tests/__init__.py", "docs/conf.py"),
        *("tools/x.py", "noxfile.py", "build/lib/a/__init__.py", "assets/logo.svg", "extra.py"),
    )
    resolved = copied(tmp_path, editable("a", source, names=frozenset({"a", "tools"})))
    assert added(resolved) == ["a/__init__.py", "extra.py", "tools/x.py"]


def test_what_the_environment_holds_stays(tmp_path: Path) -> None:
    """An installed file is not replaced by one of the same name in the source tree."""
    source = write(tmp_path / "src", "a/__init__.py", "a/_ext.so")
    write(tmp_path / "env" / SITE, "a/_ext.so")
    assert added(copied(tmp_path, editable("a", source))) == ["a/__init__.py"]
    replaced = distribution("old", f"{SITE}/a/_ext.so")
    prefix = tmp_path / "env"
    both = environment(replaced, editable("a", source), prefix=prefix, requested=prefix)
    resolved = resolve_editables(both, "copy", {"old": "which a wheel replaces"})
    assert added(resolved) == ["a/__init__.py", "a/_ext.so"]


def test_two_may_share_the_same_file_and_no_other(tmp_path: Path) -> None:
    """Equal files of two distributions become one; differing ones are a problem that names both."""
    one = write(tmp_path / "one", "ns/__init__.py", "ns/one.py")
    two = write(tmp_path / "two", "ns/__init__.py", "ns/two.py")
    resolved = copied(tmp_path, editable("one", one), editable("two", two))
    assert added(resolved) == ["ns/__init__.py", "ns/one.py", "ns/two.py"]
    write(two, **{"ns/__init__.py": "x = 1\n"})
    resolved = copied(tmp_path, editable("one", one), editable("two", two))
    assert added(resolved) == ["ns/__init__.py", "ns/one.py"]
    assert problem_of(resolved) == f"{SITE}/ns/__init__.py would differ from the same file of one"


def test_links_of_the_source_tree_are_followed(tmp_path: Path) -> None:
    """Links become what they point to; loops and dangling links are reported by name."""
    source = write(tmp_path / "src", "a/__init__.py")
    outside = write(tmp_path / "outside", "b/__init__.py")
    (source / "b").symlink_to(outside / "b")
    (source / "a/gone.py").symlink_to("nowhere")
    (source / "a/loop").symlink_to("..")
    resolved = copied(tmp_path, editable("a", source))
    assert {"a/__init__.py", "b/__init__.py"} <= set(added(resolved))
    told = {e.arcname: e.reason for e in resolved.added if isinstance(e, UnsupportedEntry)}
    assert told.keys() == {f"{SITE}/a/gone.py", f"{SITE}/a/loop/a"}
    with pytest.raises(PlanError, match=r"a/gone\.py cannot be read"):
        plan(*resolved.applied([]), environment=resolved.environment)


@pytest.mark.parametrize(
    ("exposed", "problem"),
    [
        ("gone", "gone does not exist or cannot be read"),
        ("empty", "it contains nothing importable"),
        ("empty/README.md", "README.md is not a folder"),
    ],
)
def test_a_source_without_modules_is_told(tmp_path: Path, exposed: str, problem: str) -> None:
    """A folder that is gone, holds nothing importable or is a file cannot be copied."""
    write(tmp_path / "empty", "README.md")
    resolved = copied(tmp_path, editable("a", tmp_path / exposed))
    assert str(problem_of(resolved)).endswith(problem)
    with pytest.raises(PlanError, match=f"cannot be copied because .*{problem}"):
        plan(environment=resolved.environment)


def test_records_and_metadata_of_copies_are_an_installations(tmp_path: Path) -> None:
    """RECORD lists the copies and not the hooks; the source folder inside is not packed too."""
    source = write(tmp_path / "env/src/a", "pyproject.toml", **{"a/__init__.py": "x = 1"})
    (source / "a/large.bin").write_bytes(b"\0" * 300_000)
    resolved = copied(tmp_path, editable("a", source))
    info = f"{SITE}/a-1.0.dist-info"
    record = b"a.pth,sha256=old,1\na-1.0.dist-info/METADATA,,\na-1.0.dist-info/RECORD,,"
    scanned: list[ScannedEntry] = [
        file(f"{SITE}/a.pth", f"{source}\n".encode()),
        file(f"{SITE}/__pycache__/a.cpython-311.pyc"),
        file(f"{info}/METADATA"),
        file(f"{info}/RECORD", record),
        file(f"{info}/direct_url.json", direct_url(source).encode()),
        folder("src"),
        folder("src/a"),
        file("src/a/a/__init__.py", b"x = 1\n"),
        folder("empty"),
    ]
    planned = plan(*resolved.applied(scanned), environment=resolved.environment)
    packed = [
        entry
        for entry in planned.entries
        if isinstance(entry, FileEntry) and not entry.arcname.startswith("bin/")
    ]
    assert set(names(packed)) == {
        *(f"{SITE}/a/__init__.py", f"{SITE}/a/large.bin"),
        *(f"{info}/METADATA", f"{info}/RECORD", "postinstall.py"),
    }
    assert {"src", "empty"} & {entry.arcname for entry in planned.entries} == {"empty"}
    (content,) = [entry.content for entry in packed if entry.arcname == f"{info}/RECORD"]
    assert bytes(content).decode().splitlines() == [  # type: ignore[arg-type]
        "a-1.0.dist-info/METADATA,,",
        "a-1.0.dist-info/RECORD,,",
        f"a/__init__.py,{digest(b'x = 1')},5",
        f"a/large.bin,{digest(bytes(300_000))},300000",
    ]


# exclude


def test_excluded_ones_go_if_nothing_requires_them(tmp_path: Path) -> None:
    """Their files, lines and launchers go; requirements whose markers are false do not matter."""
    source = write(tmp_path / "src", "a/__init__.py")
    there = environment(
        editable("a", source, hooks=frozenset({f"{SITE}/a.pth", f"{SITE}/a_finder.py"})),
        distribution("no", requires=("a; python_version < '3.11'", "a; extra == 'dev'", "six")),
        prefix=tmp_path,
        requested=tmp_path,
    )
    resolved = resolve_editables(there, "exclude")
    assert resolved.excluded == {"a"}
    scanned = [
        file(f"{SITE}/a.pth", b"import a_finder\n"),
        *(file(f"{SITE}/a_finder.py"), file(f"{SITE}/__pycache__/a_finder.cpython-311.pyc")),
        *(file(f"{SITE}/no.py"), file(f"{SITE}/__pycache__/no.cpython-311.pyc")),
    ]
    chosen = inputs(
        excluded_editables=resolved.excluded, selection=Selection(include=("__pycache__",))
    )
    planned = plan(*resolved.applied(scanned), environment=resolved.environment, inputs=chosen)
    packed = [
        entry
        for entry in planned.entries
        if isinstance(entry, FileEntry) and not entry.arcname.startswith("bin/")
    ]
    assert set(names(packed)) == {
        *(f"{SITE}/__pycache__/no.cpython-311.pyc", f"{SITE}/no.py", "postinstall.py")
    }
    assert planned.head["distributions"] == [{"name": "no", "version": "1.0"}]


def test_who_requires_an_excluded_one_is_told() -> None:
    """Markers of the environment's Python and extras that others request count."""
    there = environment(
        distribution("a", editable_source="/home/me/a"),
        distribution("b", editable_source="/home/me/b", requires=("a",)),
        distribution("app", requires=("Lib[fast]", "a; python_full_version == '3.11.7'")),
        distribution("lib", requires=("b>=1; extra == 'fast'", "a; extra == 'slow'", "not valid")),
    )
    with pytest.raises(PlanError) as caught:
        plan(environment=there, inputs=inputs(excluded_editables=frozenset({"a", "b"})))
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        "app requires a",
        "lib requires b",
    ]


def test_one_sentence_for_each(tmp_path: Path) -> None:
    """The line of an editable install is not reported again; a line that nobody owns is."""
    content = f"{tmp_path}/src\n/home/me/hand\n../../../../outside\n".encode()
    there = environment(editable("a", tmp_path / "src"))
    with pytest.raises(PlanError) as caught:
        plan(file(f"{SITE}/easy-install.pth", content), environment=there)
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        f"a is installed in editable mode from {tmp_path}/src",
        f"{SITE}/easy-install.pth adds /home/me/hand to sys.path",
        f"{SITE}/easy-install.pth adds ../../../../outside to sys.path",
    ]
