"""Editable installs, recognised by what they leave behind: finders, path files and links."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, direct_url
from support.trees import write

from hatch_pack_venv.metadata.editables import UnknownFinderError, read_finder, recognise, refusal
from hatch_pack_venv.model.distribution import Editable, Exposed

if TYPE_CHECKING:
    from pathlib import Path


# finders


def finder(tmp_path: Path, text: str) -> list[tuple[str, str]] | None:
    """Read a finder; the returned paths are relative to `tmp_path`."""
    (tmp_path / "finder.py").write_text(text.replace("ROOT", str(tmp_path)))
    found = read_finder(tmp_path / "finder.py")
    if found is None:
        return None
    return [(each.name, each.path.relative_to(tmp_path).as_posix()) for each in found]


@pytest.mark.parametrize("annotation", ["", ": dict[str, str]"])
def test_setuptools_mapping_is_read(tmp_path: Path, annotation: str) -> None:
    """Packages are folders, modules are source or extension files, namespaces all their folders."""
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
    """A package's `__init__` exposes its folder, a module only its file."""
    text = (
        "from editables.redirector import RedirectingFinder as F\nF.install()\n"
        "F.map_module('a', 'ROOT/src/a/__init__.py')\nF.map_module('b', 'ROOT/src/b.py')"
    )
    assert finder(tmp_path, text) == [("a", "src/a"), ("b.py", "src/b.py")]


def test_scikit_build_cores_call_is_read(tmp_path: Path) -> None:
    """Absolute paths are in the source or build tree; relative ones are already installed."""
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
    """Files for site-packages are found where they were built or written, except for exclusions."""
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
    with pytest.raises(UnknownFinderError, match=r"/build/_ext\.so has not been built"):
        finder(tmp_path, call)


def test_a_build_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """Without meson's build folder nothing can be known."""
    with pytest.raises(UnknownFinderError, match="its build folder /gone contains no install plan"):
        finder(tmp_path, "install({'a'}, '/gone', [])")


@pytest.mark.parametrize(
    "text", ["import os\nprint(1)\n", "install('x')\n", "def (\n", "MAPPING = f()"]
)
def test_other_modules_are_no_finders(tmp_path: Path, text: str) -> None:
    """A module that redirects nothing, or is not Python, is not mistaken for a finder."""
    assert finder(tmp_path, text) is None


# recognition


def recognised(prefix: Path, recorded: dict[str, str], url: str | None = None) -> Editable | None:
    """Recognise a distribution that recorded these files in site-packages."""
    write(prefix / SITE, **recorded)
    return recognise(prefix, SITE, [f"{SITE}/{name}" for name in recorded], url)


def test_a_path_file_is_enough(tmp_path: Path) -> None:
    """Without `direct_url.json`, a line that leads outside identifies it; its project is found."""
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
    """It suffices that a `.pth` or `.start` file (PEP 829) runs a finder of the distribution."""
    line = "import _a_finder; _a_finder.install()" if hook == "a.pth" else "_a_finder:install"
    module = f"F.map_module('a', '{tmp_path}/a.py')"
    found = recognised(tmp_path / "env", {hook: line, "_a_finder.py": module})
    assert found is not None
    assert found.hooks == {f"{SITE}/{hook}", f"{SITE}/_a_finder.py"}
    assert found.exposed == (Exposed(name="a.py", path=tmp_path / "a.py"),)


def test_a_regular_distribution_is_not_mistaken(tmp_path: Path) -> None:
    """Path files that run code or stay inside, and a URL that is not editable, do not count."""
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
    """`flit install --symlink` links the package; a link to an installer's cache is not a hook."""
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
    """An install that is declared editable but cannot be read is refused as impossible to copy."""
    found = recognised(
        tmp_path / "env", {"a.pth": "import _a\n", "_a.py": ""}, direct_url(tmp_path)
    )
    assert found is not None
    assert refusal("a", found) == (
        f"a is installed in editable mode from {tmp_path}, which will not exist on the target, and"
        " cannot be copied because it is not known how it is made importable: install it as a"
        ' regular package, name its wheel in `wheels`, or set `editables` to "exclude"'
    )
