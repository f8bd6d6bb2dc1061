"""Layers: archives unpacked side by side, with the originals hidden, run, moved and run again."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support import hiding
from support.environments import make_environment, run, tool
from support.interpreters import bundlable
from support.machine import needs
from support.projects import LAYERS, Layered, make_layered, variables
from support.trees import extract

from hatch_pack_venv import convert_symlinks, create_archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]
UPPER = ("framework", "forecast", "survey")


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory, plugin_wheels: Path) -> Layered:
    """Build the test project once, from the bottom up."""
    folder = tmp_path_factory.mktemp("layered")
    made = make_layered(folder / "project", bundlable()[-1])
    env = variables(plugin_wheels, folder / "hatch")
    for name in LAYERS:
        made.build(name, env)
    return made


@pytest.fixture(scope="module")
def side(layered: Layered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack all archives side by side and connect them."""
    folder = layered.unpack(tmp_path_factory.mktemp("target") / "first place")
    for name in UPPER:
        status, said = layered.postinstall(folder, name, "--no-compile")
        assert status == 0, said
    return folder


def head_of(archive: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(archive.with_name(f"{archive.name}.json").read_text())
    return head


def test_the_applications_run_and_again_after_all_was_moved(
    layered: Layered, side: Path, tmp_path: Path
) -> None:
    """Both run where they were unpacked, and elsewhere after a second run of postinstall.py."""
    moved = tmp_path / "deep er/Zwei é"
    shutil.copytree(side, moved, symlinks=True)
    for name in UPPER:
        status, said = layered.postinstall(moved, name, "--check")
        assert status == 1
        assert "is not as it should be here" in said
        status, said = layered.postinstall(moved, name, "--no-compile")
        assert status == 0, said
        assert layered.postinstall(moved, name, "--check")[0] == 0
    for place, other in ((side, moved), (moved, side)):
        forecast = layered.facts(place, "forecast", also=[other])
        assert forecast["next"] == 9
        assert forecast["prefix"] == str(place / "forecast")
        assert forecast["base_prefix"] == str(place / "cpython")
        assert forecast["numpy"].startswith(f"{place}/framework/")
        assert forecast["own"].startswith(f"{place}/forecast/")
        assert all(folder.startswith(f"{place}/") for folder in forecast["path"] if folder)
        survey = layered.facts(place, "survey", also=[other])
        assert survey["count"] == 42
        (loaded,) = survey["loaded"]
        assert loaded.startswith(f"{place}/framework/lib/")


def test_links_to_neighbours_stay_relative(layered: Layered) -> None:
    """An absolute link into a layer is packed as a relative one; no other link leads outside."""
    outside = {}
    for name, archive in layered.archives.items():
        with tarfile.open(archive) as tar:
            links = {member.name: member.linkname for member in tar if member.issym()}
        depth = {each: each.count("/") for each in links}
        outside[name] = {
            each: text for each, text in links.items() if text.split("/").count("..") >= depth[each]
        }
    series = "../../../framework/share/series/series.json"
    assert outside.pop("forecast") == {"forecast/share/forecast/series.json": series}
    assert not any(outside.values())


@needs("tarfile filters")
def test_the_data_filter_takes_each_archive_alone(layered: Layered, tmp_path: Path) -> None:
    """A link to a layer stays below the folder that the archives are unpacked into."""
    with tarfile.open(layered.archives["forecast"]) as tar:
        extract(tar, tmp_path / "alone")
        link = tar.getmember("forecast/share/forecast/series.json")
        assert tarfile.data_filter(link, str(tmp_path / "any")).linkname == link.linkname
        without_top = link.replace(name="share/forecast/series.json", deep=False)
        with pytest.raises(tarfile.LinkOutsideDestinationError):
            tarfile.data_filter(without_top, str(tmp_path / "any"))


def test_the_manifest_records_the_neighbours(layered: Layered) -> None:
    """It has paths from the install target, the versions relied on, and the archives' digests."""
    digests = {name: head_of(path)["content_digest"] for name, path in layered.archives.items()}
    minor = layered.python.minor
    recorded = head_of(layered.archives["survey"])["manifest"]
    assert recorded["interpreter"] == "neighbour"
    assert recorded["neighbours"]["base_runtime"] == {
        "path": "../cpython",
        "python_version": layered.python.version,
        "site_packages": [f"lib/python{minor}/site-packages"],
        "distributions": [],
        "content_digest": digests["cpython"],
        "python": f"bin/python{minor}",
    }
    (framework,) = recorded["neighbours"]["layers"]
    assert framework["path"] == "../framework"
    assert framework["content_digest"] == digests["framework"]
    assert [each["name"] for each in framework["distributions"]] == ["counting", "numpy"]
    assert recorded["neighbours"]["dynlib_dirs"] == ["../framework/share/venv/dynlib"]
    forecast = head_of(layered.archives["forecast"])["manifest"]
    assert forecast["neighbours"]["linked"] == ["../framework"]
    assert [each["name"] for each in forecast["distributions"]] == ["forecast"]


def test_what_was_unpacked_is_verified(layered: Layered, side: Path) -> None:
    """Connected layers and their archives verify."""
    layered.facts(side, "forecast")  # Python compiles what connecting wrote
    for name in ("forecast", "survey"):
        run(tool("pack-venv"), "verify", side / name)
        run(tool("pack-venv"), "verify", layered.archives[name])


def test_a_stack_is_proved_where_it_lies(layered: Layered, side: Path, tmp_path: Path) -> None:
    """Applications run next to their layers, as folders and as archives, and not without them."""
    for name in ("forecast", "survey"):
        archive = layered.archives[name]
        for suffix in ("", ".json"):
            shutil.copy(f"{archive}{suffix}", side)
        for path in (side / name, side / archive.name):
            said = run(tool("pack-venv"), "verify", "--run", path)
            assert "ran      the interpreter, 1 module, 1 entry point in a clean room" in said
        alone = shutil.copy(archive, tmp_path)
        command = [tool("pack-venv"), "verify", "--run", alone]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "it needs ../framework, but " in done.stderr


@pytest.fixture
def apart(side: Path, tmp_path: Path) -> Path:
    """Return an application with layers that a test may damage: links and small files."""
    folder = tmp_path / "apart"
    (folder / "framework/share/venv/metadata").mkdir(parents=True)
    shutil.copytree(side / "forecast", folder / "forecast", symlinks=True)
    (folder / "cpython").symlink_to(side / "cpython")
    shutil.copy(side / "framework/share/venv/metadata/pack-venv.json", manifest_in(folder).parent)
    series = folder / "framework/share/series/series.json"
    series.parent.mkdir()
    series.write_text("[1, 2]")
    return folder


def manifest_in(folder: Path) -> Path:
    return folder / "framework/share/venv/metadata/pack-venv.json"


def told(folder: Path, *words: str) -> list[str]:
    """Return the messages of postinstall.py about an application."""
    done = subprocess.run(
        [folder / "cpython/bin/python3", folder / "forecast/postinstall.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return [line.removeprefix("postinstall.py: ") for line in done.stderr.splitlines()]


def test_a_missing_neighbour_is_one_sentence(apart: Path) -> None:
    """The sentence gives the path where it should be and what to do; nothing is connected."""
    shutil.rmtree(apart / "framework")
    before = (apart / "forecast/pyvenv.cfg").read_bytes()
    expected = f"The neighbour '{apart}/framework' is missing: unpack its archive there."
    assert told(apart) == [expected]
    assert told(apart, "--check")[0] == expected
    assert (apart / "forecast/pyvenv.cfg").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": {"version": "3.8.1", "abi": "cp38"}}, "is wrong: it is of Python 3.8 (cp38)"),
        ({"distributions": []}, "is stale: numpy {numpy} is needed, and it has none"),
        (
            {"distributions": [{"name": "numpy", "version": "0.1"}]},
            "is stale: numpy {numpy} is needed, and it has 0.1",
        ),
        ({"content_digest": "0"}, "is stale: it is not of the archive that this environment was"),
    ],
    ids=["wrong", "without", "other version", "other contents"],
)
def test_a_neighbour_that_does_not_fit_is_one_sentence(
    apart: Path, change: dict[str, Any], said: str
) -> None:
    """Another Python, another version or another archive is reported in one sentence."""
    manifest = json.loads(manifest_in(apart).read_text())
    (numpy,) = [each["version"] for each in manifest["distributions"] if each["name"] == "numpy"]
    manifest_in(apart).write_text(json.dumps({**manifest, **change}))
    (sentence,) = told(apart)
    assert sentence.startswith(f"The neighbour '{apart}/framework' {said.format(numpy=numpy)}")
    assert sentence in told(apart, "--check")


def test_what_is_no_neighbour_is_one_sentence(apart: Path) -> None:
    """A folder without a valid manifest is refused as a neighbour."""
    manifest_in(apart).write_text("{")
    (sentence,) = told(apart)
    assert "is none: it has no manifest share/venv/metadata/pack-venv.json" in sentence


def test_a_base_runtime_without_an_interpreter_is_one_sentence(
    layered: Layered, apart: Path, side: Path
) -> None:
    """A runtime that is itself connected to another interpreter is refused."""
    (apart / "cpython").unlink()
    python = apart / "cpython/bin" / f"python{layered.python.minor}"
    python.parent.mkdir(parents=True)
    python.symlink_to(layered.python.path)
    metadata = "share/venv/metadata"
    shutil.copytree(side / "cpython" / metadata, apart / "cpython" / metadata)
    done = subprocess.run(
        [layered.python.path, apart / "forecast/postinstall.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"postinstall.py: The neighbour '{apart}/cpython' is wrong: it brings no interpreter"
        f" bin/{python.name} of its own.\n"
    )


def test_a_neighbour_that_only_links_lead_into_is_missed(layered: Layered, apart: Path) -> None:
    """A folder that is neither a layer nor a base runtime must exist if links lead into it."""
    manifest = apart / "forecast/share/venv/metadata/pack-venv.json"
    head = json.loads(manifest.read_text())
    head["neighbours"]["linked"] = ["../data", "../framework"]
    manifest.write_text(json.dumps(head))
    (sentence,) = told(apart)
    assert sentence == (
        f"The neighbour '{apart}/data' is missing, and links lead into it: unpack its archive"
        " there."
    )
    (apart / "data").mkdir()
    run(layered.python.path, apart / "forecast/postinstall.py", "--no-compile")


def test_neighbours_may_be_links(layered: Layered, apart: Path) -> None:
    """A neighbour may be a link to a release elsewhere, and any suitable Python can connect it."""
    run(layered.python.path, apart / "forecast/postinstall.py", "--no-compile")
    settings = (apart / "forecast/pyvenv.cfg").read_text()
    assert f"home = {(apart / 'cpython').resolve()}/bin" in settings


def test_layers_on_the_targets_python(layered: Layered, tmp_path: Path) -> None:
    """The target's interpreter finds layers even if its library has a `sitecustomize`.

    Debian's Python has one in its standard library, which is imported instead of ours.
    """
    python = tmp_path / "python"
    version = layered.python.minor
    base = python / "lib" / f"python{version}"
    shutil.copytree(
        layered.python.prefix / "lib" / f"python{version}",
        base,
        ignore=shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*"),
    )
    for name in layered.python.prefix.glob("lib/libpython*.so*"):
        shutil.copy(name, python / "lib")
    (python / "bin").mkdir()
    executable = python / "bin" / f"python{version}"
    shutil.copy(layered.python.path, executable)
    (base / "sitecustomize.py").write_text("import sys; sys.theirs = True")
    folder = layered.root
    run(
        *(tool("pack-venv"), "pack", folder / "layers/survey", "-o", tmp_path / "out/survey"),
        *("--format", "tar.gz", "--interpreter", "target", "-q"),
        *("--containing-dir", folder / "layers", "--layer", folder / "layers/framework"),
        *("--dynlib-dirs", folder / "layers/framework/share/venv/dynlib"),
    )
    side = tmp_path / "side"
    for archive in (tmp_path / "out/survey.tar.gz", layered.archives["framework"]):
        with tarfile.open(archive) as tar:
            extract(tar, side)
    env = {"LD_LIBRARY_PATH": str(python / "lib"), "PATH": "/usr/bin:/bin"}
    done = hiding.run_hidden(
        [executable, side / "survey/postinstall.py", "--no-compile"], hide=[folder], env=env
    )
    assert done.returncode == 0, done.stderr
    code = (
        "import sys, tally, numpy; print(sys.theirs, tally.count(1), sys.path.count(sys.path[-1]))"
    )
    done = hiding.run_hidden([side / "survey/bin/python", "-c", code], hide=[folder], env=env)
    assert done.stdout == "True 21 1\n", done.stderr
    assert "connected to an interpreter" in run(tool("pack-venv"), "verify", side / "survey")


def test_the_functions_keep_links_to_neighbours_too(layered: Layered, tmp_path: Path) -> None:
    """`convert_symlinks` with a containing folder keeps them, and so does `create_archive`."""
    source = make_environment(tmp_path / "layers/app", layered.python, by="uv")
    data = tmp_path / "layers/data/values.txt"
    data.parent.mkdir()
    data.write_text("values")
    (source / "share").mkdir()
    (source / "share/values.txt").symlink_to(data)
    relative, _ = convert_symlinks(source, tmp_path / "layers")
    assert relative[-1][1].as_posix() == "../../data/values.txt"
    archive = create_archive(source, tmp_path / "app", format="tar", show_progress=False)
    side = tmp_path / "elsewhere"
    shutil.copytree(data.parent, side / "data")
    with tarfile.open(archive) as tar:
        extract(tar, side)
    code = "import sys; print(open(sys.prefix + '/share/values.txt').read())"
    hide = [tmp_path / "layers"]
    done = hiding.run_hidden(
        [layered.python.path, side / "app/postinstall.py", "--no-compile"], hide=hide
    )
    assert done.returncode == 0, done.stderr
    done = hiding.run_hidden([side / "app/bin/python", "-c", code], hide=hide)
    assert done.stdout == "values\n", done.stderr
