"""Every kind of link that was found in environments: converted in place, and packed in each way.

The content of each target is read first; it must be found again afterwards, elsewhere, with
everything outside hidden. A link that does not allow this is refused by name, and nothing changes.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.fakes import SITE
from support.machine import needs
from support.trees import Scene, links_below, read, tree_state

from hatch_pack_venv import PackVenvError, convert_symlinks
from hatch_pack_venv.model.errors import LinkError, ProblemList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


LINK: Final = "data/link"


FILE, TREE = "file", "tree"


LOOP: Final = "leads to a folder that contains it"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A link, and what becomes of it.

    Parameters:
        make: makes the link, and what it leads to.
        text: the link's text after conversion or packing; `None` if it leads outside.
        outside: for links that lead outside, whether a file or a whole folder replaces them.
        refused: part of the error for a link that can be neither converted nor packed.
        no_copy: part of the error if formats without links cannot contain its target.
        look: the path to read below a link to a folder that contains more.
        packed_text: the text of a link that is packed as one, since its target is packed as a copy.
    """

    name: str
    make: Callable[[Scene], object]
    link: str = LINK
    text: str | None = None
    outside: str = ""
    refused: str = ""
    no_copy: str = ""
    look: str = "."
    packed_text: str | None = None


def inside(name: str, text: str, make: Callable[[Scene], object], **more: str) -> Case:
    return Case(name=name, make=make, text=text, **more)


def outside(name: str, make: Callable[[Scene], object], kind: str = FILE, **more: str) -> Case:
    return Case(name=name, make=make, outside=kind, **more)


def refused(name: str, reason: str, make: Callable[[Scene], object], **more: str) -> Case:
    return Case(name=name, make=make, refused=reason, **more)


def alias(scene: Scene) -> None:
    (scene.root / "alias").symlink_to("env")
    scene.link(LINK, scene.root / "alias/data/f")


def chain(scene: Scene, end: str | Path) -> None:
    scene.link("data/second", end)
    scene.link(LINK, scene.env / "data/second")


def outer(scene: Scene, end: Path) -> None:
    (scene.out / "back").symlink_to(end)
    scene.link(LINK, scene.out / "back")


def fifo(scene: Scene, path: Path) -> None:
    os.mkfifo(path)
    scene.link(LINK, path)


def within_folder(scene: Scene, text: str | Path) -> None:
    (scene.out / "d/inner").symlink_to(text)
    scene.link(LINK, scene.out / "d")


def through_folder(scene: Scene, text: str) -> None:
    scene.link("data/d", scene.out / "d")
    scene.link(LINK, text)


def other_owner(scene: Scene) -> None:
    if os.geteuid() == 0:
        os.chown(scene.out / "f", 12345, 12345)
    scene.link(LINK, scene.out / "f")


CASES = [
    inside("absolute to a file", "f", lambda s: s.link(LINK, s.env / "data/f")),
    inside("relative to a file", "f", lambda s: s.link(LINK, "f")),
    inside("absolute to a folder", "sub", lambda s: s.link(LINK, s.env / "data/sub")),
    inside("relative to a folder", "sub", lambda s: s.link(LINK, "sub")),
    inside("relative upwards", f"../{SITE}/pkg.py", lambda s: s.link(LINK, f"../{SITE}/pkg.py")),
    inside("lib64", "lib", lambda s: s.link("lib64", "lib"), link="lib64"),
    inside("absolute lib64", "lib", lambda s: s.link("lib64", s.env / "lib"), link="lib64"),
    inside(
        "through lib64",
        f"../{SITE}/pkg.py",
        lambda s: s.link(LINK, f"../lib64/{SITE.removeprefix('lib/')}/pkg.py"),
    ),
    inside("chain", "second", lambda s: chain(s, s.env / "data/f")),
    inside("chain that ends outside", "second", lambda s: chain(s, s.out / "f")),
    inside("chain to a folder outside", "second", lambda s: chain(s, s.out / "d")),
    outside("sibling with the same prefix", lambda s: s.link(LINK, s.root / "env2/f")),
    inside("doubled slashes", "f", lambda s: s.link(LINK, f"{s.env}//data//f")),
    inside("another spelling of the root", "f", alias),
    inside("out and back in", "f", lambda s: s.link(LINK, "../../env/data/f")),
    inside("through a link outside", "f", lambda s: outer(s, s.env / "data/f")),
    outside("file outside", lambda s: s.link(LINK, s.out / "f")),
    outside("folder outside", lambda s: s.link(LINK, s.out / "d"), TREE),
    outside("folder outside with links", lambda s: within_folder(s, s.root / "f"), TREE),
    outside("relative, leaving", lambda s: s.link(LINK, "../../out/f")),
    outside("leaving by dots", lambda s: s.link(LINK, s.env / "../out/f")),
    outside("file in a folder outside", lambda s: through_folder(s, "d/f"), packed_text="d/f"),
    outside("beside a folder outside", lambda s: through_folder(s, "d/../f")),
    outside("somebody else's", other_owner),
    inside("the root itself", "..", lambda s: s.link(LINK, s.env), look="data/sub", no_copy=LOOP),
    inside("its own folder", ".", lambda s: s.link(LINK, "."), look="sub", no_copy=LOOP),
    refused("the folder above", "contains the env", lambda s: s.link("link", ".."), link="link"),
    refused("the root's root", "contains the env", lambda s: s.link(LINK, "/")),
    refused("dangling outside", "leads nowhere", lambda s: s.link(LINK, s.out / "none")),
    refused("loop of one", "is part of a link loop", lambda s: s.link(LINK, "link")),
    refused("loop of two", "is part of a link loop", lambda s: chain(s, "link")),
    refused("loop through outside", "is part of a link loop", lambda s: outer(s, s.env / LINK)),
    refused("device", "leads to a device", lambda s: s.link(LINK, "/dev/null")),
    refused("FIFO outside", "leads to a device, FIFO", lambda s: fifo(s, s.out / "p")),
    refused("dangling in a folder outside", "cannot be read", lambda s: within_folder(s, "none")),
    refused("loop in a folder outside", "leads back to", lambda s: within_folder(s, "../d")),
    refused("device in a folder outside", "a device", lambda s: within_folder(s, "/dev/null")),
    refused("environment in a folder outside", "back", lambda s: within_folder(s, s.env / "data")),
]


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


accepted = pytest.mark.parametrize(
    "case", [c for c in CASES if not c.refused], ids=lambda case: case.name
)


def problems_of(call: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ProblemList) as caught:
        call()
    return caught.value.problems


@every_case
def test_converted_in_place(scene: Scene, case: Case) -> None:
    """It leads to the same content when all is moved and hidden, or is refused and untouched."""
    case.make(scene)
    link = scene.env / case.link
    if case.refused:
        before = tree_state(scene.root)
        problems = problems_of(lambda: convert_symlinks(scene.env))
        assert any(str(link) in each and case.refused in each for each in problems)
        assert tree_state(scene.root) == before
        return
    content, old, real = read(link / case.look), os.readlink(link), os.path.realpath(link)
    relative, external = map(dict, convert_symlinks(scene.env))
    assert not [name for name in os.listdir(scene.env) if name.startswith(".pack-venv")]
    if case.outside:
        assert external[link] == Path(real)
        assert not link.is_symlink()
        assert link not in relative
    else:
        assert os.readlink(link) == case.text
        assert relative.get(link) == (None if old == case.text else Path(case.text or ""))
        assert link not in external
    moved = scene.move_env()
    assert read(moved / case.link / case.look) == content


HARMLESS: Final = {
    "inside": ("none", "none"),
    "inside, absolute": ("{env}/data/none", "none"),
    "inside, roundabout": ("../data/none", "none"),
    "a neighbour": ("../../later/bin/python", "../../later/bin/python"),
}
harmless = pytest.mark.parametrize(("text", "becomes"), HARMLESS.values(), ids=HARMLESS)


@harmless
def test_a_link_to_what_comes_later_is_kept(scene: Scene, text: str, becomes: str) -> None:
    """Conversion and the seed API's tars keep it, as a relative link; zip files leave it out."""
    scene.link(LINK, text.format(env=scene.env))
    unpacked = scene.unpack(scene.pack("tar", external_links=True))
    assert os.readlink(unpacked / LINK) == becomes
    relative, external = convert_symlinks(scene.env)
    assert os.readlink(scene.env / LINK) == becomes
    assert dict(relative).get(scene.env / LINK) == (None if text == becomes else Path(becomes))
    assert scene.env / LINK not in dict(external)
    shutil.rmtree(unpacked.parent)
    assert LINK not in links_below(scene.unpack(scene.pack("zip", external_links=True)))


@harmless
def test_the_hooks_archives_hold_no_link_that_leads_nowhere(
    scene: Scene, text: str, becomes: str
) -> None:
    """The target would be missing after unpacking, so the link is an error."""
    scene.link(LINK, text.format(env=scene.env))
    (problem,) = problems_of(lambda: scene.pack("tar", external_links=False))
    assert f"{LINK} leads nowhere ({becomes})" in problem


@pytest.mark.parametrize("text", ["../../../elsewhere/f", "{root}/later/f"])
def test_a_link_to_nowhere_else_is_refused(scene: Scene, text: str) -> None:
    """If it leads neither inside nor to a neighbour, or is absolute, it can never become valid."""
    scene.link(LINK, text.format(root=scene.root))
    before = tree_state(scene.root)
    for call in (
        lambda: convert_symlinks(scene.env),
        lambda: scene.pack("tar", external_links=True),
    ):
        (problem,) = problems_of(call)
        assert f"{LINK} leads nowhere" in problem
    assert tree_state(scene.root) == before


def test_an_interpreter_may_be_elsewhere(scene: Scene) -> None:
    """The seed API keeps the link to the interpreter, whatever its target."""
    scene.link("bin/python3", "/of/another/machine/python3")
    unpacked = scene.unpack(scene.pack("tar", external_links=True))
    assert os.readlink(unpacked / "bin/python3") == "/of/another/machine/python3"


@accepted
def test_a_second_time_there_is_nothing_to_convert(scene: Scene, case: Case) -> None:
    """A converted environment is not changed again."""
    case.make(scene)
    convert_symlinks(scene.env)
    before = tree_state(scene.env)
    assert convert_symlinks(scene.env) == ([], [])
    assert tree_state(scene.env) == before


@pytest.mark.parametrize("format", ["tar", "zip"])
@every_case
def test_packed(scene: Scene, case: Case, format: str) -> None:
    """The hook's archives contain the target, through links that stay inside or as a copy."""
    case.make(scene)
    before = tree_state(scene.env)
    reason = case.refused or (case.no_copy if format == "zip" else "")
    if reason:
        problems = problems_of(lambda: scene.pack(format, external_links=False))
        assert any(case.link in each and reason in each for each in problems)
        assert not (scene.root / "packed").exists()
        return
    content = read(scene.env / case.link / case.look)
    unpacked = scene.unpack(scene.pack(format, external_links=False))
    assert tree_state(scene.env) == before
    scene.hide()
    links = links_below(unpacked)
    assert all(
        Path(os.path.realpath(unpacked / name)).is_relative_to(unpacked) for name in links
    ), links
    if format == "zip":
        assert links == {}
    else:
        assert links.get(case.link) == (case.text or case.packed_text)
    if format == "zip" and case.link == "lib64":
        assert not (unpacked / "lib64").exists()
    else:
        assert read(unpacked / case.link / case.look) == content


@every_case
def test_packed_with_external_links(scene: Scene, case: Case) -> None:
    """The seed API's tars keep links to the outside; links inside need nothing outside."""
    case.make(scene)
    if case.refused and "in a folder outside" not in case.name:
        problems = problems_of(lambda: scene.pack("tar", external_links=True))
        assert any(case.link in each and case.refused in each for each in problems)
        return
    unpacked = scene.unpack(scene.pack("tar", external_links=True))
    if case.outside or case.refused:
        assert os.readlink(unpacked / case.link) == os.readlink(scene.env / case.link)
        return
    content = read(scene.env / case.link / case.look)
    if "outside" not in case.name:
        scene.hide()
    assert links_below(unpacked)[case.link] == case.text
    assert read(unpacked / case.link / case.look) == content


@every_case
def test_packed_with_external_links_by_a_format_without(scene: Scene, case: Case) -> None:
    """The seed API's zip files hold copies of everything, the interpreter's file too."""
    case.make(scene)
    reason = case.refused or case.no_copy
    if reason:
        problems = problems_of(lambda: scene.pack("zip", external_links=True))
        assert any(case.link in each and reason in each for each in problems)
        assert not (scene.root / "packed").exists()
        return
    content = read(scene.env / case.link / case.look)
    unpacked = scene.unpack(scene.pack("zip", external_links=True))
    scene.hide()
    assert links_below(unpacked) == {}
    assert read(unpacked / "bin/python") == b"\x7fELF interpreter"
    if case.link != "lib64":
        assert read(unpacked / case.link / case.look) == content


def test_a_file_outside_becomes_a_hard_link(scene: Scene) -> None:
    """On the same device and of the same owner the inode is shared, the interpreter's too."""
    link = scene.link(LINK, scene.out / "f")
    relative, external = convert_symlinks(scene.env)
    assert relative == []
    assert external == [
        (scene.env / "bin/python3.11", scene.root / "base/python3.11"),
        (link, scene.out / "f"),
    ]
    assert link.stat().st_ino == (scene.out / "f").stat().st_ino
    assert os.readlink(scene.env / "bin/python") == "python3.11"


def test_a_folder_outside_becomes_a_tree_of_its_own(scene: Scene) -> None:
    """The copied files are independent and keep their times and modes; the folders are writable."""
    (scene.out / "d/f").chmod(0o751)
    os.utime(scene.out / "d/f", (1e9, 1e9))
    (scene.out / "d/e").chmod(0o555)
    link = scene.link(LINK, scene.out / "d")
    convert_symlinks(scene.env)
    copy = (link / "f").stat()
    assert (copy.st_mode & 0o777, copy.st_mtime, copy.st_nlink) == (0o751, 1e9, 1)
    assert (link / "e").stat().st_mode & 0o700 == 0o700


@pytest.fixture
def other_device(tmp_path: Path) -> Iterator[Path]:
    """Provide a folder on another file system."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert Path(folder).stat().st_dev != tmp_path.stat().st_dev
        yield Path(folder)


def test_a_target_on_another_device_is_copied(scene: Scene, other_device: Path) -> None:
    """Files and folders of another file system are copied, since no hard link can reach them."""
    (other_device / "f").write_bytes(b"far f")
    (other_device / "f").chmod(0o755)
    file = scene.link(LINK, other_device / "f")
    folder = scene.link("data/folder", other_device)
    _, external = convert_symlinks(scene.env)
    assert dict(external)[file] == other_device / "f"
    assert not file.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o755
    assert read(file) == b"far f"
    assert read(folder) == {"f": b"far f"}
    assert file.stat().st_nlink == 1


def test_a_target_on_another_device_is_packed(scene: Scene, other_device: Path) -> None:
    """Archives contain files and folders from another file system."""
    (other_device / "f").write_bytes(b"far f")
    scene.link(LINK, other_device / "f")
    scene.link("data/folder", other_device)
    unpacked = scene.unpack(scene.pack("tar", external_links=False))
    assert read(unpacked / LINK) == b"far f"
    assert read(unpacked / "data/folder") == {"f": b"far f"}


@needs("root")
def test_root_does_not_link_to_somebody_elses_file(scene: Scene) -> None:
    """A file that another user may change is copied, even where a hard link would be allowed."""
    other_owner(scene)
    convert_symlinks(scene.env)
    assert (scene.env / LINK).stat().st_nlink == 1
    assert (scene.env / LINK).stat().st_uid == 0


def test_uv_like_links_into_a_cache(scene: Scene) -> None:
    """Files that are individual links (uv) follow every rule that real files follow."""
    cache = scene.root / "cache"
    cache.mkdir()
    old = str(scene.env).encode()
    for name, content in {
        f"{SITE}/own.pth": old + f"/{SITE}/vendored\n".encode(),
        f"{SITE}/mod.py": b"module",
        "bin/tool": b"#!" + old + b"/bin/python\nimport sys\n",
    }.items():
        target = cache / Path(name).name
        target.write_bytes(content)
        target.chmod(0o755)
        scene.link(name, target)
    unpacked = scene.unpack(scene.pack("tar", external_links=False))
    scene.hide()
    assert (unpacked / SITE / "own.pth").read_text() == "vendored\n"
    assert (unpacked / SITE / "mod.py").read_bytes() == b"module"
    assert (unpacked / "bin/tool").read_bytes().startswith(b"#!/bin/sh\n")
    assert old not in (unpacked / "bin/tool").read_bytes()


@pytest.mark.parametrize("external_links", [False, True])
def test_pdm_like_links_to_whole_folders(scene: Scene, external_links: bool) -> None:
    """The rules hold in folders from a cache (PDM): no bytecode, RECORD or installer's notes."""
    for name in ("pkg/mod.py", "pkg/__pycache__/mod.pyc", "pkg-1.dist-info/uv_cache.json"):
        path = scene.root / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    (scene.root / "cache/pkg-1.dist-info/METADATA").write_text("Name: pkg\nVersion: 1\n")
    for name in ("pkg", "pkg-1.dist-info"):
        scene.link(f"{SITE}/{name}", scene.root / "cache" / name)
    unpacked = scene.unpack(scene.pack("zip", external_links=external_links))
    scene.hide()
    assert read(unpacked / SITE / "pkg") == {"mod.py": b"1"}
    assert list(read(unpacked / SITE / "pkg-1.dist-info")) == ["METADATA"]


@pytest.mark.parametrize("kind", ["a FIFO", "a socket"])
def test_special_files_are_refused_by_name(scene: Scene, kind: str) -> None:
    """A file that no archive can contain is named; conversion ignores it."""
    path = scene.env / "data/special"
    if kind == "a FIFO":
        os.mkfifo(path)
    else:
        short = os.open(path.parent, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{short}/special")
        os.close(short)
    (problem,) = problems_of(lambda: scene.pack("tar", external_links=False))
    assert problem == f"data/special is {kind}: remove it or exclude it"
    convert_symlinks(scene.env)


@needs("root")
def test_devices_are_refused_by_name(scene: Scene) -> None:
    """A device in the environment is named."""
    os.mknod(scene.env / "data/null", 0o20666, os.makedev(1, 3))
    (problem,) = problems_of(lambda: scene.pack("zip", external_links=True))
    assert problem == "data/null is a device: remove it or exclude it"


def test_all_that_cannot_be_converted_is_told_at_once(scene: Scene) -> None:
    """One error lists every link; those that could be converted are untouched, too."""
    scene.link("data/a", scene.env / "data/f")
    names = ["data/b", "data/c", "lib/d"]
    for name in names:
        scene.link(name, scene.out / "none")
    before = tree_state(scene.env)
    with pytest.raises(LinkError) as caught:
        convert_symlinks(scene.env)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        str(scene.env / name) for name in names
    ]
    assert isinstance(caught.value, PackVenvError)
    assert tree_state(scene.env) == before
