"""An archive, unpacked into a clean room, must do what the environment did."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..model.entries import leads_out
from ..model.errors import ArchiveProblem, OutputProblem
from ..model.plan import POSTINSTALL
from ..model.proof import Answer, Proof, ProofError, Question, counted
from ..model.results import silent
from ..read.verify import verify
from .causes import Known
from .questions import questions_of
from .remembered import HomeAnswers
from .room import (
    Furniture,
    NoRoomError,
    Room,
    Sight,
    bare_room,
    find_maker,
    hidden_room,
    without_session,
)
from .runner import PATIENT, Processes, Runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..model.proof import Asked
    from ..model.results import Reporter
    from ..read.verify import Verification
    from .room import Maker
    from .runner import Ended


logger = logging.getLogger("hatch_pack_venv")
_FAILED: Final = "what was packed does not run on its own"
_WITHOUT_ROOM: Final = (
    'set prove-room = "none" to run it with nothing hidden, or run it elsewhere'
    if os.name != "nt"
    else "run it elsewhere"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The environment that was packed.

    Parameters:
        prefix: its real path.
        python: its interpreter.
    """

    prefix: Path
    python: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to prove, and where.

    Parameters:
        asked: `start`, `all` or commands.
        room: `hidden`, `bare` or `none`.
        required: whether it is an error if nothing can be run.
        sight: which of the machine's files are hidden, and which must be visible.
        base: the interpreter to which an archive without one is connected, if there is any.
        beside: layers, by their paths relative to the unpacked archive.
        original: the environment to compare with; `None` if it is not known.
        excused: what is known to fail in the original, by kind and name.
        unpacking, running: report progress in bytes and in answers.
    """

    asked: Asked
    room: str = "hidden"
    required: bool = False
    sight: Sight = field(default_factory=Sight)
    base: Path | None = None
    beside: Mapping[str, Path] = field(default_factory=dict)
    original: Original | None = None
    excused: frozenset[tuple[str, str]] = frozenset()
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)
    unpacking: Reporter = silent
    running: Reporter = silent

    def maker(self) -> Maker | None:
        """Return what makes the rooms, or `None` if none are wanted.

        Raises:
            NoRoomError: if none can be made but one is needed.
        """
        if os.name == "nt":
            message = "running is not supported on Windows yet"
            raise NoRoomError(message)
        return None if self.room == "none" else find_maker()

    def check_possible(self) -> None:
        """Check early whether a room can be made, if one is required.

        Raises:
            ProofError: if it cannot.
        """
        if self.required:
            try:
                self.maker()
            except NoRoomError as error:
                self.unproved(str(error), _WITHOUT_ROOM)

    def unproved(self, reason: str, way: str = "run it elsewhere") -> Proof:
        """Return an empty proof; if a proof is required, raise an error instead.

        Parameters:
            way: what the user can do.

        Raises:
            ProofError: if a proof is required.
        """
        if self.required:
            raise ProofError("nothing can be proved", [f"{reason}; {way}"])
        return Proof(asked=self.asked, reason=reason)


def why_foreign(head: Mapping[str, Any]) -> str | None:
    """Return why nothing in an archive can run on this machine, or `None` if it can."""
    packed = head["platform"]
    if packed["system"] != sys.platform:
        return f"it is for {packed['system']}, but this is {sys.platform}"
    machines = {packed["machine"], platform.machine()}
    if len(machines) > 1 and machines not in ({"i686", "x86_64"}, {"i386", "x86_64"}):
        return f"it is for {packed['machine']}, but this is {platform.machine()}"
    path = head.get("interpreter_path")
    if path is not None and not os.access(path, os.X_OK):
        return f"it is for the interpreter {path}, which is not on this machine"
    return None


def prove(archive: Path, request: Request, work: Path) -> Proof:
    """Unpack an archive into a room and ask it what it must answer.

    Parameters:
        work: an empty folder from which programs can be run.

    Raises:
        ProofError: if something runs in the original but not in the archive, if the archive is not
            what was packed, or if a proof is required and nothing can be run.
        ArchiveProblem: if the archive cannot be read.
    """
    start = time.monotonic()
    try:
        request.maker()  # before anything is unpacked in vain
    except NoRoomError as error:
        return request.unproved(str(error), _WITHOUT_ROOM)
    try:
        found = unpacked(archive, work, external_links=True, report=request.unpacking)
    except OutputProblem as error:  # space for the archive need not be enough to unpack it
        return request.unproved(str(error))
    _check_whole(found)
    return replace(prove_unpacked(found, request, work), seconds=time.monotonic() - start)


def unpacked(archive: Path, work: Path, *, external_links: bool, report: Reporter) -> Verification:
    """Unpack an archive, or copy a folder, for `prove_unpacked`; compare it with its manifest."""
    (work / "unpacked").mkdir()
    return verify(
        archive, external_links=external_links, unpack_into=work / "unpacked", report=report
    )


def prove_unpacked(found: Verification, request: Request, work: Path) -> Proof:
    """Do the same as `prove` for what has been unpacked; the caller sets the seconds."""
    foreign = why_foreign(found.head)
    if foreign is not None:
        return request.unproved(foreign)
    try:
        return _Proving(request, request.maker(), work, found).proof()
    except NoRoomError as error:
        return request.unproved(str(error))


def check_told(found: Verification, work: Path) -> None:
    """Check that a manifest, which another version may have written, says enough for a proof.

    Raises:
        ArchiveProblem: if it does not.
    """
    head, root = found.head, work / "unpacked" / found.install_target
    runtime = head.get("neighbours", {}).get("base_runtime", {"python": ""})
    told = (
        "interpreter" in head
        and {"system", "machine"} <= head["platform"].keys()
        and "version" in head["python"]
        and "python" in runtime
    )
    sites = head.get("layout", {}).get("site_packages", ())
    if told and all(_is_folder_in(root, each) for each in sites):
        return
    raise ArchiveProblem("its manifest does not record what can be run: pack it again")


def _is_folder_in(root: Path, name: str) -> bool:
    return not leads_out(name) and "\0" not in name and (root / name).is_dir()


def check_as_packed(archive: Path, report: Reporter) -> None:
    """Read an archive, and compare it with its manifest.

    Raises:
        ProofError: if it is not what was packed.
    """
    _check_whole(verify(archive, external_links=True, report=report))


def _check_whole(found: Verification) -> None:
    if found.findings:
        first = found.findings[0]
        raise ProofError(
            "the written archive differs from what was packed", [f"{first.path} {first.detail}"]
        )


class _Proving:
    """One archive in its rooms."""

    def __init__(
        self, request: Request, maker: Maker | None, work: Path, found: Verification
    ) -> None:
        head, install_target = found.head, found.install_target
        self.request = request
        self.maker = maker
        self.work = work
        self.head = head
        self.processes = Processes()
        self.inside = "" if install_target == "." else install_target
        self.unpacked = work / "unpacked" / self.inside
        self.scripts: str = head.get("layout", {}).get("scripts", "bin")
        for name in ("home", "pycache"):
            (work / name).mkdir()
        sites = head.get("layout", {}).get("site_packages", ())
        self.has_byte_code = any(any((self.unpacked / e).glob("*/__pycache__")) for e in sites)
        self.room = self._room(writable=False)

    # rooms

    def _room(self, *, writable: bool) -> Room:
        furniture = Furniture(
            unpacked=self.unpacked,
            inside=self.inside,
            byte_code=None if self.has_byte_code else self.work / "pycache",
            beside=self.request.beside,
            sight=self.request.sight,
        )
        if self.maker is None:
            return self._open_room(furniture)
        make = bare_room if self.request.room == "bare" else hidden_room
        return make(furniture, self.maker, writable=writable)

    def _open_room(self, furniture: Furniture) -> Room:
        """Return a way to run commands in place, with nothing hidden."""
        home = str(self.work / "home")
        pycache = (
            {} if furniture.byte_code is None else {"PYTHONPYCACHEPREFIX": str(furniture.byte_code)}
        )
        root = str(self.unpacked)
        path = f"{root}/{self.scripts}:{os.environ.get('PATH', os.defpath)}"
        variables = {**os.environ, "HOME": home, "TMPDIR": home, "PATH": path, **pycache}
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"):
            variables.pop(name, None)
        return Room(root=root, environ=variables)

    def _home(self, original: Original) -> Runner:
        """Return a runner for the original, which is read-only unless the room is `none`."""
        home = str(self.work / "home")
        variables = {
            **without_session(os.environ),
            "HOME": home,
            "TMPDIR": home,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": f"{original.python.parent}:{os.environ.get('PATH', os.defpath)}",
        }
        options: tuple[str, ...] = ()
        if self.maker is not None:
            options = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", home)
        room = Room(
            root=str(original.prefix),
            environ=variables,
            maker=self.maker,
            options=options,
            home=home,
        )
        return Runner(room=room, python=str(original.python), processes=self.processes)

    def _runner(self) -> Runner:
        python = f"{self.room.root}/{self.scripts}/python"
        return Runner(room=self.room, python=python, processes=self.processes)

    # the proof

    def proof(self) -> Proof:
        self._connect()
        runner = self._runner()
        facts, ended = runner.facts()
        problem = _misplaced(facts, ended, self.room.root, self.head)
        if problem is not None:
            if not self._original_runs():
                return self.request.unproved("the environment's own interpreter does not run here")
            raise ProofError(_FAILED, [self._readable(f"the interpreter {problem}")])
        questions = questions_of(self.unpacked, self.head, self.request.asked)
        ran, failed, excused = self._asked(runner, questions)
        if failed:
            raise ProofError(_FAILED, [*self._problems(failed)])
        started = Answer(question=_INTERPRETER, ran=True, seconds=ended.seconds)
        return Proof(
            asked=self.request.asked,
            room=self.request.room,
            made_by=None if self.maker is None else self.maker.name,
            counts=tuple(counted([started, *ran], excused)),
            passed_over=tuple(replace(each, said=self._readable(each.said)) for each in excused),
        )

    def _connect(self) -> None:
        """Run the post-install script of an archive that needs it.

        Raises:
            ProofError: if it fails.
        """
        if self.head["interpreter"] in ("bundled", "promised"):
            return
        base = self._base()
        if base is None:
            message = "no interpreter of its version was found here to connect it to"
            raise NoRoomError(message)
        room = self._room(writable=True)
        runner = Runner(room=room, python=base, processes=self.processes)
        # Compiling everything would take longer than the questions, which compile what they need.
        ended = runner.run([base, "-I", f"{room.root}/{POSTINSTALL}", "--no-compile"])
        if ended.status != 0:
            said = " ".join(ended.output.split())[-1000:]
            raise ProofError(_FAILED, [self._readable(f"{POSTINSTALL} {ended.described}: {said}")])

    def _base(self) -> str | None:
        """Return the interpreter that the archive is connected to."""
        runtime = self.head.get("neighbours", {}).get("base_runtime")
        if runtime is not None:
            return f"{self.room.root}/{runtime['path']}/{runtime['python']}"
        return None if self.request.base is None else str(self.request.base)

    def _original_runs(self) -> bool:
        if self.request.original is None:
            return True
        return self._home(self.request.original).facts()[0] is not None

    def _asked(
        self, runner: Runner, questions: Sequence[Question]
    ) -> tuple[list[Answer], list[Answer], list[Answer]]:
        """Return the answers that succeeded, those that failed, and those that are excused."""
        remembered = self._remembered()
        known = {} if remembered is None else remembered.read()
        excused = [known[each] for each in questions if each in known]
        excused += [
            Answer(question=each, ran=False, seconds=0.0)
            for each in questions
            if (each.kind, each.name) in self.request.excused
        ]
        settled = {each.question for each in excused}
        asked = [each for each in questions if each not in settled]
        with self.request.running(len(asked)) as advance:
            answers = replace(runner, told=advance).answers(asked)
        ran = [each for each in answers if each.ran]
        failed = [each for each in answers if not each.ran]
        if self.request.original is not None and failed:
            home = self._home(self.request.original)
            failed, more = self._compared(
                runner, failed, home.answers([f.question for f in failed])
            )
            if remembered is not None and more:
                remembered.add(each for each in more if each.question.kind != "command")
            excused += more
        again = [each for each in failed if each.ran]
        return [*ran, *again], [each for each in failed if not each.ran], excused

    def _compared(
        self, runner: Runner, failed: Sequence[Answer], at_home: Sequence[Answer]
    ) -> tuple[list[Answer], list[Answer]]:
        """Return what fails in the archive alone, and what fails in both.

        Modules and entry points that took too long are tried once more, with more time.
        """
        alone, both = [], []
        for here, there in zip(failed, at_home, strict=True):
            absent = not there.ran and _is_absent(there)
            if not there.ran and here.status == there.status and not absent:
                both.append(there)
                continue
            late = here.late and here.question.kind != "command"
            again = runner.answers([here.question], PATIENT) if late else [here]
            alone += [replace(each, compared=not absent) for each in again]
        return alone, both

    def _remembered(self) -> HomeAnswers | None:
        original = self.request.original
        if original is None:
            return None
        version = self.head["python"]["version"]
        digest = self.head["content_digest"]
        return HomeAnswers.of(digest, original.prefix, f"{self.request.base} {version}")

    # what is reported

    def _problems(self, failed: Iterable[Answer]) -> Iterator[str]:
        sites = tuple(self.head.get("layout", {}).get("site_packages", ()))
        known = Known(
            root=self.room.root,
            folders=(*sites, *(os.path.dirname(each) for each in sites)),
            left_out=self.request.left_out,
            hidden=tuple(map(str, self.request.sight.hidden)),
            left=frozenset(self.head.get("bundle", {}).get("left_to_the_target", ())),
            variables=frozenset(os.environ).difference(self.room.environ),
        )
        for answer in failed:
            cause = known.cause(answer.said)
            said = self._readable(answer.said)
            does = "runs in the environment but not" if answer.compared else "does not run"
            more = "" if cause is None else f"; {cause}"
            yield f"{answer.question.shown} {does} here: {said}{more}"

    def _readable(self, said: str) -> str:
        """Return a text in which the archive's files are named relative to its root."""
        return said.replace(f"{self.room.root}/", "")


_INTERPRETER: Final = Question(kind="interpreter", name="python")


def _is_absent(answer: Answer) -> bool:
    """Whether a module is not installed in the environment asked, which proves nothing about it."""
    top = answer.question.module.partition(".")[0]
    return bool(top) and f"No module named '{top}" in answer.said


def _misplaced(
    facts: Mapping[str, Any] | None, ended: Ended, root: str, head: Mapping[str, Any]
) -> str | None:
    """Return what is wrong with an interpreter's facts about itself, or `None`."""
    if facts is None:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return f"{ended.described}: {' | '.join(lines[-3:])}"
    if facts["prefix"] != root:
        return f"reports {facts['prefix']} as its prefix but is in {root}"
    version = head["python"]["version"]
    if head["interpreter"] == "bundled":
        if facts["version"] != version:
            return f"has version {facts['version']}, but {version} was packed"
        for path in (facts["base_prefix"], facts["stdlib"], *facts["path"]):
            if path != root and not path.startswith(f"{root}/"):
                return f"looks for modules in {path} but is in {root}"
    return None
