"""Runs the command again and again in forks of this process, each with one fault.

Started with `shim.c` preloaded. For every fault it looks at what the command said, at what is on
the disk, and at what a run without a fault makes of that.
"""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import resource
import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from support.binaries import DT_RUNPATH, make_elf
from support.fakes import INTERPRETER, SITE

from hatch_pack_venv.cli import main as command
from hatch_pack_venv.scan import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ERRORS: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR)
SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
_COMMON: Final = ["--interpreter", "target", "-q", "--threads", "2"]
_UNPROVEN: Final = ("--prove", "none")  # the interpreter is none that runs
_SHORT: Final = 20  # seconds for one run


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A command.

    Parameters:
        arguments: with the folder of a scene in place of `{}`.
        replaces: whether its output is there from an earlier run.
    """

    arguments: tuple[str, ...]
    replaces: bool = False


def _pack(*formats: str, replaces: bool = False) -> Operation:
    chosen = [word for each in formats for word in ("--format", each)]
    arguments = ("pack", "{}/env", "-o", "{}/out/app", *chosen, *_UNPROVEN, *_COMMON)
    return Operation(arguments=arguments, replaces=replaces)


_MADE: Final = ("{}/made/app.tar.gz", "{}/made/app.zip", "{}/made/app")
OPERATIONS: Final = {
    "pack tar.gz": _pack("tar.gz"),
    "pack tar.xz": _pack("tar.xz"),
    "pack tar.bz2": _pack("tar.bz2"),
    "pack tar and zip in place of earlier ones": _pack("tar", "zip", replaces=True),
    "pack tar.zst in place of an earlier one": _pack("tar.zst", replaces=True),
    "export": Operation(arguments=("export", "{}/env", "{}/out/app", *_COMMON)),
    "export in place of an earlier one": Operation(
        arguments=("export", "{}/env", "{}/out/app", *_COMMON), replaces=True
    ),
    "export with hard links": Operation(
        arguments=("export", "{}/env", "{}/out/app", "--link-mode", "hardlink", *_COMMON)
    ),
    "verify": Operation(
        arguments=("verify", "{}/made/app.tar.gz", "{}/made/app.zip", "{}/made/app")
    ),
    "inspect": Operation(
        arguments=("inspect", "{}/made/app.tar.gz", "{}/made/app.zip", "{}/made/app")
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a run.

    Parameters:
        number: of the call at which it happens.
        error: what that call fails with; for want of room only calls that write do.
        signal: what comes before it.
        lasting: whether all calls that write fail from then on.
        limit: a resource and how much of it there is.
    """

    number: int = 0
    error: int = 0
    signal: int = 0
    lasting: bool = False
    limit: tuple[str, int] | None = None

    def __str__(self) -> str:
        """Say what it is."""
        if self.limit:
            return f"{self.limit[0]} of {self.limit[1]}"
        what = signal.Signals(self.signal).name if self.signal else errno.errorcode.get(self.error)
        return f"{what} at call {self.number}{' and after' if self.lasting else ''}"


class Shim:
    """What `shim.c` exports."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def arm(self, root: Path, fault: Fault) -> None:
        """Start to count, and to fail."""
        self._library.fault_arm(
            os.fsencode(root),
            ctypes.c_long(fault.number),
            fault.error,
            fault.signal,
            int(fault.lasting),
        )

    def met(self) -> str:
        """Return which call it was at which a fault happened."""
        self._library.fault_met.restype = ctypes.c_char_p
        found: bytes = self._library.fault_met()
        return os.fsdecode(found)

    def counts(self) -> dict[str, int]:
        """Return the calls that were made, by their names."""
        self._library.fault_disarm()
        text = ctypes.create_string_buffer(1 << 14)
        self._library.fault_counts(text, ctypes.c_size_t(len(text)))
        rows = (line.split() for line in text.value.decode().splitlines())
        return {name: int(count) for name, count in rows}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its status, or minus the signal's number; what it said; its calls."""

    status: int
    said: str
    met: str
    counts: dict[str, int]


def run(arguments: list[str], root: Path, fault: Fault, shim: Shim) -> Ended:
    """Run the command in a fork."""
    reading, writing = os.pipe()
    telling, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(telling)
        _in_child(arguments, root, fault, shim, (writing, told))
    os.close(writing)
    os.close(told)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    with os.fdopen(telling, "rb") as pipe:
        told_back = json.loads(pipe.read() or b'["", {}]')
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(status=status, said=said, met=told_back[0], counts=told_back[1])


def _in_child(
    arguments: list[str], root: Path, fault: Fault, shim: Shim, pipes: tuple[int, int]
) -> None:
    """Be the command: `sys.exit` and whatever else ends it go no further than here."""
    status = 70
    try:
        signal.alarm(_SHORT)
        os.dup2(pipes[0], 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
        _limit(fault)
        shim.arm(root, fault)
        try:
            command.main(arguments)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - what a user would see as a traceback
            import traceback

            traceback.print_exception(error)
        os.write(pipes[1], json.dumps([shim.met(), shim.counts()]).encode())
    finally:
        os._exit(status)


def _limit(fault: Fault) -> None:
    if fault.limit is None:
        return
    name, value = fault.limit
    number = getattr(resource, name)
    if name == "RLIMIT_NOFILE":
        value += max(map(int, os.listdir("/proc/self/fd")))
    if name == "RLIMIT_AS":
        value += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(number, (value, resource.getrlimit(number)[1]))


# the scene

_INFO: Final = f"{SITE}/demo-1.0.dist-info"
_FILES: Final[dict[str, bytes]] = {
    f"{_INFO}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    f"{_INFO}/RECORD": b"demo/__init__.py,,\ndemo/x.so,,\ndemo-1.0.dist-info/METADATA,,\n",
    f"{_INFO}/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n",
    f"{SITE}/demo/__init__.py": b"def main():\n    print()\n",
    f"{SITE}/demo/x.so": make_elf((DT_RUNPATH, "/opt/python/lib")),
    f"{SITE}/demo.pth": b"../x\n",
    "bin/demo": b"#!/x/env/bin/python\nimport demo\n",
    "share/jupyter/kernels/x/kernel.json": b'{"argv": ["x"]}',
    "share/data": b"data\n" * 8000,
    "share/large": bytes(range(256)) * 5000,
    "pyvenv.cfg": b"home = /opt/python/bin\nversion = 3.11.7\n",
}


def make_scene(root: Path) -> None:
    """Lay out an environment, what was packed of it earlier, and what is read."""
    for name, content in _FILES.items():
        path = root / "env" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "base").mkdir()
    (root / "base/python3.11").write_bytes(b"\x7fELF")
    (root / "env/bin/python").symlink_to(root / "base/python3.11")
    (root / "env/share/link").symlink_to("data")


def state(folder: Path) -> dict[str, Any]:
    """Return everything below a folder: kinds, modes, contents and links."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found


@dataclass(kw_only=True)
class Bench:
    """One operation, and what it is measured by.

    Parameters:
        before, after: what is in the output folder before and after a whole run.
    """

    root: Path
    operation: Operation
    shim: Shim
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path, operation: Operation, shim: Shim) -> Bench:
        """Make the scene and run the operation without a fault."""
        make_scene(root)
        bench = cls(root=root, operation=operation, shim=shim)
        bench._prepare()
        bench.before = state(root / "out")
        bench.source = state(root / "env")
        bench.counts = bench.run(Fault()).counts
        bench.after = state(root / "out")
        return bench

    def run(self, fault: Fault) -> Ended:
        """Run the operation."""
        arguments = [each.replace("{}", str(self.root)) for each in self.operation.arguments]
        return run(arguments, self.root, fault, self.shim)

    def _prepare(self) -> None:
        """Make what was there earlier, from another state of the environment."""
        out, kept, data = self.root / "out", self.root / "kept", self.root / "env/share/data"
        out.mkdir()
        if self.operation.replaces:
            content = data.read_bytes()
            data.write_bytes(b"earlier\n")
            _expect_success(self.run(Fault()))
            data.write_bytes(content)
        if self.operation.arguments[0] in ("verify", "inspect"):
            env, made = f"{self.root}/env", f"{self.root}/made/app"
            pack = ["pack", env, "-o", made, "--format", "tar.gz", "--format", "zip", *_UNPROVEN]
            for arguments in (pack, ["export", env, made]):
                _expect_success(run([*arguments, *_COMMON], self.root, Fault(), self.shim))
        shutil.copytree(out, kept, symlinks=True)

    def problem(self, fault: Fault) -> str | None:
        """Run with a fault; return what was not as it should be."""
        shutil.rmtree(self.root / "out")
        shutil.copytree(self.root / "kept", self.root / "out", symlinks=True)
        ended = self.run(fault)
        wrong = self._wrong(fault, ended)
        if wrong is not None:
            return f"{fault} ({ended.met}): {wrong}; status {ended.status}, {ended.said[-1500:]!r}"
        return None

    def _wrong(self, fault: Fault, ended: Ended) -> str | None:
        killed = -ended.status == signal.SIGKILL == fault.signal
        lines = ended.said.splitlines()
        errors = [line for line in lines if line.startswith("pack-venv: error: ")]
        there = state(self.root / "out")
        lasting = {name: what for name, what in there.items() if ".partial" not in name}
        expected = [self.before, self.after]
        if ended.status == 0:
            expected = [self.after]
        elif "after the output was put in place" not in ended.said and not killed:
            expected = [self.before]
        if "Traceback" in ended.said or (ended.status != 0 and len(errors) != 1 and not killed):
            return "no sentence"
        if ended.status not in (0, 1, 128 + fault.signal) and not killed:
            return "another status"
        if state(self.root / "env") != self.source:
            return "the environment has changed"
        if lasting not in expected:
            return f"the output is neither: {sorted(lasting)}"
        return self._left_over() if there not in (self.before, self.after) else None

    def _left_over(self) -> str | None:
        """A next run without a fault has to clean what is left."""
        _expect_success(self.run(Fault()))
        stray = state(self.root / "out").keys() - self.after.keys()
        return f"the next run leaves {sorted(stray)}" if stray else None


def _expect_success(ended: Ended) -> None:
    if ended.status != 0:
        raise RuntimeError(ended.said)


def faults(total: int, stride: int) -> Iterator[Fault]:
    """Yield the faults for an operation of so many calls.

    Parameters:
        stride: 1 for all; more leaves some calls out, but no kind of fault.
    """
    kinds: list[Callable[[int], Fault]] = [
        *(lambda n, e=e: Fault(number=n, error=e) for e in ERRORS),
        lambda n: Fault(number=n, error=errno.ENOSPC, lasting=True),
        *(lambda n, s=s: Fault(number=n, signal=getattr(signal, s)) for s in SIGNALS),
    ]
    for index, kind in enumerate(kinds):
        for number in range(1 + index % stride, total + 1, stride):
            yield kind(number)
    for size in range(0, 1_400_000, 7_000 * stride):
        yield Fault(limit=("RLIMIT_FSIZE", size))
    for more in range(1, 30, stride):
        yield Fault(limit=("RLIMIT_NOFILE", more))
    for more in range(0, 64 << 20, (1 << 20) * stride):
        yield Fault(limit=("RLIMIT_AS", more))


def main() -> None:
    """Print what was found for the operations that are asked for, as JSON."""
    folder, stride, chosen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    probe.ask_interpreter = lambda executable: INTERPRETER  # noqa: ARG005 - its name is known
    shim = Shim()
    results: dict[str, Any] = {}
    for name in chosen:
        root = folder / name.replace(" ", "-")
        root.mkdir()
        bench = Bench.make(root, OPERATIONS[name], shim)
        tried: Counter[str] = Counter()
        problems = []
        for fault in faults(sum(bench.counts.values()), stride):
            tried[str(fault).partition(" at ")[0].partition(" of ")[0]] += 1
            problem = bench.problem(fault)
            if problem:
                problems.append(problem)
        results[name] = {"calls": bench.counts, "tried": tried, "problems": problems}
        shutil.rmtree(root)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
