"""An absolute path as interpreter: the archive runs after unpacking, on a target that has it."""

from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support import hiding
from support.environments import make_environment, run, tool
from support.interpreters import Python, newest_of_each
from support.machine import needs
from support.trees import extract, make_wheel

from hatch_pack_venv import PackOptions, PackVenvError, pack
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("namespaces")
PYTHONS = newest_of_each()
PYTHON = PYTHONS[-1]
ASK = b"""\
def main():
    import json, sys
    print(json.dumps([sys.prefix, sys.base_prefix, sys.executable, __file__]))
"""


class Made:
    """An environment, which can be packed and unpacked."""

    def __init__(self, folder: Path, python: Python) -> None:
        self.folder, self.python = folder, python
        self.environment = make_environment(folder / "env", python, by="uv")
        files = {
            "asking.py": ASK,
            "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = asking:main\n",
        }
        self.wheel = make_wheel(folder, files)

    def pack(self, interpreter: Path, name: str) -> Path:
        table = {"interpreter": str(interpreter), "format": "tar.gz", "wheels": [str(self.wheel)]}
        (result,) = pack(self.environment, self.folder / name, PackOptions.from_mapping(table))
        return result.path

    def unpack(self, archive: Path) -> Path:
        target = self.folder / f"{archive.name} unpacked"
        target.mkdir()
        run("tar", "-xf", archive, "-C", target)
        (root,) = target.iterdir()
        return root

    def answer(self, root: Path, base: Path) -> None:
        """Check that the application runs from its root, with the environment hidden."""
        command = [root / "bin/my-app"]
        done = hiding.run_hidden(command, hide=[self.environment], env={"PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr
        prefix, base_prefix, executable, file = json.loads(done.stdout)
        assert (prefix, executable) == (str(root), str(root / "bin/python"))
        assert base_prefix == str(base)
        assert file.startswith(f"{root}/lib/")


@pytest.fixture(scope="module", params=PYTHONS, ids=lambda python: python.version)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a small environment of each Python."""
    return Made(tmp_path_factory.mktemp("made"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a small environment."""
    return Made(tmp_path_factory.mktemp("one"), PYTHON)


def manifest_of(root: Path) -> dict[str, Any]:
    head: dict[str, Any] = json.loads((root / "share/venv/metadata/pack-venv.json").read_bytes())
    return head


def test_it_runs_with_no_step_and_again_after_a_move(made: Made) -> None:
    """The link leads to the promised path, and nothing else leads outside."""
    archive = made.pack(made.python.path, "app")
    root = made.unpack(archive)
    versioned = f"bin/python{made.python.minor}"
    with tarfile.open(archive) as tar:
        links = {member.name: member.linkname for member in tar if member.issym()}
    outside = {name: text for name, text in links.items() if text.startswith(("/", ".."))}
    assert outside == {f"{root.name}/{versioned}": str(made.python.path)}
    made.answer(root, made.python.prefix)
    assert verify(archive).findings == verify(root).findings == ()
    moved = root.rename(root.with_name("moved, with spaces"))
    made.answer(moved, made.python.prefix)
    assert "is connected and runs" in run(moved / "bin/python", moved / "postinstall.py", "--check")


def test_another_interpreter_can_take_its_place(one: Made, tmp_path: Path) -> None:
    """Where the promised interpreter is missing, postinstall.py connects to another."""
    fixed_path = tmp_path / "opt/bin/python"
    archive = one.pack(fixed_path, "promised")
    root = one.unpack(archive)
    done = subprocess.run([root / "bin/my-app"], capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "no interpreter beside this launcher" in done.stderr
    script = root / "postinstall.py"
    done = subprocess.run(
        [PYTHON.path, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"The interpreter '{fixed_path}' of the environment is not there" in done.stderr
    run(PYTHON.path, script, "--no-compile")
    one.answer(root, PYTHON.prefix)
    assert "connected to an interpreter" in run(tool("pack-venv"), "verify", root)


def test_a_promise_that_is_kept_later_is_enough(
    one: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An interpreter that could not be checked is reported, and serves once it exists."""
    fixed_path = tmp_path / "opt/bin/python"
    root = one.unpack(one.pack(fixed_path, "later"))
    assert f"{fixed_path} is not on this machine, so it could not be checked" in caplog.text
    assert manifest_of(root)["interpreter_path"] == str(fixed_path)
    fixed_path.parent.mkdir(parents=True)
    fixed_path.symlink_to(PYTHON.path)
    one.answer(root, PYTHON.prefix)


@needs("tarfile filters")
def test_the_data_filter_refuses_the_link(one: Made, tmp_path: Path) -> None:
    """Python's `data` filter refuses the link, and its `tar` filter accepts it."""
    archive = one.pack(PYTHON.path, "filtered")
    with tarfile.open(archive) as tar:
        with pytest.raises(tarfile.AbsoluteLinkError):
            extract(tar, tmp_path / "data")
        extract(tar, tmp_path / "tar", "tar")
    (root,) = (tmp_path / "tar").iterdir()
    one.answer(root, PYTHON.prefix)


@needs("two CPythons")
def test_an_interpreter_of_another_version_is_refused(one: Made, tmp_path: Path) -> None:
    """An existing interpreter is checked while packing; one that does not run is refused too."""
    other = next(python for python in PYTHONS if python.minor != PYTHON.minor)
    with pytest.raises(PackVenvError, match=rf"is CPython {other.minor}, but .* needs"):
        one.pack(other.path, "wrong")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(PackVenvError, match=r"promised interpreter cannot be used: .*status 3"):
        one.pack(broken, "broken")
    assert not [*one.folder.glob("wrong*"), *one.folder.glob("broken*")]


def test_a_link_that_leads_elsewhere_is_found(one: Made) -> None:
    """Only the interpreter's link may lead outside, and only to the promised path."""
    archive = one.pack(PYTHON.path, "tampered")
    told = run(tool("pack-venv"), "inspect", archive)
    assert f"promised: cpython {PYTHON.version} at {PYTHON.path}" in " ".join(told.split())
    root = one.unpack(archive)
    link = root / f"bin/python{PYTHON.minor}"
    link.unlink()
    link.symlink_to("/bin/sh")
    done = subprocess.run(
        [tool("pack-venv"), "verify", root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "points outside the environment, to '/bin/sh'" in done.stdout
    assert "instead of" in done.stdout
