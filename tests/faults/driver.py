"""Runs the command again and again, each time with one fault.

For every fault it checks the command's messages, the files on disk, and what a run without a fault
makes of them.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from faults.scene import interpreter_in, make_scene, state
from faults.shim import Ended, Fault, Shim, Told, run
from hatch_pack_venv.scan import probe
from hatch_pack_venv.write import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_pack_venv.model.interpreter import Interpreter


_ERRORS_OF: Final = {
    "-": (),
    "p": (errno.EIO,),
    "r": (errno.EIO, errno.EINTR),
    "w": (errno.EIO, errno.EINTR, errno.ENOSPC, errno.EDQUOT),
}
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_COMMON: Final = ["--interpreter", "target", "-q", "--threads", "2"]
_BUNDLED: Final = ["--interpreter", "bundled", "--entry-point", "demo"]
_UNPROVEN: Final = ("--prove", "none")  # the interpreter cannot run


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A command.

    Parameters:
        arguments: the folder of a scene replaces `{}`.
        replaces: whether its output exists from an earlier run.
        exchanges: whether the file system can exchange two files; where it can, another way is
            tried after a rename that fails, and nothing has to be undone.
    """

    arguments: tuple[str, ...]
    replaces: bool = False
    exchanges: bool = True


def _pack(*formats: str, bundled: bool = False, **how: bool) -> Operation:
    chosen = [word for each in formats for word in ("--format", each)]
    if bundled:
        chosen += _BUNDLED
    arguments = ("pack", "{}/env", "-o", "{}/out/app", *_COMMON, *chosen, *_UNPROVEN)
    return Operation(arguments=arguments, **how)


_MADE: Final = ("{}/made/app.tar.gz", "{}/made/app.zip", "{}/made/app")
OPERATIONS: Final = {
    "pack tar.gz": _pack("tar.gz"),
    "pack tar.xz": _pack("tar.xz"),
    "pack tar.bz2": _pack("tar.bz2"),
    "pack tar and zip in place of earlier ones": _pack("tar", "zip", replaces=True),
    "pack tar and zip in their places without exchange": _pack(
        "tar", "zip", replaces=True, exchanges=False
    ),
    "pack tar.zst in place of an earlier one": _pack("tar.zst", replaces=True),
    "pack run in place of an earlier one": _pack("run", replaces=True, bundled=True),
    "pack oci": _pack("oci", bundled=True),
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


def _lasting(folder: dict[str, Any]) -> dict[str, Any]:
    """Return the files that the next run must not remove.

    Files that are left out need not be readable; the size of one that is not remains unknown.
    """
    found = {name: what for name, what in folder.items() if ".partial" not in name}
    for name, what in found.items():
        if name.endswith(".json") and b'"left_out"' in what[1]:
            found[name] = (what[0], json.loads(what[1]) | {"left_out": None})
    return found


@dataclass(kw_only=True)
class Bench:
    """One operation, and what its runs are compared with.

    Parameters:
        before, after: the output folder before and after a run without a fault.
        source: the state of the environment.
        whole: what a run without a fault reports about its calls.
    """

    root: Path
    operation: Operation
    shim: Shim
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    whole: Told = field(default_factory=Told)

    @classmethod
    def make(cls, root: Path, operation: Operation, shim: Shim) -> Bench:
        """Make the scene and run the operation without a fault."""
        make_scene(root)
        bench = cls(root=root, operation=operation, shim=shim)
        bench._prepare()
        bench.before = state(root / "out")
        bench.source = state(root / "env")
        bench._restore()
        bench.whole = bench.run(Fault()).told
        bench.after = state(root / "out")
        return bench

    def run(self, fault: Fault) -> Ended:
        """Run the operation."""
        arguments = [each.replace("{}", str(self.root)) for each in self.operation.arguments]
        return run(arguments, self.root, fault, self.shim)

    def _prepare(self) -> None:
        """Make the earlier output, from another state of the environment."""
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
        if (self.root / "cache").exists():
            shutil.copytree(self.root / "cache", self.root / "kept-cache")

    def _restore(self) -> None:
        """Restore the output and the cache of compressed blocks."""
        for name, kept in (("out", "kept"), ("cache", "kept-cache")):
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (self.root / kept).exists():
                shutil.copytree(self.root / kept, self.root / name, symlinks=True)

    def examined(self, fault: Fault) -> tuple[Ended, str | None]:
        """Run with a fault; return how it ended, and what went wrong, if anything."""
        self._restore()
        ended = self.run(fault)
        wrong = self._wrong(fault, ended)
        if wrong is not None:
            told = f"status {ended.status}, {ended.said[-1500:]!r}"
            return ended, f"{fault} ({ended.told.met}): {wrong}; {told}"
        return ended, None

    def _wrong(self, fault: Fault, ended: Ended) -> str | None:
        killed = ended.status < 0 and -ended.status == fault.signal
        errors = [line for line in ended.said.splitlines() if line.startswith("pack-venv: error: ")]
        there = state(self.root / "out")
        if "Traceback" in ended.said or (ended.status != 0 and len(errors) != 1 and not killed):
            return "no sentence"
        if killed and fault.signal != signal.SIGKILL:
            # It arrived when there is nothing to lose: before the command began, or at its end.
            return None if there in (self.before, self.after) else "killed in its midst"
        if ended.status not in (0, 1, 128 + fault.signal) and not killed:
            return "another status"
        if state(self.root / "env") != self.source:
            return "the environment has changed"
        if not self._is_whole(_lasting(there), ended, killed=killed):
            return f"the output is neither: {sorted(there)}"
        return self._left_over() if there not in (self.before, self.after) else None

    def _is_whole(self, there: dict[str, Any], ended: Ended, *, killed: bool) -> bool:
        """Whether the output is the earlier one, or the one that a run without a fault makes.

        Only SIGKILL between two renames may leave some files new and others old; each of them is
        complete.
        """
        before, after = _lasting(self.before), _lasting(self.after)
        if ended.status == 0:
            return there == after
        if killed and self.operation.arguments[0] == "pack":
            versions = (before, after)
            is_one = all(
                what in [each.get(name) for each in versions] for name, what in there.items()
            )
            return is_one and before.keys() <= there.keys()
        if killed or "after the output was put in place" in ended.said:
            return there in (before, after)
        return there == before

    def _left_over(self) -> str | None:
        """Check that the next run without a fault cleans up what is left."""
        _expect_success(self.run(Fault()))
        stray = state(self.root / "out").keys() - self.after.keys()
        return f"the next run leaves {sorted(stray)}" if stray else None


def _expect_success(ended: Ended) -> None:
    if ended.status != 0:
        raise RuntimeError(ended.said)


_FILE_SIZES: Final = (*range(0, 80_000, 2_000), *range(80_000, 1_400_000, 50_000))
_DESCRIPTORS: Final = range(1, 30)
_MEMORY: Final = range(0, 64 << 20, 2 << 20)
_MOMENTS: Final = 400  # of each operation
_LATEST: Final = 20_000  # microseconds


def faults(kinds: str, stride: int) -> Iterator[Fault]:
    """Yield the faults for an operation that makes these calls.

    Parameters:
        kinds: the errors that each call can return, as the shim reports them.
        stride: 1 for all of them; a larger number skips some.
    """
    yield from islice(_limits(), 0, None, stride)
    yield from islice(_errors(kinds), 0, None, stride)
    yield from islice(_signals(len(kinds)), 0, None, stride)


def _limits() -> Iterator[Fault]:
    for name, values in (
        ("RLIMIT_FSIZE", _FILE_SIZES),
        ("RLIMIT_NOFILE", _DESCRIPTORS),
        ("RLIMIT_AS", _MEMORY),
    ):
        yield from (Fault(limit=(name, value)) for value in values)


def _errors(kinds: str) -> Iterator[Fault]:
    """Yield each error that each call can return; for calls that write, also from there on."""
    for number, kind in enumerate(kinds, start=1):
        for error in _ERRORS_OF[kind]:
            yield Fault(number=number, error=error)
        if kind == "w":
            yield Fault(number=number, error=errno.ENOSPC, lasting=True)


def _signals(calls: int) -> Iterator[Fault]:
    """Yield one of the signals before every call, and all of them at moments between calls."""
    for number in range(1, calls + 1):
        yield Fault(number=number, signal=SIGNALS[number % len(SIGNALS)])
    moments = Random(1)  # noqa: S311
    for count in range(_MOMENTS):
        number, later = moments.randint(1, calls), moments.randint(1, _LATEST)
        yield Fault(number=number, later=later, signal=SIGNALS[count % len(SIGNALS)])


def examine(bench: Bench, stride: int) -> dict[str, Any]:
    """Try all faults of an operation; return the counts and the problems.

    Limits come first, in a process that has imported as little as the command has when it starts.
    For the other faults the modules are imported already: their files are not below the scene, so
    no fault would happen there, and a run takes a quarter of the time.
    """
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    problems = []
    for fault in faults(bench.whole.kinds, stride):
        if fault.limit is None:
            _import_all(bench.whole.modules)
        ended, problem = bench.examined(fault)
        tried[fault.kind] += 1
        if fault.error and ended.told.met:
            failed[ended.told.met.split()[0]] += 1
        if problem:
            problems.append(problem)
    calls = {"calls": bench.whole.counts, "failed": failed}
    return calls | {"tried": tried, "problems": problems}


def _import_all(modules: list[str]) -> None:
    for name in modules:
        if name not in sys.modules and not name.startswith("_"):
            with suppress(ImportError):
                importlib.import_module(name)


_EXCHANGE: Final = atomic.exchange


def _exchange(can: bool, one: Path, other: Path) -> bool:
    return can and _EXCHANGE(one, other)


def _answer(interpreter: Interpreter, _executable: Path) -> Interpreter:
    return interpreter


def main() -> None:
    """Print the results of the requested operations as JSON."""
    folder, stride, chosen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    shim = Shim()
    results: dict[str, Any] = {}
    for name in chosen:
        root = folder / name.replace(" ", "-")
        root.mkdir()
        os.environ["HATCH_PACK_VENV_CACHE_DIR"] = str(root / "cache")
        interpreter = interpreter_in(root / "base")
        probe.ask_interpreter = partial(_answer, interpreter)
        atomic.exchange = partial(_exchange, OPERATIONS[name].exchanges)
        results[name] = examine(Bench.make(root, OPERATIONS[name], shim), stride)
        shutil.rmtree(root)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
