"""Editable installs: recognised by what they leave behind, and settled before the plan."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, environment, file, folder, names, plan, recipe

from hatch_pack_venv.distributions import InstalledDistribution, installed_distributions
from hatch_pack_venv.editable.copies import Settled, settle_editables
from hatch_pack_venv.editable.finders import Exposed, UnknownFinderError, read_finder
from hatch_pack_venv.editable.installs import Editable, recognise, refusal
from hatch_pack_venv.entries import FileEntry, UnsupportedEntry
from hatch_pack_venv.errors import PlanError
from hatch_pack_venv.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.entries import ScannedEntry
    from hatch_pack_venv.environment import Environment


def write(root: Path, *paths: str, **contents: str) -> Path:
    """Write files: empty ones by path, those with a content by a name in which `__` is `/`."""
    for path, content in {**dict.fromkeys(paths, ""), **contents}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return root


def finder(tmp_path: Path, text: str) -> list[tuple[str, str]] | None:
    """Read a finder; paths are told relative to `tmp_path`."""
    (tmp_path / "finder.py").write_text(text.replace("ROOT", str(tmp_path)))
    found = read_finder(tmp_path / "finder.py")
    if found is None:
        return None
    return [(each.name, each.path.relative_to(tmp_path).as_posix()) for each in found]


# finders


@pytest.mark.parametrize("annotation", ["", ": dict[str, str]"])
def test_setuptools_mapping_is_read(tmp_path: Path, annotation: str) -> None:
    """Packages are folders, modules files of whatever kind, namespaces all their folders."""
    write(tmp_path, "pkg/__init__.py", "code/a.py", "mod.py", "ext.cpython-311.so", "ext.c", "ns/x")
    mapping = {"pkg": "pkg", "ns.sub": "code", "mod": "mod", "ext": "ext"}
    absolute = {name: f"{tmp_path}/{path}" for name, path in mapping.items()}
    text = f"MAPPING{annotation} = {absolute!r}\nNAMESPACES{annotation} = {{'ns': ['ROOT/ns']}}\n"
    assert finder(tmp_path, text) == [
        ("pkg", "pkg"),
        ("ns/sub", "code"),
        ("mod.py", "mod.py"),
        ("ext.cpython-311.so", "ext.cpython-311.so"),
        ("ns", "ns"),
    ]


def test_a_mapping_to_nothing_is_told(tmp_path: Path) -> None:
    """A source folder that is gone is named."""
    with pytest.raises(UnknownFinderError, match="/gone/pkg does not exist"):
        finder(tmp_path, "MAPPING = {'pkg': '/gone/pkg'}\nNAMESPACES = {}\n")


def test_the_editables_librarys_calls_are_read(tmp_path: Path) -> None:
    """A package's `__init__` stands for its folder, a module for itself."""
    text = (
        "from editables.redirector import RedirectingFinder as F\nF.install()\n"
        "F.map_module('a', 'ROOT/src/a/__init__.py')\nF.map_module('b', 'ROOT/src/b.py')"
    )
    assert finder(tmp_path, text) == [("a", "src/a"), ("b.py", "src/b.py")]


def test_scikit_build_cores_call_is_read(tmp_path: Path) -> None:
    """Absolute files and folders are of the source tree; relative ones are installed already."""
    text = (
        "def install(a, b, *c): ...\n"
        "install({'a': 'ROOT/src/a/__init__.py', 'a.data': 'ROOT/src/a/data.txt'},"
        " {'a._ext': 'a/_ext.so', 'a._kept': 'ROOT/build/a/_kept.so'},"
        " {'a': ['ROOT/src/a', 'a']}, ['a'], None, False, True, [], [], '')\n"
    )
    assert finder(tmp_path, text) == [
        ("a", "src/a"),
        ("a/data.txt", "src/a/data.txt"),
        ("a/_kept.so", "build/a/_kept.so"),
        ("a", "src/a"),
    ]
    inplace = "install_inplace(['a'], ['ROOT/src'], 'ROOT', False, True, [])\n"
    assert finder(tmp_path, inplace) == []


@pytest.mark.parametrize(
    "call", ["MesonpyMetaFinder('a', {'a'}, 'ROOT/build', [])", "install({'a'}, 'ROOT/build', [])"]
)
def test_mesons_install_plan_is_read(tmp_path: Path, call: str) -> None:
    """What goes to site-packages is found where it was built or written, but for exclusions."""
    targets = {
        "build/_ext.so": "{py_platlib}/a/_ext.so",
        "a.py": "{py_purelib}/a.py",
        "bin/tool": "{bindir}/tool",
    }
    excluded = {"exclude_files": ["no.py"], "exclude_dirs": ["skip"]}
    subfolder = {"destination": "{py_purelib}/a/sub", **excluded}
    plan = {
        "targets": {f"{tmp_path}/{k}": {"destination": v} for k, v in targets.items()},
        "install_subdirs": {f"{tmp_path}/sub": subfolder},
    }
    write(tmp_path, *targets, "sub/yes.py", "sub/no.py", "sub/skip/x.py", "sub/deep/no.py")
    write(tmp_path, **{"build/meson-info/intro-install_plan.json": json.dumps(plan)})
    assert finder(tmp_path, f"def init():\n    {call}\n") == [
        ("a/_ext.so", "build/_ext.so"),
        ("a.py", "a.py"),
        ("a/sub/yes.py", "sub/yes.py"),
        ("a/sub/deep/no.py", "sub/deep/no.py"),
    ]
    (tmp_path / "build/_ext.so").unlink()
    with pytest.raises(UnknownFinderError, match=r"/build/_ext\.so is not built"):
        finder(tmp_path, call)


def test_a_build_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """Without meson's build folder nothing can be known."""
    with pytest.raises(UnknownFinderError, match="its build folder /gone holds no install plan"):
        finder(tmp_path, "install({'a'}, '/gone', [])")


@pytest.mark.parametrize(
    "text", ["import os\nprint(1)\n", "install('x')\n", "def (\n", "MAPPING = f()"]
)
def test_other_modules_are_no_finders(tmp_path: Path, text: str) -> None:
    """A module that redirects nothing, or is no Python, is not taken for a finder."""
    assert finder(tmp_path, text) is None


# recognition


def recognised(prefix: Path, recorded: dict[str, str], url: str | None = None) -> Editable | None:
    """Recognise what a distribution that recorded some files of site-packages is."""
    write(prefix / SITE, **recorded)
    return recognise(prefix, SITE, [f"{SITE}/{name}" for name in recorded], url)


def direct_url(path: Path) -> str:
    return json.dumps({"url": f"file://{path}", "dir_info": {"editable": True}})


def test_a_path_file_is_enough(tmp_path: Path) -> None:
    """Without `direct_url.json` the line that leaves tells, and the project is looked for."""
    write(tmp_path / "project", "pyproject.toml", "src/a.py")
    line = str(tmp_path / "project/src")
    found = recognised(tmp_path / "env", {"a.pth": f"# a\n{line}\n", "other.py": ""})
    assert found == Editable(
        source=str(tmp_path / "project"),
        hooks=frozenset({f"{SITE}/a.pth"}),
        lines=frozenset({line}),
        exposed=(Exposed(name="", path=tmp_path / "project/src"),),
    )


@pytest.mark.parametrize("hook", ["a.pth", "a.start"])
def test_a_finder_is_enough(tmp_path: Path, hook: str) -> None:
    """So does a finder that a `.pth` or `.start` file (PEP 829) of the same distribution runs."""
    line = "import _a_finder; _a_finder.install()" if hook == "a.pth" else "_a_finder:install"
    module = f"F.map_module('a', '{tmp_path}/a.py')"
    found = recognised(tmp_path / "env", {hook: line, "_a_finder.py": module})
    assert found is not None
    assert found.hooks == {f"{SITE}/{hook}", f"{SITE}/_a_finder.py"}
    assert found.exposed == (Exposed(name="a.py", path=tmp_path / "a.py"),)


def test_a_regular_distribution_is_not_mistaken(tmp_path: Path) -> None:
    """Path files that run code or stay inside, and a URL that is not editable, say nothing."""
    recorded = {
        "distutils-precedence.pth": "import os; os.getcwd()\n",
        "inside.pth": f"vendored\n../../../share/code\n{tmp_path}/env/share\n",
        "os.py": "x = 1",
    }
    url = json.dumps({"url": "file:///home/me/x", "dir_info": {}})
    assert recognised(tmp_path / "env", recorded, url) is None
    assert recognised(tmp_path / "env", recorded, "[]") is None


def test_a_folder_inside_counts_if_it_is_declared(tmp_path: Path) -> None:
    """`pip install -e git+…` clones into the environment's `src`."""
    source = tmp_path / "env/src/a"
    found = recognised(tmp_path / "env", {"a.pth": f"{source}\n"}, direct_url(source))
    assert found is not None
    assert found.exposed == (Exposed(name="", path=source),)


def test_a_link_to_the_source_is_a_hook(tmp_path: Path) -> None:
    """`flit install --symlink` links the package; a link into an installer's cache is none."""
    write(tmp_path, "project/a/__init__.py", "cache/b.py", f"env/{SITE}/c.py")
    site = tmp_path / "env" / SITE
    (site / "a").symlink_to(tmp_path / "project/a")
    (site / "b.py").symlink_to(tmp_path / "cache/b.py")
    recorded = [f"{SITE}/{name}" for name in ("a", "b.py", "c.py")]
    found = recognise(tmp_path / "env", SITE, recorded, direct_url(tmp_path / "project"))
    assert found is not None
    assert found.hooks == {f"{SITE}/a"}
    assert found.exposed == (Exposed(name="a", path=tmp_path / "project/a"),)


def test_an_unknown_style_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """What is declared editable and cannot be read cannot be copied, and says so."""
    found = recognised(
        tmp_path / "env", {"a.pth": "import _a\n", "_a.py": ""}, direct_url(tmp_path)
    )
    assert found is not None
    assert refusal("a", found) == (
        f"a is installed editable from {tmp_path}, which will not exist on the target, and cannot"
        " be copied because how it is made importable is not known: install it as a regular"
        ' package, name its wheel in `wheels`, or set `editables` to "exclude"'
    )


# setup.py develop


def development(tmp_path: Path) -> tuple[Path, Path]:
    """Make what setuptools 79 leaves of `setup.py develop`, beside a line of somebody else."""
    project, prefix = tmp_path / "project", tmp_path / "env"
    write(
        project,
        "setup.py",
        "src/my_app/__init__.py",
        **{
            "src/my_app.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: My_App\nVersion: 1.0\n"
            "\nbody\n",
            "src/my_app.egg-info/requires.txt": "six>=1\n\n[tests:python_version<'3']\nmock\n",
            "src/my_app.egg-info/entry_points.txt": "[console_scripts]\nmy-app = my_app:main\n",
            "bin/plain": "#!/usr/bin/env python\nprint(1)\n",
        },
    )
    head = f"#!{prefix}/bin/python\n# EASY-INSTALL-"
    write(
        prefix,
        **{
            f"{SITE}/My-App.egg-link": f"{project}/src\n../",
            f"{SITE}/easy-install.pth": f"./vendored.egg\n{project}/src\n",
            "bin/my-app": f"{head}ENTRY-SCRIPT: 'My-App','console_scripts','my-app'\nimport re\n",
            "bin/plain": f"{head}DEV-SCRIPT: 'My-App==1.0','plain'\n"
            f"__file__ = '{project}/bin/plain'\n",
            "bin/other": f"{head}DEV-SCRIPT: 'other==1.0','plain'\n",
        },
    )
    return project, prefix


def there(prefix: Path) -> Environment:
    """Return an environment that lies on the disk, with what is installed in it."""
    installed = installed_distributions(prefix, (SITE,))
    return environment(*installed, prefix=prefix, given=prefix)


def test_an_egg_link_is_a_distribution(tmp_path: Path) -> None:
    """Its metadata are read in the source tree; link, line and scripts are known as its own."""
    project, prefix = development(tmp_path)
    (found,) = installed_distributions(prefix, (SITE,))
    assert (found.key, found.version, found.editable_source) == ("my-app", "1.0", str(project))
    assert found.files == {f"{SITE}/My-App.egg-link", "bin/my-app", "bin/plain"}
    assert found.metadata_dir == f"{SITE}/My_App-1.0.dist-info"
    assert found.editable is not None
    assert found.editable.lines == {f"{project}/src"}
    assert [point.name for point in found.entry_points] == ["my-app"]
    assert found.requires == ("six>=1", "mock; (python_version<'3') and extra == \"tests\"")


def test_a_line_alone_is_a_distribution_if_metadata_are_there(tmp_path: Path) -> None:
    """Without the link the folder's `.egg-info` tells; another environment's folder does not."""
    _, prefix = development(tmp_path)
    (prefix / SITE / "My-App.egg-link").unlink()
    foreign = write(tmp_path / "other/site-packages", "x.egg-info/PKG-INFO")
    (prefix / SITE / "hand.pth").write_text(f"{foreign}\n")
    assert [each.key for each in installed_distributions(prefix, (SITE,))] == ["my-app"]


def test_a_developed_distribution_is_copied_like_an_installed_one(tmp_path: Path) -> None:
    """Metadata are made of the `.egg-info`, scripts are the real ones, others' lines stay."""
    project, prefix = development(tmp_path)
    settled = settle_editables(there(prefix), "copy")
    scanned: list[ScannedEntry] = [
        file(path.relative_to(prefix).as_posix(), path.read_bytes())
        for path in sorted(prefix.rglob("*"))
        if path.is_file()
    ]
    entries = {
        entry.arcname: bytes(entry.content)  # type: ignore[arg-type]
        for entry in settled.applied(scanned)
        if isinstance(entry, FileEntry)
    }
    info = f"{SITE}/My_App-1.0.dist-info"
    assert f"{SITE}/My-App.egg-link" not in entries
    assert entries[f"{SITE}/easy-install.pth"] == b"./vendored.egg\n"
    assert entries[f"{SITE}/my_app/__init__.py"] == b""
    assert entries["bin/plain"] == f"#!{prefix}/bin/python\nprint(1)\n".encode()
    assert entries[f"{info}/METADATA"].decode() == (
        "Metadata-Version: 2.1\nName: My_App\nVersion: 1.0\nRequires-Dist: six>=1\n"
        "Requires-Dist: mock; (python_version<'3') and extra == \"tests\"\n\nbody\n"
    )
    listed = [row.split(b",")[0].decode() for row in entries[f"{info}/RECORD"].splitlines()]
    assert listed == [
        "../../../bin/my-app",
        "../../../bin/plain",
        *(f"My_App-1.0.dist-info/{each}" for each in ("INSTALLER", "METADATA", "entry_points.txt")),
        "my_app/__init__.py",
        "My_App-1.0.dist-info/RECORD",
    ]
    (project / "bin/plain").unlink()
    problem = problem_of(settle_editables(there(prefix), "copy"))
    assert problem == f"{project}/bin/plain is not there or cannot be read"


def test_metadata_in_the_source_tree_make_no_second_distribution(tmp_path: Path) -> None:
    """What an installed editable left there, and what is installed besides, counts once."""
    _, prefix = development(tmp_path)
    old = write(tmp_path / "project/src", **{"old.egg-info/PKG-INFO": "Name: old\nVersion: 1\n"})
    info = {"METADATA": "Name: my-app\nVersion: 2\n", "RECORD": "hook.pth,,\n"}
    write(prefix / SITE / "my_app-2.dist-info", **info)
    assert [each.key for each in installed_distributions(prefix, (SITE,))] == ["my-app", "old"]
    (prefix / SITE / "My-App.egg-link").unlink()
    (prefix / SITE / "easy-install.pth").rename(prefix / SITE / "hook.pth")
    (found,) = installed_distributions(prefix, (SITE,))
    assert found.editable is not None
    assert found.editable.lines == {str(old)}


# copies


def digest(content: bytes) -> str:
    """Return a hash as RECORD spells it."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={encoded.decode().rstrip('=')}"


def editable(name: str, folder: Path, **changes: object) -> InstalledDistribution:
    """Return a distribution whose path file adds a folder."""
    facts = {
        "source": str(folder),
        "hooks": frozenset({f"{SITE}/{name}.pth"}),
        "lines": frozenset({str(folder)}),
        "exposed": (Exposed(name="", path=folder),),
        **changes,
    }
    return distribution(name, f"{SITE}/{name}.pth", editable=Editable(**facts))  # type: ignore[arg-type]


def copied(tmp_path: Path, *distributions: InstalledDistribution) -> Settled:
    """Settle distributions of an environment that lies below `tmp_path`."""
    prefix = tmp_path / "env"
    return settle_editables(environment(*distributions, prefix=prefix, given=prefix), "copy")


def problem_of(settled: Settled) -> str | None:
    """Return why the last distribution could not be copied."""
    last = settled.environment.distributions[-1].editable
    return None if last is None else last.problem


def added(settled: Settled) -> list[str]:
    """Return the files that were copied, below site-packages."""
    files = [entry for entry in settled.added if not entry.arcname.endswith("-info")]
    return [e.arcname.removeprefix(f"{SITE}/") for e in files if isinstance(e, FileEntry)]


def test_all_that_is_importable_is_copied(tmp_path: Path) -> None:
    """Packages with their data, modules and namespaces; no caches, metadata or loose files."""
    source = write(
        tmp_path / "src",
        *("a/__init__.py", "a/data/x.json", "a/__pycache__/a.pyc", "a/.git/config", "b.py"),
        *("c.cpython-311-x86_64-linux-gnu.so", "ns/d/__init__.py", "tests/t.py", "assets/logo.svg"),
        *("a.egg-info/PKG-INFO", "README.md", ".hidden/x.py", "not-a-name.py", "my-dir/x.py"),
        *("venv/pyvenv.cfg", "venv/lib/x.py"),
    )
    settled = copied(tmp_path, editable("a", source))
    assert added(settled) == [
        "a/__init__.py",
        "a/data/x.json",
        "assets/logo.svg",
        "b.py",
        "c.cpython-311-x86_64-linux-gnu.so",
        "ns/d/__init__.py",
        "tests/t.py",
    ]
    (distribution,) = settled.environment.distributions
    assert distribution.editable is None
    assert distribution.files == {f"{SITE}/{name}" for name in added(settled)}


def test_a_projects_own_folder_is_not_all_meant(tmp_path: Path) -> None:
    """Beside pyproject.toml, tests and the like stay out unless the metadata name them."""
    source = write(
        tmp_path / "project",
        *("pyproject.toml", "setup.py", "a/__init__.py", "tests/__init__.py", "docs/conf.py"),
        *("tools/x.py", "noxfile.py", "build/lib/a/__init__.py", "assets/logo.svg", "extra.py"),
    )
    settled = copied(tmp_path, editable("a", source, names=frozenset({"a", "tools"})))
    assert added(settled) == ["a/__init__.py", "extra.py", "tools/x.py"]


def test_what_the_environment_holds_stays(tmp_path: Path) -> None:
    """A file that is installed is not replaced by the source tree's of the same name."""
    source = write(tmp_path / "src", "a/__init__.py", "a/_ext.so")
    write(tmp_path / "env" / SITE, "a/_ext.so")
    assert added(copied(tmp_path, editable("a", source))) == ["a/__init__.py"]
    replaced = distribution("old", f"{SITE}/a/_ext.so")
    prefix = tmp_path / "env"
    both = environment(replaced, editable("a", source), prefix=prefix, given=prefix)
    settled = settle_editables(both, "copy", frozenset({"old"}))
    assert added(settled) == ["a/__init__.py", "a/_ext.so"]


def test_two_may_share_the_same_file_and_no_other(tmp_path: Path) -> None:
    """Equal files of two are one; different ones are a problem that names both."""
    one = write(tmp_path / "one", "ns/__init__.py", "ns/one.py")
    two = write(tmp_path / "two", "ns/__init__.py", "ns/two.py")
    settled = copied(tmp_path, editable("one", one), editable("two", two))
    assert added(settled) == ["ns/__init__.py", "ns/one.py", "ns/two.py"]
    write(two, **{"ns/__init__.py": "x = 1\n"})
    settled = copied(tmp_path, editable("one", one), editable("two", two))
    assert added(settled) == ["ns/__init__.py", "ns/one.py"]
    assert problem_of(settled) == f"{SITE}/ns/__init__.py would be another file than that of one"


def test_links_of_the_source_tree_are_followed(tmp_path: Path) -> None:
    """Links become what they lead to; loops and dangling ones are told by name."""
    source = write(tmp_path / "src", "a/__init__.py")
    outside = write(tmp_path / "outside", "b/__init__.py")
    (source / "b").symlink_to(outside / "b")
    (source / "a/gone.py").symlink_to("nowhere")
    (source / "a/loop").symlink_to("..")
    settled = copied(tmp_path, editable("a", source))
    assert {"a/__init__.py", "b/__init__.py"} <= set(added(settled))
    told = {e.arcname: e.reason for e in settled.added if isinstance(e, UnsupportedEntry)}
    assert told.keys() == {f"{SITE}/a/gone.py", f"{SITE}/a/loop/a"}
    with pytest.raises(PlanError, match=r"a/gone\.py cannot be read"):
        plan(*settled.applied([]), environment=settled.environment)


@pytest.mark.parametrize(
    ("exposed", "problem"),
    [
        ("gone", "gone is not there or cannot be read"),
        ("empty", "nothing importable is there"),
        ("empty/README.md", "README.md is no folder"),
    ],
)
def test_a_source_without_modules_is_told(tmp_path: Path, exposed: str, problem: str) -> None:
    """A folder that is gone, holds nothing importable or is a file cannot be copied."""
    write(tmp_path / "empty", "README.md")
    settled = copied(tmp_path, editable("a", tmp_path / exposed))
    assert str(problem_of(settled)).endswith(problem)
    with pytest.raises(PlanError, match=f"cannot be copied because .*{problem}"):
        plan(environment=settled.environment)


def test_a_library_of_the_build_folder_is_refused(tmp_path: Path) -> None:
    """An extension module that finds a library only where it was built cannot be copied alone."""
    source = write(tmp_path / "src", "a/__init__.py", **{"x.c": "int x;", "y.c": "int y;"})
    (source / "build").mkdir()
    gcc: list[str | Path] = ["gcc", "-shared", "-o"]
    subprocess.run([*gcc, source / "build/libx.so", source / "x.c"], check=True)

    def link(rpath: str, library: Path) -> Settled:
        search = [f"-L{library.parent}", "-Wl,--no-as-needed", "-lx", f"-Wl,-rpath,{rpath}"]
        command = [*gcc, source / "a/_ext.so", source / "y.c", *search]
        subprocess.run(command, check=True)
        return copied(
            tmp_path, editable("a", source, exposed=(Exposed(name="a", path=source / "a"),))
        )

    built = source / "build/libx.so"
    for rpath in (str(built.parent), "$ORIGIN/../build"):
        problem = problem_of(link(rpath, built))
        assert problem == f"{SITE}/a/_ext.so needs {built}, which is not importable"
    beside = built.rename(source / "a/libx.so")
    assert str(problem_of(link(str(beside.parent), beside))).endswith("which is not importable")
    assert problem_of(link("$ORIGIN", beside)) is None


def test_records_and_metadata_of_copies_are_an_installations(tmp_path: Path) -> None:
    """RECORD lists the copies and not the hooks; the source folder inside is not packed too."""
    source = write(tmp_path / "env/src/a", "pyproject.toml", **{"a/__init__.py": "x = 1"})
    (source / "a/large.bin").write_bytes(b"\0" * 300_000)
    settled = copied(tmp_path, editable("a", source))
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
    planned = plan(*settled.applied(scanned), environment=settled.environment)
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
    """Their files, lines and launchers go; who requires one is told, by true markers only."""
    source = write(tmp_path / "src", "a/__init__.py")
    there = environment(
        editable("a", source, hooks=frozenset({f"{SITE}/a.pth", f"{SITE}/a_finder.py"})),
        distribution("no", requires=("a; python_version < '3.11'", "a; extra == 'dev'", "six")),
        prefix=tmp_path,
        given=tmp_path,
    )
    settled = settle_editables(there, "exclude")
    assert settled.excluded == {"a"}
    scanned = [
        file(f"{SITE}/a.pth", b"import a_finder\n"),
        *(file(f"{SITE}/a_finder.py"), file(f"{SITE}/__pycache__/a_finder.cpython-311.pyc")),
        *(file(f"{SITE}/no.py"), file(f"{SITE}/__pycache__/no.cpython-311.pyc")),
    ]
    chosen = recipe(
        excluded_editables=settled.excluded, selection=Selection(include=("__pycache__",))
    )
    planned = plan(*settled.applied(scanned), environment=settled.environment, recipe=chosen)
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
    """Requirements hold with markers of the environment's Python and extras asked for by others."""
    there = environment(
        distribution("a", editable_source="/home/me/a"),
        distribution("b", editable_source="/home/me/b", requires=("a",)),
        distribution("app", requires=("Lib[fast]", "a; python_full_version == '3.11.7'")),
        distribution("lib", requires=("b>=1; extra == 'fast'", "a; extra == 'slow'", "not valid")),
    )
    with pytest.raises(PlanError) as caught:
        plan(environment=there, recipe=recipe(excluded_editables=frozenset({"a", "b"})))
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        "app requires a",
        "lib requires b",
    ]


def test_one_sentence_for_each(tmp_path: Path) -> None:
    """The line of an editable install is not told of again; a line that nobody owns is."""
    content = f"{tmp_path}/src\n/home/me/hand\n../../../../outside\n".encode()
    there = environment(editable("a", tmp_path / "src"))
    with pytest.raises(PlanError) as caught:
        plan(file(f"{SITE}/easy-install.pth", content), environment=there)
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        f"a is installed editable from {tmp_path}/src",
        f"{SITE}/easy-install.pth adds /home/me/hand to sys.path",
        f"{SITE}/easy-install.pth adds ../../../../outside to sys.path",
    ]
