"""Run files: unpacked once, by the process that comes first, and started from there."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.environments import make_environment, run
from support.hiding import make_system, run_hidden, run_in_system
from support.interpreters import Python, bundlable
from support.machine import needs, require
from support.trees import extract, make_wheel, tree_state

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.injected.run_file import Found
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.slow]
PATH: Final = "/usr/bin:/bin"
TELL: Final = b"""\
import json, os, sys
def main():
    mask = os.umask(0)
    named = sorted(name for name in os.environ if name.startswith("_pv"))
    print(json.dumps({"said": sys.argv[1:], "prefix": sys.prefix, "umask": mask, "left": named}))
    sys.exit(7 if "fail" in sys.argv else 0)
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    """Pack an application; return the run file, the tar.gz, and the folders to hide."""
    folder = tmp_path_factory.mktemp("packed")
    python: Python = bundlable()[-1]
    environment = make_environment(folder / "teller", python, by="uv")
    points = b"[console_scripts]\ntell = teller:main\n"
    files = {
        "teller.py": TELL,
        "teller-1.5.dist-info/entry_points.txt": points,
        "teller-1.5.data/data/share/tellér": b"",
    }
    wheel = make_wheel(folder, files, "teller-1.5-py3-none-any.whl")
    before = tree_state(environment)
    options = PackOptions.from_mapping(
        {"format": ["run", "tar.gz"], "wheels": [str(wheel)], "entry-point": "tell"}
    )
    archive, tar = (result.path for result in pack(environment, folder / "out/teller", options))
    assert tree_state(environment) == before
    return archive, tar, [environment, python.prefix]


@pytest.fixture
def there(packed: tuple[Path, Path, list[Path]], tmp_path: Path) -> Path:
    """Copy the run file to the folder in which it is used."""
    return Path(shutil.copy2(packed[0], tmp_path / "tell me.run"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def hide(packed: tuple[Path, Path, list[Path]]) -> list[Path]:
    return packed[2]


def variables(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": PATH, "HOME": str(home), "TMPDIR": str(home.parent), **more}


def cached(home: Path) -> list[str]:
    return sorted(path.name for path in (home / ".cache/pack-venv").iterdir())


def told(done: CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, object] = json.loads(done.stdout)
    return found


def wrapper(folder: Path, name: str, script: str) -> str:
    """Put a program ahead of the one with its name; return the PATH that finds it."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return f"{folder}:{PATH}"


SHELLS: Final[dict[str, list[str]]] = {
    "the system's": [],
    **{name: [name] for name in ("dash", "bash", "ksh93", "mksh", "yash", "zsh")},
    "busybox": ["busybox", "sh"],
}


@pytest.mark.parametrize("shell", SHELLS)
def test_it_runs_under_every_shell(there: Path, home: Path, hide: list[Path], shell: str) -> None:
    """Arguments, exit status and umask are the application's, both the first and second time."""
    if SHELLS[shell]:
        require(SHELLS[shell][0])
    command: list[str | Path] = [*SHELLS[shell], there, "two words", "", "--pack-venv-inform", "*"]
    for _ in range(2):
        found = told(run_hidden(command, hide=hide, env=variables(home)))
        assert found["said"] == ["two words", "", "--pack-venv-inform", "*"]
        assert found["left"] == []
        assert found["umask"] == 0o022
        (name,) = cached(home)
        assert name.startswith("teller-")
        assert len(name) == len("teller-") + 16
        assert found["prefix"] == str(home / ".cache/pack-venv" / name)
    done = run_hidden([*SHELLS[shell], there, "fail"], hide=hide, env=variables(home))
    assert done.returncode == 7
    assert verify(Path(str(found["prefix"]))).findings == ()


@needs("busybox")
def test_it_runs_where_there_is_nothing(there: Path, tmp_path: Path) -> None:
    """It runs on a system with nothing but glibc and busybox, by its name and by its path."""
    system = make_system(tmp_path / "system")
    for applet in ("tail", "wc", "tar", "gzip", "sha256sum", "mkdir", "rm", "mv", "ln", "uname"):
        (system / "bin" / applet).symlink_to("busybox")
    seen = {there.parent: "/opt/here"}
    for command in (["/opt/here/tell me.run"], ["/bin/sh", "tell me.run"]):
        script = 'cd /opt/here; exec "$@"'
        command = ["/bin/sh", "-c", script, "sh", *command, "x"]
        done = run_in_system(system, command, seen=seen, env={"PATH": "/bin", "HOME": "/root"})
        assert told(done)["said"] == ["x"]


@needs("busybox")
def test_a_missing_program_is_named(there: Path, tmp_path: Path) -> None:
    """A program that the system lacks for unpacking is named in one sentence."""
    system = make_system(tmp_path / "system")
    # BusyBox's shell contains all of its programs.
    script = "command() { [ \"$2\" != tar ]; }; . '/opt/here/tell me.run'"
    done = run_in_system(
        system, ["/bin/sh", "-c", script], seen={there.parent: "/opt/here"}, env={"PATH": "/bin"}
    )
    assert done.returncode == 1
    assert "needs the program tar to unpack itself: install it" in done.stderr


def test_ten_at_once_unpack_once(there: Path, home: Path, hide: list[Path], tmp_path: Path) -> None:
    """Each process answers, one unpacks, and nothing else is left."""
    log = tmp_path / "log"
    path = wrapper(tmp_path / "bin", "gzip", f'echo once >>"{log}"; sleep 1; exec /bin/gzip "$@"')
    script = 'for n in 0 1 2 3 4 5 6 7 8 9; do "$0" $n & done; wait'
    done = run_hidden(["sh", "-c", script, there], hide=hide, env=variables(home, PATH=path))
    assert done.stderr == ""
    found = [json.loads(line)["said"] for line in done.stdout.splitlines()]
    assert sorted(found) == [[str(n)] for n in range(10)]
    assert log.read_text() == "once\n"
    assert len(cached(home)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_after_a_kill_the_next_is_right(
    there: Path, home: Path, hide: list[Path], tmp_path: Path, number: signal.Signals
) -> None:
    """What a killed run leaves, including its lock, is not taken for complete and is removed."""
    path = wrapper(tmp_path / "bin", "gzip", '/bin/gzip "$@"; sleep 60')
    process = subprocess.Popen(
        [there], env=variables(home, PATH=path), start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not list(home.glob(".cache/pack-venv/.teller-*/tree/*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, number)
    process.wait()
    if number != signal.SIGKILL:
        time.sleep(0.5)  # its functions run in a process of their own, which cleans up
        assert cached(home) == []
    told_here(there, home, hide)
    (name,) = cached(home)
    assert name.startswith("teller-")


UNPACKING: Final = """
set -e
cache=$HOME/.cache/pack-venv
unpacking() { until ls -d "$cache"/.teller-*/tree/*; do sleep 0.05; done &>/dev/null; }
"""


def ended(script: str, there: Path, home: Path, hide: list[Path], gzip: str) -> list[str]:
    """Run a script with a slow gzip; return the lines of its output."""
    path = wrapper(home.parent / "bin", "gzip", gzip)
    done = run_hidden(
        ["timeout", "60", "bash", "-c", f"{UNPACKING}{script}", there],
        hide=hide,
        env=variables(home, PATH=path),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_who_has_the_number_of_a_killed_one_is_not_the_killed_one(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """A restarted container has the name and process number of the killed one, but not its lock."""
    script = """
    sed '/^exit$/q' "$0" >"$HOME/head"  # of a file with binary data bash reads nothing
    set -m
    (. "$HOME/head") &
    unpacking
    { kill -9 -$!; wait $!; } 2>/dev/null || set +m
    ls -A "$cache" | wc -l
    exec "$0"
    """
    first = f'[ ! -e "{home}/slow" ] && touch "{home}/slow"'
    slow = f'{first} || exec /bin/gzip "$@"; /bin/gzip "$@"; sleep 60'
    before, line = ended(script, there, home, hide, slow)
    assert int(before) == 2  # its lock, and its folder
    assert json.loads(line)["said"] == []
    assert len(cached(home)) == 1


def test_two_containers_of_one_name_leave_each_other_alone(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """A process number means nothing in another PID namespace."""
    script = """
    unshare -p -f --mount-proc sh -c ': | :; : | :; "$0" first; exit $?' "$0" &
    unpacking
    unshare -p -f --mount-proc "$0" second
    wait $!
    """
    slow = f'echo once >>"{home}/log"; /bin/gzip "$@"; sleep 2'
    said = [json.loads(line)["said"] for line in ended(script, there, home, hide, slow)]
    assert sorted(said) == [["first"], ["second"]]
    assert (home / "log").read_text() == "once\n"
    assert len(cached(home)) == 1


def test_an_owner_that_cannot_be_asked_is_waited_for_for_half_a_minute(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """Then its lock is removed; `sleep` is replaced here, so that nothing really waits."""
    told_here(there, home, hide)
    (name,) = cached(home)
    folder = home / ".cache/pack-venv"
    shutil.rmtree(folder / name)
    (folder / f".lock-{name}").symlink_to("another-1.7")
    path = wrapper(home / "bin", "sleep", f'echo "$1" >>"{home}/log"')
    told_here(there, home, hide, PATH=path)
    assert (home / "log").read_text().split() == ["0.1"] * 300
    assert cached(home) == [name]


def test_what_outlives_the_one_that_was_ended_leaves_nothing(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """Supervisors end the process that they started, but not its children; these clean up."""
    script = """
    "$0" & unpacking
    kill $!
    wait $! || echo $?
    until [ "$(ls -A "$cache" | wc -l)" = 1 ]; do sleep 0.05; done
    """
    assert ended(script, there, home, hide, '/bin/gzip "$@"; sleep 2') == ["143"]
    (name,) = cached(home)
    assert name.startswith("teller-")


def test_a_folder_that_cannot_be_replaced_is_told(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """The sentence gives the system's own reason, and nothing else is left in the cache."""
    name = Path(str(told_here(there, home, hide)["prefix"])).name
    folder = home / "cache" / name
    folder.mkdir(parents=True)
    script = 'mount --bind "$1" "$1"; exec "$0"'
    env = variables(home, HATCH_PACK_VENV_CACHE=str(folder.parent))
    done = run_hidden(["sh", "-c", script, there, folder], hide=hide, env=env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"cannot be unpacked ({folder}: Device or resource busy)" in line
    assert os.listdir(folder.parent) == [name]


@needs("bsdtar")
@pytest.mark.parametrize("variable", ["LC_ALL", "LC_CTYPE"])
def test_names_are_written_as_the_locale_says(
    there: Path, home: Path, hide: list[Path], tmp_path: Path, variable: str
) -> None:
    """bsdtar follows the locale, whichever variable sets it."""
    path = wrapper(tmp_path / "bin", "tar", 'exec bsdtar "$@"')
    found = told_here(there, home, hide, **{"PATH": path, variable: "C.UTF-8"})
    assert Path(str(found["prefix"]), "share/tellér").is_file()


def test_what_a_cleaner_of_temporary_files_has_left_is_unpacked_again(
    there: Path, home: Path, hide: list[Path]
) -> None:
    """A tree that has lost its launcher is not used."""
    prefix = Path(str(told_here(there, home, hide)["prefix"]))
    (prefix / "bin/tell").unlink()
    assert told_here(there, home, hide)["prefix"] == str(prefix)
    assert verify(prefix).findings == ()
    assert len(cached(home)) == 1


def told_here(archive: Path, home: Path, hide: list[Path], **more: str) -> dict[str, object]:
    return told(run_hidden([archive], hide=hide, env=variables(home, **more)))


def refused(archive: Path, home: Path, *arguments: str, **more: str) -> str:
    """Return the one sentence with which a run file refuses."""
    done = subprocess.run(
        [archive, *arguments],
        env=variables(home, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{archive.name}: ")
    return line.removeprefix(f"{archive.name}: ")


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_flipped_bit_is_refused(there: Path, home: Path, part: float) -> None:
    """The damage is found before anything is unpacked."""
    data = bytearray(there.read_bytes())
    data[int(len(data) * part)] ^= 1
    there.write_bytes(data)
    assert refused(there, home).startswith("is damaged: its SHA-256 is not the one")
    assert not list(home.glob(".cache/pack-venv/*"))


@pytest.mark.parametrize("part", [0.1, 0.9])
def test_a_download_that_was_cut_off_is_refused(there: Path, home: Path, part: float) -> None:
    """It is recognised by its size, and the sentence gives both sizes."""
    data = there.read_bytes()
    there.write_bytes(data[: int(len(data) * part)])
    assert f"has {int(len(data) * part)} bytes instead of {len(data)}" in refused(there, home)


def test_a_head_that_was_cut_off_runs_nothing(there: Path, home: Path) -> None:
    """The shell misses the end of the head, and has run nothing until then."""
    there.write_bytes(there.read_bytes()[:5000])
    done = subprocess.run([there], env=variables(home), capture_output=True, check=False)
    assert done.returncode != 0
    assert done.stdout == b""
    assert list(home.iterdir()) == []


def test_another_machine_is_told(there: Path, home: Path, tmp_path: Path) -> None:
    """Both architectures are named, before anything is unpacked."""
    path = wrapper(tmp_path / "bin", "uname", "case $1 in -m) echo riscv64 ;; *) echo host ;; esac")
    machine = os.uname().machine
    assert refused(there, home, PATH=path) == f"is for {machine}, and this machine is riscv64"
    assert cached(home) == []


def test_an_interpreter_that_does_not_start_is_told(
    there: Path, home: Path, tmp_path: Path
) -> None:
    """The sentence contains the interpreter's own message and what the file needs."""
    script = '/bin/tar "$@"; echo "#!/bin/sh\necho no libc; exit 1" >"$4/teller/bin/python"'
    path = wrapper(tmp_path / "bin", "tar", script)
    sentence = refused(there, home, PATH=path)
    assert sentence.startswith("cannot run its interpreter here (it needs glibc 2.")
    assert sentence.endswith(": no libc")
    assert cached(home) == []


ON_DISKS: Final = """
set -e
mount -t tmpfs -o "$1" none "$2"
[ -z "$3" ] || mount -t tmpfs -o "$1" none "$3"
shift 3
exec "$@"
"""


def on_disks(
    archive: Path, home: Path, hide: list[Path], how: str, *, also: Path | None = None
) -> CompletedProcess[str]:
    """Run it with another file system on its home, and on another folder if given."""
    return run_hidden(
        ["sh", "-c", ON_DISKS, "sh", how, home, also or "", archive],
        hide=hide,
        env=variables(home, TMPDIR=str(also or home.parent)),
    )


@pytest.mark.parametrize("how", ["size=3m", "ro", "noexec"])
def test_where_the_home_cannot_be_used_a_temporary_folder_is(
    there: Path, home: Path, hide: list[Path], tmp_path: Path, how: str
) -> None:
    """A home that is full, read-only or allows no programs to run is skipped."""
    found = told(on_disks(there, home, hide, how))
    assert str(found["prefix"]).startswith(f"{tmp_path}/pack-venv-{os.getuid()}/teller-")
    assert os.stat(tmp_path / f"pack-venv-{os.getuid()}").st_mode & 0o777 == 0o700
    (name,) = os.listdir(tmp_path / f"pack-venv-{os.getuid()}")
    assert name.startswith("teller-")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("size=3m", "No space left on device"),
        ("ro", "cannot be written"),
        ("noexec", "lets no programs run"),
    ],
)
def test_where_no_folder_can_be_used_each_is_named(
    there: Path, home: Path, hide: list[Path], tmp_path: Path, how: str, why: str
) -> None:
    """One sentence names each, with the reason, and the variable that selects another."""
    also = tmp_path / "also"
    also.mkdir()
    done = on_disks(there, home, hide, how, also=also)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.count(why) == 2
    assert f"{home}/.cache/pack-venv" in line
    assert f"{also}/pack-venv-" in line
    assert "set HATCH_PACK_VENV_CACHE to a folder" in line


@needs("root")
@pytest.mark.parametrize("wrong", ["owner", "mode", "link"])
def test_a_folder_of_somebody_else_is_not_trusted(
    there: Path, home: Path, hide: list[Path], tmp_path: Path, wrong: str
) -> None:
    """Neither one in a shared temporary folder nor one in a home is used."""
    base = tmp_path / f"pack-venv-{os.getuid()}"
    prefix = Path(str(told_here(there, home, hide)["prefix"]))
    (prefix / "bin/tell").write_text("#!/bin/sh\necho taken over\n")
    if wrong == "link":
        base.symlink_to(prefix.parent)
    else:
        shutil.copytree(prefix.parent, base, symlinks=True)
        base.chmod(0o777 if wrong == "mode" else 0o700)
        os.chown(base, 12345 if wrong == "owner" else os.getuid(), 0)
    os.chown(prefix.parent, 12345, 0)
    sentence = refused(there, home)
    assert sentence.count("belongs to somebody else or is open to others") == 2


def test_a_folder_for_all_can_be_named(
    there: Path, home: Path, hide: list[Path], tmp_path: Path
) -> None:
    """HATCH_PACK_VENV_CACHE is used unchanged; XDG_CACHE_HOME is used if it is absolute."""
    folder = tmp_path / "shared cache"
    found = told_here(there, home, hide, HATCH_PACK_VENV_CACHE=str(folder))
    assert Path(str(found["prefix"])).parent == folder
    found = told_here(there, home, hide, XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert Path(str(found["prefix"])).parent == tmp_path / "xdg/pack-venv"
    assert list(home.iterdir()) == []
    told_here(there, home, hide, XDG_CACHE_HOME="relative")
    assert len(cached(home)) == 1
    (tmp_path / "file").touch()
    sentence = refused(there, home, HATCH_PACK_VENV_CACHE=str(tmp_path / "file"))
    assert f"{tmp_path}/file cannot be written" in sentence


def test_it_can_be_unpacked_for_good(
    there: Path, packed: tuple[Path, Path, list[Path]], home: Path, tmp_path: Path
) -> None:
    """`--pack-venv-extract` gives the contents of the tar.gz, and replaces nothing."""
    folder = tmp_path / "for good"
    done = subprocess.run([there, "--pack-venv-extract", folder], env=variables(home), check=True)
    assert done.returncode == 0
    with tarfile.open(packed[1]) as tar:
        extract(tar, tmp_path / "tar")
    assert tree_contents(folder) == tree_contents(tmp_path / "tar/teller")
    assert verify(folder).findings == ()
    assert list(home.iterdir()) == []
    sentence = refused(there, home, "--pack-venv-extract", str(folder))
    assert (
        sentence
        == f"cannot be unpacked into {folder}, which is there already: name a new directory"
    )
    assert refused(there, home, "--pack-venv-extract") == "--pack-venv-extract takes one directory"


def tree_contents(root: Path) -> dict[str, object]:
    return {
        path.relative_to(root).as_posix(): os.readlink(path)
        if path.is_symlink()
        else (path.stat().st_mode, path.is_file() and path.read_bytes())
        for path in root.rglob("*")
    }


def test_nothing_of_the_builder_is_in_it(packed: tuple[Path, Path, list[Path]]) -> None:
    """Neither the script nor the archive after it contains the folder that it was built in."""
    data = packed[0].read_bytes()
    offset = Found.read(data).offset
    place = os.fsencode(packed[0].parents[1])
    assert place not in data[:offset]
    assert place not in gzip.decompress(data[offset:])


def test_it_tells_what_it_is(there: Path, home: Path, hide: list[Path]) -> None:
    """`--pack-venv-info` names the content and where it is unpacked, and unpacks nothing."""
    text = run(there, "--pack-venv-info", env=variables(home))
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert lines["name"] == "teller"
    assert lines["starts"] == "bin/tell"
    assert "unpacked in    nothing yet\n" in text
    assert list(home.iterdir()) == []
    prefix = told_here(there, home, hide)["prefix"]
    assert f"unpacked in    {prefix}\n" in run(there, "--pack-venv-info", env=variables(home))


def test_it_is_hardly_larger_than_the_archive(packed: tuple[Path, Path, list[Path]]) -> None:
    """Its script adds less than a hundredth."""
    archive, tar, _ = packed
    assert archive.stat().st_size < 1.01 * tar.stat().st_size
    assert os.access(archive, os.X_OK)
    assert verify(archive).findings == ()


def test_the_second_start_costs_next_to_nothing(there: Path, home: Path, hide: list[Path]) -> None:
    """It takes less than 10 ms of CPU time more than the launcher that it starts."""
    launcher = Path(str(told_here(there, home, hide)["prefix"])) / "bin/tell"
    best = dict.fromkeys((there, launcher), 1.0)
    for _ in range(20):
        for path in best:
            best[path] = min(best[path], cpu_seconds(path, home))
    assert best[there] - best[launcher] < 0.010


def cpu_seconds(path: Path, home: Path) -> float:
    """Return the CPU time that a program takes, since the machine may be busy with others."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, 1)]
    process = os.posix_spawn(path, [str(path)], variables(home), file_actions=actions)
    os.close(nowhere)
    _, status, used = os.wait4(process, 0)
    assert status == 0
    return used.ru_utime + used.ru_stime
