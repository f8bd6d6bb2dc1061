"""What must run before an archive is released: rooms, questions, failures, and nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from support.binaries import compile_library
from support.environments import install, make_environment
from support.interpreters import newest_of_each, separate_python
from support.machine import needs, require
from support.shells import opened_in, unmeasured
from support.trees import extract, lasting_state, make_wheel

from hatch_pack_venv import PackOptions, PackResult, pack
from hatch_pack_venv.model.proof import Proof, ProofError
from hatch_pack_venv.prove import room, runner
from hatch_pack_venv.prove.room import Maker

pytestmark = [
    pytest.mark.network,
    needs("namespaces", "separate CPython"),
    pytest.mark.usefixtures("home"),
]

_APP = b"""\
import os, sys
from my_app import words

def main():
    print(words.HELLO, *sys.argv[1:])
    sys.exit(len(sys.argv) - 1)
"""
# Each behaves differently when it is imported.
_ODD = {
    "exits": "import sys; sys.exit(3)",
    "crashes": "import os; os.abort()",
    "ends": "import os; os._exit(0)",
    "prints": "print('x' * 5_000_000)",
    "reads": "import sys; assert sys.stdin.read() == ''",
    "leaves_a_thread": """
import threading, time
threading.Thread(target=time.sleep, args=[99]).start()
""",
    "leaves_a_process": "import subprocess; subprocess.Popen(['sleep', '98'])",
    "serves": "import socket; socket.create_server(('127.0.0.1', 8765))",
    "needs_a_display": "import os; os.environ['DISPLAY']",
    "writes": """
import os, pathlib, tempfile
tempfile.TemporaryFile().close()
for folder in map(os.path.dirname, (__file__, os.__file__, os.path.expanduser('~/x'))):
    try:
        pathlib.Path(folder, 'written-on-import').write_text('x')
    except OSError:
        pass
""",
}
_FAILS_AT_HOME = {"exits", "crashes", "ends", "needs_a_display"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with a project and modules that behave in odd ways."""
    folder = tmp_path_factory.mktemp("proof")
    python = separate_python()
    assert python is not None
    path = make_environment(folder / "my-app", python, by="uv")
    files = {
        "my_app/__init__.py": b"",
        "my_app/words.py": b"HELLO = 'hello'\n",
        "my_app/cli.py": _APP,
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app.cli:main\n",
    }
    install(path, make_wheel(folder, files))
    odd = {f"odd_{name}.py": text.encode() for name, text in _ODD.items()}
    install(path, make_wheel(folder, odd, "odd-1.0-py3-none-any.whl"))
    return path


@pytest.fixture
def home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make a home of its own, and caches elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
    monkeypatch.delenv("HATCH_PACK_VENV_CACHE_DIR")
    monkeypatch.setenv("DISPLAY", ":99")  # builds may have one, rooms do not
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(params=["bubblewrap", "namespaces"])
def maker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the rooms with bubblewrap or with our own namespaces."""
    if request.param == "namespaces":
        monkeypatch.setattr(shutil, "which", _without_bwrap(shutil.which))
    else:
        require("bwrap")
    room.find_maker.cache_clear()
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def _found_anew() -> Any:
    yield
    room.find_maker.cache_clear()


def _without_bwrap(which: Any) -> Any:
    return lambda name, *more, **others: None if name == "bwrap" else which(name, *more, **others)


def packed(prefix: Path, out: Path, **table: Any) -> PackResult:
    """Pack for a target's interpreter, which is unpacked fastest."""
    table = {"interpreter": "target", "format": "tar", **table}
    table = {name.replace("_", "-"): value for name, value in table.items()}
    return pack(prefix, out / "app", PackOptions.from_mapping(table))[0]


def proved(prefix: Path, out: Path, **table: Any) -> Proof:
    """Pack, and return what was proved."""
    proof = packed(prefix, out, **table).proof
    assert proof is not None
    return proof


def test_a_start_is_the_interpreter_and_the_project(
    template: Path, tmp_path: Path, maker: str
) -> None:
    """Only the project's modules and entry points are tried; the .json records the proof."""
    proof = proved(template, tmp_path, prove="start", interpreter="bundled")
    assert {count.title: count.ran for count in proof.counts} == {
        "interpreter": 1,
        "modules": 1,
        "entry points": 1,
    }
    assert (proof.room, proof.made_by) == ("hidden", maker)
    told = json.loads((tmp_path / "app.tar.json").read_text())["proof"]
    assert told == {
        "prove": "start",
        "room": "hidden",
        "ran": {"interpreter": 1, "modules": 1, "entry points": 1},
        "passed_over": [],
    }


@pytest.mark.usefixtures("maker")
def test_all_compares_with_the_environment(template: Path, tmp_path: Path, home: Path) -> None:
    """What fails in the environment too is excused; all else runs, and nothing is written."""
    base = separate_python()
    assert base is not None
    stdlib = base.prefix / f"lib/python{base.minor}"
    before = [lasting_state(each) for each in (template, home, stdlib)]
    proof = proved(template, tmp_path, prove="all")
    assert [lasting_state(each) for each in (template, home, stdlib)] == before
    over = {each.question.name for each in proof.passed_over}
    assert over == {f"odd_{name}" for name in _FAILS_AT_HOME}
    said = {each.question.name: each.said for each in proof.passed_over}
    assert said["odd_crashes"] == "the process was killed by SIGABRT"
    assert said["odd_exits"].startswith("SystemExit: 3")
    modules = next(count for count in proof.counts if count.kind == "module")
    assert (modules.ran, modules.passed_over) == (len(_ODD) + 1 - len(over), len(over))


POPULAR = ["flask", "lxml", "numpy", "pip", "pytest", "pyyaml", "requests", "rich", "setuptools"]


@pytest.fixture(scope="module")
def popular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment of popular distributions, pure and compiled."""
    folder = tmp_path_factory.mktemp("popular")
    return make_environment(folder / "environment", newest_of_each()[-1], POPULAR, by="uv")


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", ["bundled", "target"])
@pytest.mark.parametrize("prove_room", ["hidden", "bare"])
def test_popular_distributions_raise_no_false_alarm(
    popular: Path, tmp_path: Path, interpreter: str, prove_room: str
) -> None:
    """All that they import and all their entry points load in both rooms, in both modes."""
    proof = proved(popular, tmp_path, prove="all", prove_room=prove_room, interpreter=interpreter)
    ran = {count.kind: count.ran for count in proof.counts}
    assert ran["module"] > len(POPULAR)
    assert ran["entry point"] >= 8
    assert proof.passed_over == ()


def test_what_hangs_at_home_hangs_once(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that never returns is stopped, and the next build does not ask for it again."""
    env = tmp_path / "env"
    shutil.copytree(template, env, symlinks=True)
    (site,) = env.glob("lib/python*/site-packages")
    (site / "odd_hangs.py").write_text("import time\ntime.sleep(900)\n")
    monkeypatch.setattr(runner.Runner.answers, "__defaults__", (3,))
    start = time.monotonic()
    first = proved(env, tmp_path, prove="all")
    between = time.monotonic()
    second = proved(env, tmp_path, prove="all")
    assert "odd_hangs" in {each.question.name for each in first.passed_over}
    assert {e.question.name for e in second.passed_over} == {
        e.question.name for e in first.passed_over
    }
    assert time.monotonic() - between < between - start - 3


def test_what_the_archive_lacks_is_an_error(template: Path, tmp_path: Path) -> None:
    """The last line and the cause are reported; only the earlier archive is left."""
    (tmp_path / "app.tar").write_bytes(b"earlier")
    with pytest.raises(ProofError) as caught:
        packed(template, tmp_path, prove="start", exclude_files=["**/my_app/words.py"])
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(
        "the entry point my-app (my_app.cli:main) runs in the environment but not here:"
        " ImportError: cannot import name 'words' from 'my_app'"
    )
    assert "my_app/words.py was left out (exclude-files)" in caught.value.problems[0]
    assert "Ünpacked" not in str(caught.value)
    assert (tmp_path / "app.tar").read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.tar", "home"]


@pytest.mark.usefixtures("maker")
def test_commands_end_as_at_home(template: Path, tmp_path: Path) -> None:
    """Each runs with the scripts folder on PATH; a failure with the same status is excused."""
    proof = proved(
        template, tmp_path, prove=["my-app", "my-app 'two words'", "python -m my_app.cli"]
    )
    command = next(count for count in proof.counts if count.kind == "command")
    assert (command.ran, command.passed_over) == (2, 1)
    (over,) = proof.passed_over
    assert over.said == "exited with status 1: hello two words"


def test_a_command_that_ends_otherwise_is_an_error(template: Path, tmp_path: Path) -> None:
    """The end of its output is shown."""
    check = "import sys; print('looks'); sys.exit(sys.prefix.count('npacked'))"
    with pytest.raises(ProofError) as caught:
        packed(template, tmp_path, prove=[f'python -c "{check}"'])
    assert "but not here: exited with status 1: looks" in str(caught.value)


@pytest.mark.usefixtures("maker")
def test_the_originals_are_out_of_sight(
    template: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment, home and network are hidden; the read-only path has a space."""
    (home / "secret").write_text("x")
    monkeypatch.setenv("SETTING", "kept")
    monkeypatch.setenv("DATA_OF_MINE", str(tmp_path))
    check = tmp_path / "check.py"
    check.write_text("x")
    base = (template / "bin/python").resolve().parents[1]
    script = f"""
import os, socket, sys, pathlib
assert ' ' in sys.prefix and not sys.prefix.isascii()
for gone in {[str(template), str(home / "secret"), str(check), str(base)]!r}:
    assert not os.path.exists(gone) or not os.listdir(gone), gone
assert os.listdir(os.path.expanduser('~')) == []
assert set(os.listdir('/tmp')) <= {{'home', 'pycache', 'Ünpacked here'}}, os.listdir('/tmp')
try:
    pathlib.Path(sys.prefix, 'new').write_text('')
except OSError:
    pass
else:
    sys.exit('written')
assert [name for _, name in socket.if_nameindex()] == ['lo']
assert os.environ['SETTING'] == 'kept' and 'DATA_OF_MINE' not in os.environ
assert len([name for name in os.listdir('/proc') if name.isdigit()]) < 6
"""
    env = tmp_path / "copy/my-app"
    shutil.copytree(template, env, symlinks=True)
    (site,) = env.glob("lib/python*/site-packages")
    (site / "looks.py").write_text(script)
    proof = proved(env, tmp_path, prove=["python -m looks"], interpreter="bundled")
    assert [each for each in proof.passed_over if each.question.kind == "command"] == []


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_a_bare_room_has_nothing_else(template: Path, tmp_path: Path, interpreter: str) -> None:
    """It has only a C library, a shell and, in target mode, what the interpreter loads."""
    env = tmp_path / "copy/my-app"
    shutil.copytree(template, env, symlinks=True)
    (site,) = env.glob("lib/python*/site-packages")
    (site / "looks.py").write_text(
        "import ctypes, os, ssl\n"
        "assert os.listdir('/bin') == ['sh'], os.listdir('/bin')\n"
        f"assert os.path.exists('/etc') == {interpreter == 'target'}\n"
        "assert set(os.listdir('/etc') if os.path.exists('/etc') else ()) <= {'ld.so.cache'}\n"
        "assert set(os.listdir('/usr')) <= {'lib', 'lib64', 'bin', 'local'}\n"
    )
    for prefix, command in ((env, "python -m looks"), (template, "sh -c 'exec my-app'")):
        proof = proved(
            prefix, tmp_path, prove=[command], prove_room="bare", interpreter=interpreter
        )
        assert proof.room == "bare"
        assert [each for each in proof.passed_over if each.question.kind == "command"] == []


@needs("gcc")
def test_a_bare_room_has_what_an_archive_asks_of_the_target(template: Path, tmp_path: Path) -> None:
    """It has the libraries that the archive lists as needs of the target, and no others."""
    env = tmp_path / "copy/my-app"
    shutil.copytree(template, env, symlinks=True)
    (site,) = env.glob("lib/python*/site-packages")
    compile_library(site / "needs.so", "-Wl,--no-as-needed", "-l:libstdc++.so.6")
    (site / "told.py").write_text("import ctypes; ctypes.CDLL(__file__[:-7] + 'needs.so')\n")
    proof = proved(env, tmp_path, prove=["python -m told"], prove_room="bare")
    assert [each for each in proof.passed_over if each.question.kind == "command"] == []
    (site / "needs.so").rename(site / "needs.txt")
    (site / "silent.py").write_text("import ctypes; ctypes.CDLL('libstdc++.so.6')\n")
    with pytest.raises(ProofError, match=r"libstdc\+\+\.so\.6"):
        packed(env, tmp_path, prove=["python -m silent"], prove_room="bare")


def test_without_namespaces_the_build_goes_on(template: Path, tmp_path: Path) -> None:
    """If the kernel allows none, one line says so; an explicitly requested proof is an error."""
    forbid = "for each in user mnt pid; do echo 0 > /proc/sys/user/max_${each}_namespaces; done"
    shell = f'{forbid}; exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", shell, "sh", sys.executable, "-m", "hatch_pack_venv"]
    command += ["pack", str(template), "-o", str(tmp_path / "app.tar"), "--interpreter", "target"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("pack-venv: nothing was run to prove the archive: namespaces cannot")
    assert "  ran " not in done.stdout
    told = json.loads((tmp_path / "app.tar.json").read_text())["proof"]
    assert told["room"] is None
    (tmp_path / "app.tar").unlink()
    done = subprocess.run([*command, "--prove", "all"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pack-venv: error: nothing can be proved: namespaces cannot" in done.stderr
    assert "--prove-room none" in done.stderr
    assert not (tmp_path / "app.tar").exists()
    done = subprocess.run(
        [*command, "--prove", "my-app", "--prove-room", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "without a room" in done.stdout


@needs("setpriv", "root")
@pytest.mark.parametrize("bwrap", [True, False])
def test_an_ordinary_user_has_rooms_too(tmp_path: Path, bwrap: bool) -> None:
    """Without root privileges, rooms work with a user namespace, with and without bubblewrap."""
    require("bwrap" if bwrap else "Python for others")
    out = tmp_path / "out"
    out.mkdir()
    for folder in (out, *out.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    out.chmod(0o777)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    maker = Maker(name="bubblewrap", program=("bwrap",)) if bwrap else room.own_maker()
    command = maker.command(
        ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", str(out)],
        ["sh", "-c", f"id -u; ls {out}; touch /etc/x || touch {out}/x && echo made"],
    )
    done = subprocess.run([*user, *command], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["65534", "made"], done.stderr


def running(marker: str) -> list[str]:
    """Return the processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words and int(entry.name) != os.getpid():
                found.append(entry.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("bwrap", "wait"), [(b, w) for b in (True, False) for w in (0.0, 0.1, 1.0)]
)
def test_nothing_is_left_of_a_run_that_is_ended(
    template: Path, tmp_path: Path, number: signal.Signals, bwrap: bool, wait: float
) -> None:
    """No process or mount is left, and no file that the next run does not remove."""
    if bwrap:
        require("bwrap")
    seconds = f"7{os.getpid()}{number:d}{int(bwrap)}{int(wait * 10)}"
    mounts = Path("/proc/self/mounts").read_text()
    hide = "" if bwrap else "import shutil; shutil.which = lambda *_: None; "
    run = f"import sys; {hide}from hatch_pack_venv.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", run, "pack", str(template), "-o", str(tmp_path / "app.tar")]
    command += [
        "--interpreter",
        "target",
        "--prove",
        f"python -c 'import time; time.sleep({seconds})'",
    ]
    command += ["--prove", f"sleep {seconds}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=unmeasured())
    while len(running(seconds)) < 2 and process.poll() is None:
        time.sleep(0.01)
    time.sleep(wait)  # rooms are being made, or the commands run
    process.send_signal(number)
    _, messages = process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), messages
    deadline = time.monotonic() + 10
    while (running(seconds) or opened_in(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(seconds) == opened_in(tmp_path) == []
    assert Path("/proc/self/mounts").read_text() == mounts
    if number != signal.SIGKILL:
        assert messages == "pack-venv: error: interrupted, nothing was written\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    else:
        packed(template, tmp_path, prove="none")
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["app.tar", "app.tar.cdx.json", "app.tar.json", "home"]


def test_a_room_ends_with_its_process_group(template: Path, tmp_path: Path, maker: str) -> None:
    """Its first process stays in the outer process group; the command has its own."""
    code = "import os; assert (os.getpgid(1), os.getpgrp()) == (0, os.getpid())"
    proof = proved(template, tmp_path, prove=[f'python -c "{code}"'])
    assert (proof.made_by, proof.passed_over) == (maker, ())


def test_what_outlives_a_process_is_waited_for(tmp_path: Path) -> None:
    """A child process that could still write to the folder is waited for before its removal."""
    late = "import pathlib, sys, time; time.sleep(0.7); pathlib.Path(sys.argv[1]).touch()"
    leaves = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-c', {late!r}, sys.argv[2]]\n"
        "subprocess.Popen(command, pass_fds=[int(sys.argv[1])], start_new_session=True)\n"
    )
    command = [sys.executable, "-c", leaves, "{fd}", str(tmp_path / "written")]
    ended = runner.Processes().run(command, os.environ, 30)
    assert ended.status == 0
    assert (tmp_path / "written").exists()


def test_several_formats_are_one_proof(template: Path, tmp_path: Path) -> None:
    """One archive is run, and the others are read and compared."""
    results = pack(
        template,
        tmp_path / "app",
        PackOptions.from_mapping(
            {"interpreter": "target", "format": ["zip", "tar"], "prove": "start"}
        ),
    )
    assert results[0].proof == results[1].proof
    assert results[0].proof is not None


def test_rooms_are_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have none, and the reason says so."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(room.NoRoomError, match="Linux"):
        room.find_maker()


def verified(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `pack-venv verify`."""
    command = [sys.executable, "-m", "hatch_pack_venv", "verify", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verify_runs_what_an_archive_was_released_with(template: Path, tmp_path: Path) -> None:
    """An archive and a folder run again, without the environment; what failed there is excused."""
    result = packed(template, tmp_path, prove="all", interpreter="bundled")
    done = verified(result.path, "--run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    first = json.loads((tmp_path / "app.tar.json").read_text())["proof"]
    assert told["proof"]["ran"] == first["ran"]
    assert {e["name"] for e in told["proof"]["passed_over"]} == {
        e["name"] for e in first["passed_over"]
    }
    with tarfile.open(result.path) as tar:
        extract(tar, tmp_path)
    (folder,) = tmp_path.glob("my-app*")
    before = lasting_state(folder)
    done = verified(folder, "--run", "--prove-room", "none")
    assert done.returncode == 0, done.stderr
    assert "  ran      the interpreter, 1 module, 1 entry point without a room" in done.stdout
    assert lasting_state(folder) == before
    (module,) = folder.glob("lib/python*/site-packages/my_app/words.py")
    module.unlink()
    done = verified(folder, "--run")
    assert done.returncode == 1
    assert "missing" in done.stdout
    assert "  ran " not in done.stdout


@pytest.mark.parametrize("room", ["hidden", "bare"])
def test_verify_finds_the_interpreter_that_an_archive_needs(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """It is visible in the room although it is in the home folder, and in a bare room."""
    base = separate_python()
    assert base is not None
    monkeypatch.setenv("PATH", f"{base.path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(base.prefix.parent))
    result = packed(template, tmp_path, prove="none")
    done = verified(result.path, "--run", "--prove-room", room)
    assert done.returncode == 0, done.stderr
    assert "  ran      the interpreter, 1 module, 1 entry point" in done.stdout


def test_verify_tells_what_does_not_run(template: Path, tmp_path: Path) -> None:
    """What was packed but does not run is an error that names it."""
    result = packed(
        template,
        tmp_path,
        prove="none",
        exclude_files=["**/my_app/words.py"],
        interpreter="bundled",
    )
    assert verified(result.path).returncode == 0
    done = verified(result.path, "--run")
    assert done.returncode == 1
    assert "the entry point my-app (my_app.cli:main) does not run here: ImportError" in done.stderr
