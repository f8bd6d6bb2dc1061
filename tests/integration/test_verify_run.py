"""`verify --run`: what anybody may have written into archives and the files beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.environments import install, make_environment
from support.interpreters import newest_of_each
from support.machine import needs
from support.trees import make_wheel

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.api import proof as api_proof
from hatch_pack_venv.model.manifest import ARCNAME, own_digest, render
from hatch_pack_venv.model.proof import ProofError
from hatch_pack_venv.model.results import NO_REPORTS
from hatch_pack_venv.prove import runner
from hatch_pack_venv.prove.proving import unpacked
from hatch_pack_venv.prove.runner import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.interpreters import Python

pytestmark = [pytest.mark.network, needs("namespaces")]


@pytest.fixture(scope="module")
def interpreter() -> Python:
    """Return the newest CPython found."""
    return newest_of_each()[-1]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, interpreter: Python) -> Path:
    """Make an environment with one project."""
    folder = tmp_path_factory.mktemp("run")
    path = make_environment(folder / "my-app", interpreter, by="uv")
    files = {
        "my_app.py": b"def main():\n    print('here')\n",
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
    }
    install(path, make_wheel(folder, files))
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    (tmp_path / "home").mkdir()


def packed(prefix: Path, out: Path, **table: Any) -> Path:
    options = {"interpreter": "target", "format": "tar", "prove": "none", **table}
    return pack(prefix, out / "app", PackOptions.from_mapping(options))[0].path


def run_again(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatch_pack_venv", "verify", "--run", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environ}
    )


def test_what_lies_beside_an_archive_opens_no_room(
    template: Path, tmp_path: Path, interpreter: Python
) -> None:
    """Its commands run in a room, unable to write outside, unless `--prove-room none` is given."""
    archive = packed(template, tmp_path)
    beside = tmp_path / "app.tar.json"
    mark = tmp_path / "written"
    facts = json.loads(beside.read_text())
    facts["proof"] = {"prove": [f"touch {mark}"], "room": "none"}
    beside.write_text(json.dumps(facts))
    path = f"{interpreter.path.parent}:{os.environ['PATH']}"
    assert run_again(archive, PATH=path).returncode == 1  # that folder does not exist in the room
    assert not mark.exists()
    done = run_again(archive, "--prove-room", "none", PATH=path)
    assert done.returncode == 0, done.stderr
    assert mark.exists()


@pytest.mark.parametrize("room", ["hidden", "bare"])
def test_an_interpreter_in_the_home_is_seen(
    template: Path, tmp_path: Path, interpreter: Python, room: str
) -> None:
    """pyenv and uv keep theirs there, behind scripts that choose one; all else is hidden."""
    archive = packed(template, tmp_path)
    real = Path(os.path.realpath(interpreter.path))
    home = real.parents[2]
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / f"python{interpreter.minor}"
    shim.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n')
    shim.chmod(0o755)
    path = f"{shims}:{os.environ['PATH']}"
    done = run_again(archive, "--prove-room", room, HOME=str(home), PATH=path)
    assert done.returncode == 0, done.stderr
    assert "  ran      the interpreter, 1 module, 1 entry point" in done.stdout


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("platform", "system"), None),
        (("interpreter",), None),
        (("python", "version"), None),
        (("neighbours",), {"base_runtime": {"path": "../base", "distributions": []}}),
        (("layout", "site_packages"), ["lib/nowhere"]),
        (("layout", "site_packages"), ["/etc"]),
        (("layout", "site_packages"), ["lib\0"]),
        (("layout", "site_packages"), ["postinstall.py"]),
    ],
)
def test_a_manifest_that_tells_too_little_is_told(
    template: Path, tmp_path: Path, where: Sequence[str], value: Any
) -> None:
    """For an unpacked folder whose manifest was changed, there is one sentence."""
    archive = packed(template, tmp_path)
    shutil.unpack_archive(archive, tmp_path, filter="fully_trusted")
    (folder,) = tmp_path.glob("my-app*")
    manifest = json.loads((folder / ARCNAME).read_text())
    table = manifest
    for name in where[:-1]:
        table = table[name]
    if value is None:
        del table[where[-1]]
    else:
        table[where[-1]] = value
    del manifest["manifest_sha256"]
    content = render({**manifest, "manifest_sha256": own_digest(manifest)})
    (folder / ARCNAME).write_bytes(content)
    done = run_again(folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert "its manifest does not record what can be run" in line


def test_the_seconds_have_the_unpacking_in_them(
    template: Path, tmp_path: Path, interpreter: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reported seconds include unpacking, which takes most of the time for a large archive."""

    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(3)
        return unpacked(*args, **options)

    archive = packed(template, tmp_path)
    monkeypatch.setattr(api_proof, "unpacked", slowly)
    monkeypatch.setenv("PATH", f"{interpreter.path.parent}:{os.environ['PATH']}")
    found, proof = api_proof.run_again(archive, None, NO_REPORTS)
    assert found.is_whole
    assert proof is not None
    assert proof.seconds > 3


def test_a_script_that_hangs_has_not_run(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If postinstall.py does not finish, the proof fails."""
    run = runner.Runner.run

    def hanging(self: runner.Runner, words: Sequence[str]) -> Ended:
        if not any(word.endswith("postinstall.py") for word in words):
            return run(self, words)
        return Ended(status=None, output="", answered=b"", seconds=60.0)

    monkeypatch.setattr(runner.Runner, "run", hanging)
    with pytest.raises(ProofError) as caught:
        packed(template, tmp_path, prove="start")
    assert caught.value.problems == ("postinstall.py did not finish within 60 s: ",)


def test_systems_that_know_less_of_file_systems(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proofs work without ST_NOEXEC, which only Linux has, and without statvfs, as on Windows."""
    monkeypatch.delattr(os, "ST_NOEXEC")
    assert api_proof._can_run(tmp_path)
    monkeypatch.delattr(os, "statvfs")
    assert api_proof._can_run(tmp_path)
    assert packed(template, tmp_path, prove="start").is_file()


def test_any_number_of_entry_points(tmp_path: Path, interpreter: Python) -> None:
    """There may be too many for one argument of a process; an unreadable file counts as empty."""
    prefix = make_environment(tmp_path / "my-app", interpreter, by="uv")
    long = "one_of_many_functions_whose_names_say_at_length_what_they_do"
    points = "".join(f"point-{n} = many:{long}\n" for n in range(3000))  # 220 kB of questions
    files = {
        "many.py": f"def {long}():\n    pass\n".encode(),
        "many-1.0.dist-info/entry_points.txt": f"[x]\n{points}".encode(),
    }
    install(prefix, make_wheel(tmp_path, files, "many-1.0-py3-none-any.whl"))
    install(prefix, make_wheel(tmp_path, {"odd.py": b""}, "odd-1.0-py3-none-any.whl"))
    (metadata,) = prefix.glob("lib/python*/site-packages/odd-1.0.dist-info")
    (metadata / "entry_points.txt").write_bytes(b"[x]\n# caf\xe9\nno equals sign\n")
    options = PackOptions.from_mapping({"interpreter": "target", "format": "tar", "prove": "all"})
    (result,) = pack(prefix, tmp_path / "app", options)
    assert result.proof is not None
    counts = {each.kind: each.ran for each in result.proof.counts}
    assert counts == {"interpreter": 1, "module": 2, "entry point": 3000}
