"""The test projects: built by a real `hatch build`, unpacked, run with the originals hidden."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.documents import checked_sbom
from support.environments import install, make_environment, run, shared, tool
from support.interpreters import Python, bundlable
from support.machine import needs
from support.projects import copy_project
from support.trees import extract, make_wheel, tree_state

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]

REQUIREMENTS: Final = {
    "greeter": ["humanize"],
    "service": ["markupsafe", "pydantic"],
    "dev-env": ["click", "pytest", "ruff"],
}
INSTALLED_BY: Final = {"greeter": "venv", "service": "uv", "dev-env": "virtualenv"}
PLACES: Final = ("one", "Zwei é", "deep er/uni cöd/q'uo\"te $HOME/" + "x" * 60 + "/three")
BARE: Final = {"PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, kw_only=True)
class Built:
    """A built project, and its originals."""

    name: str
    mode: str
    python: Python
    project: Path
    archives: list[Path]
    untouched: bool

    @property
    def originals(self) -> list[Path]:
        """Return the folders to hide; in target mode the interpreter is the target's own."""
        return [self.project] if self.mode == "target" else [self.project, self.python.prefix]

    def unpack(self, folder: Path, archive: Path | None = None) -> Path:
        """Unpack an archive as a user does, and connect it in target mode."""
        archive = archive or self.archives[0]
        folder.mkdir(parents=True)
        if archive.suffix == ".zip":
            run("unzip", "-q", archive, "-d", folder)
        else:
            run("tar", "-xf", archive, "-C", folder)
        (root,) = folder.iterdir()
        self.connect(root)
        return root

    def connect(self, root: Path) -> None:
        """Do what the mode requires after unpacking or moving."""
        if self.mode == "target":
            run(self.python.path, root / "postinstall.py", "--no-compile", env=BARE)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, plugin_wheels: Path) -> Callable[..., Built]:
    """Build projects once for all workers, by name, interpreter mode and Python."""

    def build_once(name: str, mode: str, python: Python | None = None) -> Built:
        python = python or bundlable()[-1]
        # One xz of an interpreter is enough; the other CPythons' archives are made fast.
        more = "" if python == bundlable()[-1] else 'format = "tar.gz"\ncompression-level = 1\n'

        def fill(folder: Path) -> None:
            untouched = _build(name, mode, python, folder / "project", plugin_wheels, more)
            (folder / "untouched").write_text(json.dumps(untouched))

        folder = shared(tmp_path_factory, f"{name}-{mode}-{python.version}", fill)
        made = (folder / "project/dist-venv").iterdir()
        return Built(
            name=name,
            mode=mode,
            python=python,
            project=folder / "project",
            archives=sorted(path for path in made if path.suffix != ".json"),
            untouched=json.loads((folder / "untouched").read_text()),
        )

    return build_once


def _build(
    name: str, mode: str, python: Python, root: Path, plugin_wheels: Path, more: str
) -> bool:
    """Build a copy of a project; return whether environment and base are unchanged."""
    copy_project(name, root)
    configuration = root / "pyproject.toml"
    table = "[tool.hatch.build.hooks.pack-venv]\n"
    text = configuration.read_text().replace(table, f'{table}interpreter = "{mode}"\n{more}')
    configuration.write_text(text)
    by = INSTALLED_BY[name]
    environment = make_environment(
        root / ".venv", python, REQUIREMENTS[name], by=by, cache=root.parent / "uv"
    )
    variables = {
        **os.environ,
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {plugin_wheels}",
        "UV_FIND_LINKS": str(plugin_wheels),
        "HATCH_DATA_DIR": str(root.parent / "hatch"),
    }
    if name == "dev-env":
        install(environment, "--no-deps", "--editable", root, variables=variables)
    before = (tree_state(environment), tree_state(python.prefix))
    run(tool("hatch"), "build", "-t", "wheel", cwd=root, env=variables)
    return before == (tree_state(environment), tree_state(python.prefix))


each_mode = pytest.mark.parametrize("mode", ["bundled", "target"])
each_project = pytest.mark.parametrize("name", list(REQUIREMENTS))


def ways(built: Built, root: Path, command: str) -> dict[str, str]:
    """Run a launcher in every way, with the originals hidden, and return what each printed."""
    link = root.parent / "links" / command
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(root / "bin" / command)
    calls: dict[str, tuple[list[str | Path], dict[str, str], Path, list[Path]]] = {
        "absolute": ([root / "bin" / command], BARE, Path("/"), []),
        "relative": ([f"bin/{command}"], BARE, root, []),
        "by PATH": (
            ["sh", "-c", command],
            {"PATH": f"{root}/bin:/usr/bin:/bin"},
            Path("/usr"),
            [],
        ),
        "through a link": ([link], BARE, Path("/"), []),
        "activated": (["sh", "-c", f". bin/activate && {command}"], BARE, root, []),
        "env -i": (["env", "-i", root / "bin" / command], BARE, Path("/"), []),
        "read-only": ([root / "bin" / command], BARE, Path("/"), [root]),
    }
    outputs = {}
    for way, (words, variables, folder, read_only) in calls.items():
        done = hiding.run_hidden(
            words, hide=built.originals, env=variables, cwd=folder, read_only=read_only
        )
        assert done.returncode == 0, (way, done.stderr)
        outputs[way] = done.stdout
    return outputs


@each_mode
@each_project
def test_it_runs_wherever_it_is_moved(
    build: Callable[..., Built], name: str, mode: str, tmp_path: Path
) -> None:
    """Unpacked and moved three times, the application runs from its place however it is called."""
    built = build(name, mode)
    command = {"greeter": "greet", "service": "service-admin", "dev-env": "devtool"}[name]
    root = built.unpack(tmp_path / "unpacked")
    for place in PLACES:
        target = tmp_path / place / root.name
        target.parent.mkdir(parents=True)
        root = root.rename(target)
        built.connect(root)
        for way, printed in ways(built, root, command).items():
            output = str(json.loads(printed)) if name == "service" else printed
            assert str(root) in output.replace("\\'", "'"), (way, output)
            assert str(built.project) not in output, (way, output)
            if mode == "bundled":
                assert str(built.python.prefix) not in output, (way, output)


@each_mode
@each_project
def test_its_bill_of_materials_is_valid_and_whole(
    build: Callable[..., Built], name: str, mode: str
) -> None:
    """It lists every distribution and library of the manifest, and fits the standard's schema."""
    for archive in build(name, mode).archives:
        checked_sbom(archive)


@each_mode
def test_the_service_works_elsewhere(
    build: Callable[..., Built], mode: str, tmp_path: Path
) -> None:
    """Compiled modules, child processes, data files and all launchers work."""
    built = build("service", mode)
    root = built.unpack(tmp_path / "Ünpacked here")

    def ask(command: str, *arguments: str) -> str:
        words = [str(root / "bin" / command), *arguments]
        done = hiding.run_hidden(words, hide=built.originals, env=BARE)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    facts = json.loads(ask("service-admin"))
    assert facts["prefix"] == facts["child"] == str(root)
    assert facts["executable"] == str(root / "bin/python")
    assert facts["doubled"] == [42]
    assert facts["config"] == 'greeting = "configured"'
    if mode == "bundled":
        assert facts["foreign"] == []
        assert facts["libpython"] == [str(root / f"lib/libpython{built.python.minor}.so.1.0")]
    assert ask("service-api", "2", "<b>") == "2 &lt;b&gt; markupsafe._speedups"
    assert ask("service-panel") == "panel"


@each_mode
def test_a_development_environment_gives_a_correct_archive(
    build: Callable[..., Built], mode: str, tmp_path: Path
) -> None:
    """In every format the project comes from its wheel, is not editable, and the tools run."""
    built = build("dev-env", mode)
    assert [archive.name.partition(".tar")[2] or archive.suffix for archive in built.archives] == [
        ".zst",
        ".zip",
    ]
    for archive in built.archives:
        root = built.unpack(tmp_path / archive.suffix, archive)
        site = root / f"lib/python{built.python.minor}/site-packages"
        assert (site / "devtool/__init__.py").is_file()
        assert list(site.glob("*editable*")) == []
        for command in ("devtool", "ruff", "pytest"):
            arguments = [] if command == "devtool" else ["--version"]
            words = [str(root / "bin" / command), *arguments]
            done = hiding.run_hidden(words, hide=built.originals, env=BARE)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("python", bundlable(), ids=lambda python: python.version)
def test_every_python_found_can_be_bundled(
    build: Callable[..., Built], python: Python, tmp_path: Path
) -> None:
    """An environment of each CPython runs elsewhere, whatever Python runs the build."""
    built = build("greeter", "bundled", python)
    root = built.unpack(tmp_path / "sp ace/é")
    code = "import ssl, sqlite3, ctypes, zlib, sysconfig, sys; print(sys.version.split()[0]);"
    code += "print(sysconfig.get_config_var('LIBDIR')); print(sysconfig.get_path('purelib'))"
    for command, expected in (
        ([str(root / "bin/greet"), "you"], f"run on CPython {python.version}\nin {root}\n"),
        (
            [str(root / "bin/python"), "-c", code],
            f"{python.version}\n{root}/lib\n{root}/lib/python{python.minor}/site-packages\n",
        ),
    ):
        done = hiding.run_hidden(command, hide=built.originals, env=BARE)
        assert done.stdout.endswith(expected), done.stdout + done.stderr


def test_installers_work_where_it_was_unpacked(build: Callable[..., Built], tmp_path: Path) -> None:
    """pip finds every file, replaces a distribution and removes the project with its launcher."""
    built = build("greeter", "bundled")
    root = built.unpack(tmp_path / "here")
    site = root / f"lib/python{built.python.minor}/site-packages"
    code = (
        "from importlib.metadata import files; print(all(f.locate().exists() for f in files({!r})))"
    )
    for name in ("greeter", "humanize"):
        done = hiding.run_hidden(
            [str(root / "bin/python"), "-c", code.format(name)], hide=built.originals, env=BARE
        )
        assert done.stdout == "True\n", done.stderr
    wheel = make_wheel(
        tmp_path, {"humanize/__init__.py": b"x = 1\n"}, "humanize-99-py3-none-any.whl"
    )
    for words in (
        ["install", "--no-index", "--upgrade", str(wheel)],
        ["uninstall", "--yes", "greeter"],
    ):
        done = hiding.run_hidden([str(root / "bin/pip"), *words], hide=built.originals, env=BARE)
        assert done.returncode == 0, done.stderr
    assert [path.name for path in (site / "humanize").iterdir() if path.suffix == ".py"] == [
        "__init__.py"
    ]
    assert list(site.glob("greeter*")) == []
    assert not (root / "bin/greet").exists()


def test_the_bundles_own_library_is_loaded(build: Callable[..., Built], tmp_path: Path) -> None:
    """A foreign libpython on LD_LIBRARY_PATH is ignored: the search path comes before it."""
    built = build("service", "bundled")
    root = built.unpack(tmp_path / "here")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / f"libpython{built.python.minor}.so.1.0").write_bytes(b"no library")
    variables = {**BARE, "LD_LIBRARY_PATH": str(foreign)}
    done = hiding.run_hidden([root / "bin/service-admin"], hide=built.originals, env=variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["libpython"] == [
        str(root / f"lib/libpython{built.python.minor}.so.1.0")
    ]


def test_packages_of_the_user_stay_out(build: Callable[..., Built], tmp_path: Path) -> None:
    """A module in the user's site-packages does not shadow the bundle's."""
    built = build("greeter", "bundled")
    root = built.unpack(tmp_path / "here")
    site = tmp_path / f"home/.local/lib/python{built.python.minor}/site-packages"
    site.mkdir(parents=True)
    (site / "humanize.py").write_text("raise SystemExit('foreign')\n")
    variables = {**BARE, "HOME": str(tmp_path / "home")}
    done = hiding.run_hidden([root / "bin/greet"], hide=built.originals, env=variables)
    assert done.returncode == 0, done.stderr


@each_mode
@each_project
def test_archives_are_safe_to_unpack(
    build: Callable[..., Built], name: str, mode: str, tmp_path: Path
) -> None:
    """The `data` filter accepts every tar; no name and no link leaves the install target."""
    built = build(name, mode)
    for archive in built.archives:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                names = zipped.namelist()
        else:
            run_tar = _decompressed(archive, tmp_path)
            with tarfile.open(run_tar) as tar:
                extract(tar, tmp_path / f"data{archive.suffix}")
                members = tar.getmembers()
            names = [member.name for member in members]
            top = names[0]
            for member in members:
                if member.issym():
                    text = os.path.join(os.path.dirname(member.name), member.linkname)
                    assert os.path.normpath(text).startswith(f"{top}/"), member.name
                assert member.isreg() or member.isdir() or member.issym()
        assert len(set(names)) == len(names)
        assert all(n.split("/")[0] == names[0].rstrip("/") and ".." not in n for n in names)


def _decompressed(archive: Path, folder: Path) -> Path:
    if archive.suffix != ".zst":
        return archive
    from backports import zstd

    plain = folder / "plain.tar"
    plain.write_bytes(zstd.decompress(archive.read_bytes()))
    return plain


@each_mode
@each_project
def test_the_originals_are_only_read(build: Callable[..., Built], name: str, mode: str) -> None:
    """Names, modes, times, bytes, links and link counts of environment and base are unchanged."""
    assert build(name, mode).untouched


@each_mode
@each_project
def test_nothing_names_the_build_machine(
    build: Callable[..., Built], name: str, mode: str, tmp_path: Path
) -> None:
    """No file of the archive contains the path of the project's folder."""
    built = build(name, mode)
    root = built.unpack(tmp_path / "here")
    wanted = str(built.project).encode()
    found = [p for p in root.rglob("*") if p.is_file() and wanted in p.read_bytes()]
    assert found == []
