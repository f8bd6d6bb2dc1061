"""Bugs observed in other packers of environments, none of which this one has.

They are those of the packer of venvstacks 0.8.0, venv-pack2 0.9.2 and conda-pack 0.9.2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.archives import members, open_tar
from support.environments import install, make_environment, run, tool
from support.interpreters import Python, bundlable, newest_of_each
from support.machine import needs, require
from support.trees import links_below, read, tree_state

from hatch_pack_venv import (
    CompressionFormat,
    PackOptions,
    PackVenvError,
    convert_symlinks,
    create_archive,
    export_venv,
    pack,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [needs("namespaces"), pytest.mark.network]
BARE: Final = {"PATH": "/usr/bin:/bin"}
FORMATS = [each for each in CompressionFormat if not each.runs_where_it_is]
every_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
LIMIT: Final = datetime(2020, 2, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def python() -> Python:
    """Return the newest CPython that environments may have."""
    return newest_of_each()[-1]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, python: Python) -> Path:
    """Make a plain environment with one package, and with venv's own activation scripts."""
    folder = tmp_path_factory.mktemp("plain")
    env = make_environment(folder / "env", python, by="venv --without-pip")
    install(env, "humanize")
    return env


@pytest.fixture
def env(template: Path, tmp_path: Path) -> Path:
    """Copy the environment for one test; its name becomes the archive's top folder."""
    shutil.copytree(template, tmp_path / "made/env", symlinks=True)
    return tmp_path / "made/env"


@pytest.fixture
def other_device() -> Iterator[Path]:
    """Yield a folder on another file system."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def seed_archive(env: Path, format: CompressionFormat, name: str = "app") -> Path:
    base = env.parents[1] / "out" / name
    return create_archive(env, base, show_progress=False, format=format, clamp_mtime=LIMIT)


def plugin_archive(env: Path, format: CompressionFormat, name: str = "app") -> Path:
    # A tar's suffix is its name in the configuration.
    options = PackOptions.from_mapping(
        {"interpreter": "target", "format": format.suffix.removeprefix(".")}
    )
    (result,) = pack(env, env.parents[1] / "out" / name, options)
    return result.path


every_door = pytest.mark.parametrize("door", [seed_archive, plugin_archive])


def lost_links(env: Path, change: Callable[[], object]) -> set[str]:
    """Return the names of links that a change has removed."""
    names = set(links_below(env))
    with suppress(PackVenvError):
        change()
    return {name for name in names if not os.path.lexists(env / name)}


def test_a_link_to_a_folder_outside_is_not_lost(env: Path, tmp_path: Path) -> None:
    """Conversion copies the folder; theirs removes the link and fails with PermissionError."""
    (tmp_path / "cache/pkg").mkdir(parents=True)
    (tmp_path / "cache/pkg/mod.py").write_text("VALUE = 1\n")
    (env / "pkg").symlink_to(tmp_path / "cache/pkg")
    assert lost_links(env, lambda: convert_symlinks(env)) == set()
    assert read(env / "pkg") == {"mod.py": b"VALUE = 1\n"}


def test_a_link_to_another_device_is_not_lost(env: Path, other_device: Path) -> None:
    """It becomes a copy; theirs removes the link and fails with EXDEV."""
    assert other_device.stat().st_dev != env.stat().st_dev
    (other_device / "f").write_text("far")
    (env / "far").symlink_to(other_device / "f")
    assert lost_links(env, lambda: convert_symlinks(env)) == set()
    assert (env / "far").read_text() == "far"
    assert not (env / "far").is_symlink()


def test_a_dangling_link_is_not_lost(env: Path) -> None:
    """The error names it and the link stays; theirs removes it and fails."""
    (env / "gone").symlink_to("/nowhere/at/all")
    with pytest.raises(PackVenvError, match=r"env/gone leads nowhere \(/nowhere/at/all\)"):
        convert_symlinks(env)
    assert os.readlink(env / "gone") == "/nowhere/at/all"


@every_door
def test_what_leaves_by_dots_is_outside(
    env: Path, tmp_path: Path, door: Callable[..., Path]
) -> None:
    """A target full of `..` is resolved; theirs counts it as inside and packs it dangling."""
    (tmp_path / "extdir").mkdir()
    (tmp_path / "extdir/f.py").write_text("outside\n")
    site = next(env.glob("lib/python*/site-packages"))
    (site / "f.py").symlink_to("../../../../../extdir/f.py")
    assert (site / "f.py").read_text() == "outside\n"
    if door is plugin_archive:
        arcname = f"env/{site.relative_to(env)}/f.py"
        assert members(door(env, CompressionFormat.GZIP))[arcname].content == b"outside\n"
    (link,) = (pair for pair in convert_symlinks(env)[1] if pair[0].name == "f.py")
    assert link == (site / "f.py", tmp_path / "extdir/f.py")
    assert not (site / "f.py").is_symlink()


@every_format
@every_door
def test_every_format_works(
    env: Path, format: CompressionFormat, door: Callable[..., Path]
) -> None:
    """Not only the platform's own works; theirs ends in an AssertionError for all others."""
    path = door(env, format)
    assert path.name == f"app{format.suffix}"
    assert any(name.endswith("humanize/__init__.py") for name in members(path))


@every_format
@every_door
def test_archives_are_stable(
    env: Path, format: CompressionFormat, door: Callable[..., Path]
) -> None:
    """Each format, including gzip, gives the same bytes twice, even under another umask.

    Only the seed API keeps the modes of the environment itself, to which it adds no bits.
    """
    first = door(env, format).read_bytes()
    mask = os.umask(0o077)
    try:
        copied = env.parents[1] / "another place/env"
        copied.parent.mkdir()
        kept = ["--preserve=mode"] if door is seed_archive else []
        run("cp", "-r", *kept, env, copied)
        assert (copied / "lib").stat().st_mode & 0o077 == (0o055 if kept else 0)
        second = door(copied, format, "app2").read_bytes()
    finally:
        os.umask(mask)
    assert first == second
    assert door(env, format, "app3").read_bytes() == first


@pytest.mark.parametrize("format", [f for f in FORMATS if f.is_tar_format], ids=lambda f: f.name)
@every_door
def test_shared_inodes_are_no_hard_link_members(
    env: Path, format: CompressionFormat, door: Callable[..., Path]
) -> None:
    """Two names of one file are two files; in theirs it depends on the installer."""
    alone = {name: each.content for name, each in members(door(env, format)).items()}
    (env / "one").write_text("shared")
    (env / "two").hardlink_to(env / "one")
    with open_tar(door(env, format)) as tar:
        assert not [info for info in tar.getmembers() if info.type == tarfile.LNKTYPE]
    found = members(door(env, format))
    assert found["env/one"].content == found["env/two"].content == b"shared"
    assert alone.keys() | {"env/one", "env/two"} == found.keys()


@pytest.mark.parametrize("format", [CompressionFormat.XZ, CompressionFormat.ZIP])
def test_standalone_use_on_a_plain_environment(
    env: Path, tmp_path: Path, python: Python, format: CompressionFormat
) -> None:
    """The injected script connects it with the original hidden; theirs needs its own metadata."""
    require("unzip" if format is CompressionFormat.ZIP else "xz")
    archive = seed_archive(env, format)
    place = tmp_path / "some where é"
    place.mkdir()
    if format is CompressionFormat.ZIP:
        run("unzip", "-q", archive, "-d", place)
    else:
        run("tar", "-xf", archive, "-C", place)
    root = place / "env"
    hidden = [env.parent]
    script = [python.path, root / "postinstall.py"]
    done = hiding.run_hidden(script, hide=hidden, env=BARE)
    assert done.returncode == 0, done.stderr
    code = "import sys, humanize; print(sys.prefix, humanize.naturalsize(10**6))"
    done = hiding.run_hidden([root / "bin/python", "-c", code], hide=hidden, env=BARE)
    assert done.stdout == f"{root} 1.0 MB\n", done.stderr
    assert os.path.realpath(root / "bin/python") == str(python.path)


@needs("shared CPython")
def test_a_seed_archive_takes_the_targets_interpreter(env: Path, tmp_path: Path) -> None:
    """Without the build's interpreter its link dangles until the script has replaced it."""
    python = bundlable()[-1]
    assert os.path.realpath(env / "bin/python") == str(python.path)
    archive = seed_archive(env, CompressionFormat.GZIP)
    place = tmp_path / "target"
    place.mkdir()
    run("tar", "-xf", archive, "-C", place)
    root = place / "env"
    other = tmp_path / "other/python"
    ignored = shutil.ignore_patterns("test", "__pycache__", "site-packages", "config-*", "idlelib")
    shutil.copytree(python.prefix / "lib", other / "lib", symlinks=True, ignore=ignored)
    (other / "bin").mkdir()
    shutil.copy2(python.path, other / "bin")
    interpreter = other / "bin" / python.path.name
    hidden = [env.parent, python.prefix]
    env_vars = {**BARE, "LD_LIBRARY_PATH": str(other / "lib")}
    done = hiding.run_hidden(
        ["/bin/sh", "-c", f"test ! -e '{root}/bin/python'"], hide=hidden, env=BARE
    )
    assert done.returncode == 0
    done = hiding.run_hidden([interpreter, root / "postinstall.py"], hide=hidden, env=env_vars)
    assert done.returncode == 0, done.stderr
    code = "import sys, humanize; print(sys.prefix, sys.base_prefix, humanize.naturalsize(10**6))"
    done = hiding.run_hidden([root / "bin/python", "-c", code], hide=hidden, env=env_vars)
    assert done.stdout == f"{root} {other} 1.0 MB\n", done.stderr


def test_an_export_is_connected_by_the_caller(env: Path, tmp_path: Path, python: Python) -> None:
    """`run_postinstall` can start the script with the very Python that it is given."""
    target = tmp_path / "exported to"

    def connect(executable: Path, script: Path) -> None:
        assert executable == target / "bin/python"
        subprocess.run([executable, "-I", script, "--no-compile"], check=True, env=BARE)

    export_venv(env, target, connect)
    code = "import sys, humanize; print(sys.prefix, sys.base_prefix)"
    done = hiding.run_hidden([target / "bin/python", "-c", code], hide=[env.parent], env=BARE)
    assert done.stdout == f"{target} {python.prefix}\n", done.stderr


def test_conversion_then_packing(env: Path, tmp_path: Path, python: Python) -> None:
    """An environment whose interpreter became a hard link is packed and connected like others."""
    convert_symlinks(env)
    assert not [text for text in links_below(env).values() if text.startswith("/")]
    archive = seed_archive(env, CompressionFormat.GZIP)
    run("tar", "-xf", archive, "-C", tmp_path)
    root = tmp_path / "env"
    hidden = [env.parent]
    done = hiding.run_hidden([python.path, root / "postinstall.py"], hide=hidden, env=BARE)
    assert done.returncode == 0, done.stderr
    done = hiding.run_hidden([root / "bin/python", "-c", "import humanize"], hide=hidden, env=BARE)
    assert done.returncode == 0, done.stderr


@every_format
def test_packing_changes_no_time_through_hard_links(
    env: Path, tmp_path: Path, format: CompressionFormat, python: Python
) -> None:
    """Not even the times of a hard-linked interpreter change; theirs changes them for zip files."""
    other = tmp_path / "cache"
    other.mkdir()
    (other / "late").write_text("late")
    os.utime(other / "late", (4e9, 4e9))
    (env / "late").hardlink_to(other / "late")
    (env / "linked").symlink_to(other / "late")
    convert_symlinks(env)
    roots = [env, other, python.prefix / "bin"]
    before = [tree_state(root) for root in roots]
    seed_archive(env, format)
    plugin_archive(env, format)
    export_venv(env, tmp_path / "exported")
    assert [tree_state(root) for root in roots] == before


@every_format
@every_door
def test_no_names_differ_by_case_only(
    env: Path, format: CompressionFormat, door: Callable[..., Path]
) -> None:
    """`activate.ps1` and `Activate.ps1` are never both packed: one would hide the other."""
    (env / "bin/activate.ps1").write_text("# as virtualenv and uv name it\n")
    (env / "bin/Activate.ps1").write_text("# as venv names it\n")
    names = [name.lower() for name in members(door(env, format))]
    assert len(names) == len(set(names))


@every_format
@every_door
def test_owner_names_and_modes_are_normal(
    env: Path, format: CompressionFormat, door: Callable[..., Path]
) -> None:
    """No entry has an owner, a mode other than 755 or 644, or a time of the disk.

    The seed API removes mode bits and adds none.
    """
    path = env / "odd"
    path.write_text("odd")
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    path.chmod(0o6777)
    (env / "lib").chmod(0o2770)
    found = members(door(env, format))
    assert {each.owner for each in found.values()} == {(0, 0, "", "")}
    assert found["env/odd"].mode == 0o755
    assert {each.mode for each in found.values() if each.kind == "file"} == {0o755, 0o644}
    assert found["env/lib"].mode == (0o750 if door is seed_archive else 0o755)
    folders = {
        each.mode for name, each in found.items() if each.kind == "folder" and name != "env/lib"
    }
    assert folders == {0o755}
    assert max(each.mtime for each in found.values()) <= LIMIT.timestamp()


def test_relocatable_uv_environments(tmp_path: Path, python: Python) -> None:
    """They have no absolute links, no `pyvenv.cfg` and no build path, and the same bytes twice."""
    env = tmp_path / "made/env"
    run(tool("uv"), "venv", "--quiet", "--relocatable", "--python", python.path, env)
    archives = [plugin_archive(env, CompressionFormat.GZIP, name) for name in ("app", "again")]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    found = members(archives[0])
    assert not [each.link for each in found.values() if each.link.startswith("/")]
    assert "env/pyvenv.cfg" not in found
    assert not [name for name, each in found.items() if str(env).encode() in each.content]


def test_uvs_links_into_its_cache_need_no_cache(tmp_path: Path, python: Python) -> None:
    """With `--link-mode=symlink` every file is a link; the archive runs without the cache."""
    env, cache = tmp_path / "made/env", tmp_path / "cache"
    make_environment(env, python, by="uv")
    variables = {**os.environ, "UV_CACHE_DIR": str(cache)}
    install(env, "--link-mode=symlink", "humanize", "markupsafe", variables=variables)
    assert len([t for t in links_below(env).values() if t.startswith(str(cache))]) > 20
    before = [tree_state(env), tree_state(cache)]
    archive = plugin_archive(env, CompressionFormat.GZIP)
    assert [tree_state(env), tree_state(cache)] == before
    run("tar", "-xf", archive, "-C", tmp_path)
    root = tmp_path / "env"
    hidden = [env.parent, cache]
    assert not [text for text in links_below(root).values() if text.startswith("/")]
    done = hiding.run_hidden([python.path, root / "postinstall.py"], hide=hidden, env=BARE)
    assert done.returncode == 0, done.stderr
    code = "import humanize, markupsafe._speedups, importlib.metadata as m"
    code += "\nfor name in ('humanize', 'markupsafe'):"
    code += "\n    files = [f for f in m.files(name) if '__pycache__' not in str(f)]"
    code += "\n    assert files and all(f.locate().is_file() for f in files), files"
    code += "\n    for f in files:"
    code += "\n        assert f.hash is None or f.size == f.locate().stat().st_size, f"
    done = hiding.run_hidden([root / "bin/python", "-c", code], hide=hidden, env=BARE)
    assert done.returncode == 0, done.stderr
    # In place as well: after conversion the cache can be removed.
    convert_symlinks(env)
    assert not [text for text in links_below(env).values() if text.startswith("/")]
    code = "import humanize, markupsafe._speedups"
    done = hiding.run_hidden([env / "bin/python", "-c", code], hide=[cache], env=BARE)
    assert done.returncode == 0, done.stderr
