"""Environments, entries and sinks made by hand: no disk, no process."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatch_pack_venv.model.distribution import Editable, Exposed, InstalledDistribution
from hatch_pack_venv.model.entries import (
    DirectoryEntry,
    Entry,
    FileEntry,
    LinkTarget,
    ScannedEntry,
    SymlinkEntry,
    TargetKind,
)
from hatch_pack_venv.model.environment import Environment
from hatch_pack_venv.model.interpreter import Interpreter
from hatch_pack_venv.plan.build import PlanInputs, build_plan
from hatch_pack_venv.platforms.posix.launchers import relocate_script
from hatch_pack_venv.scan.editables import resolve_editables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_pack_venv.model.plan import PackPlan
    from hatch_pack_venv.scan.editables import ResolvedEditables
    from hatch_pack_venv.write.sinks import Content

PREFIX = Path("/build/env")
SITE = "lib/python3.11/site-packages"

INTERPRETER = Interpreter(
    version="3.11.7",
    minor="3.11",
    implementation="cpython",
    abi="cp311",
    cache_tag="cpython-311",
    pointer_bits=64,
    system="linux",
    machine="x86_64",
    platform="linux-x86_64",
    executable=Path("/opt/python/bin/python3.11"),
    base_prefix=Path("/opt/python"),
    stdlib=Path("/opt/python/lib/python3.11"),
    platlibdir="lib",
)


def environment(*distributions: InstalledDistribution, **changes: Any) -> Environment:
    """Return an environment at `PREFIX` that exists nowhere."""
    facts: dict[str, Any] = {
        "prefix": PREFIX,
        "requested": PREFIX,
        "config": {"home": "/opt/python/bin"},
        "interpreter": INTERPRETER,
        "site_packages": (SITE,),
        "distributions": distributions,
    }
    return Environment(**{**facts, **changes})


def distribution(name: str, *files: str, **changes: Any) -> InstalledDistribution:
    """Return an installed distribution that owns some files of site-packages."""
    source = changes.pop("editable_source", None)
    facts: dict[str, Any] = {
        "editable": None if source is None else Editable(source=source),
        "name": name,
        "version": "1.0",
        "metadata_dir": f"{SITE}/{name}-1.0.dist-info",
        "files": frozenset(files),
    }
    return InstalledDistribution(**{**facts, **changes})


def file(arcname: str, content: bytes = b"", **changes: Any) -> FileEntry:
    """Return a file."""
    return FileEntry.from_bytes(arcname, content, **changes)


def folder(arcname: str, mtime: int = 0) -> DirectoryEntry:
    """Return a folder."""
    return DirectoryEntry(arcname=arcname, mtime=mtime)


def link(arcname: str, linkname: str, target: str, kind: TargetKind | None = None) -> SymlinkEntry:
    """Return a scanned link; `target` is relative to `PREFIX`, or absolute for one outside."""
    path = PREFIX / target
    inside = path.is_relative_to(PREFIX)
    kind = kind or (TargetKind.INTERNAL if inside else TargetKind.EXTERNAL_FILE)
    return SymlinkEntry(
        arcname=arcname, linkname=linkname, target=LinkTarget(kind=kind, path=path), mtime=0
    )


def inputs(**changes: Any) -> PlanInputs:
    """Return inputs for target mode."""
    facts: dict[str, Any] = {"name": "app", "install_target": "app", "interpreter": "target"}
    return PlanInputs(**{**facts, **changes})


def plan(*scanned: ScannedEntry, **changes: Any) -> PackPlan:
    """Plan entries with the default inputs and environment, or others."""
    arguments: dict[str, Any] = {"environment": environment(), "inputs": inputs()}
    return build_plan(scanned, **{**arguments, **changes})


def names(entries: Iterable[Entry]) -> list[str]:
    """Return the arcnames of entries."""
    return [entry.arcname for entry in entries]


def direct_url(path: Path) -> str:
    """Return the `direct_url.json` of an editable install."""
    return json.dumps({"url": f"file://{path}", "dir_info": {"editable": True}})


def problem_of(resolved: ResolvedEditables) -> str | None:
    """Return why the last distribution could not be copied."""
    last = resolved.environment.distributions[-1].editable
    return None if last is None else last.problem


class ListSink:
    """A sink that is a list."""

    def __init__(self, *, holds_links: bool = True) -> None:
        self.holds_links = holds_links
        self.shares_files = False
        self.entries: list[Entry] = []
        self.contents: dict[str, bytes] = {}
        self.closed = False

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Keep a folder."""
        self.entries.append(entry)

    def add_link(self, entry: SymlinkEntry) -> None:
        """Keep a link."""
        self.entries.append(entry)

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes) -> None:
        """Keep a file that was read."""
        assert digest == hashlib.sha256(data).digest()
        self.entries.append(entry)
        self.contents[entry.arcname] = data

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Keep a file and its content."""
        data = stream.read()
        self.add_bytes(entry, data, stream.digest())

    def close(self, _digest: str) -> None:
        """Remember the end."""
        self.closed = True

    def discard(self) -> None:
        """Forget everything."""
        self.entries.clear()


def editable(name: str, folder: Path, **changes: object) -> InstalledDistribution:
    """Return a distribution whose path file adds a folder."""
    facts = {
        "source": str(folder),
        "hooks": frozenset({f"{SITE}/{name}.pth"}),
        "lines": frozenset({str(folder)}),
        "exposed": (Exposed(name="", path=folder),),
        **changes,
    }
    return distribution(name, f"{SITE}/{name}.pth", editable=Editable(**facts))  # type: ignore[arg-type]


def copied(tmp_path: Path, *distributions: InstalledDistribution) -> ResolvedEditables:
    """Resolve the editable distributions of an environment below `tmp_path`."""
    prefix = tmp_path / "env"
    return resolve_editables(environment(*distributions, prefix=prefix, requested=prefix), "copy")


SCRIPT_PREFIX = "/srv/my env"


def relocated_script(
    body: bytes, *, head: bytes = f"#!{SCRIPT_PREFIX}/bin/python3.11\n".encode()
) -> bytes:
    """Return the body behind our header, which must compile and not change if relocated again."""
    result = relocate_script(head + body, [SCRIPT_PREFIX])
    assert result is not None
    compile(result, "script", "exec")
    assert relocate_script(result, [SCRIPT_PREFIX]) == result
    return result


FUTURE = "from __future__ import annotations\n"


SCRIPT_BODIES = {
    "none": "import os\n",
    "nothing": "",
    "simple": '"""One line."""\nimport os\n',
    "single quotes": "'One line.'\nx = 1",
    "future": f'"""Doc."""\n{FUTURE}x: Unknown = 1\n',
    "future only": f"{FUTURE}x: Unknown = 1\n",
    "futures": f'"""Doc."""\n{FUTURE}\n# why\nfrom __future__ import (division,\n  generators)\n',
    "raw": f'r"""\\d+ "quoted" \\."""\n{FUTURE}',
    "unicode": f"u'Doc.'\n{FUTURE}",
    "capitals": f"R'''\\Doc'''\n{FUTURE}",
    "concatenated": f"'a' \"b\" \\\n  '''c'''\n{FUTURE}",
    "parentheses": f"('a'  # one\n 'b')\n{FUTURE}",
    "after comments": f'\n# Licence\n\n  # more\n"""Doc."""  # noqa\n\n{FUTURE}',
    "indented": f'"""  First.\n\n    Second\n      third.\n    """\n{FUTURE}',
    "header's words": "''':' exec\n\"$0\" '''\nx = 1\n",
    "semicolons": '"""Doc."""; from __future__ import annotations ;x = __doc__; y = 1\n',
    "semicolon at the end": f'"""Doc.""" ;\n{FUTURE.strip()};\nx = 1\n',
    "no newline": '"""Doc."""',
    "no newline after future": f'"""Doc."""\n{FUTURE.strip()}',
    "bytes": "b'no docstring'\nx = 1\n",
    "formatted": "f'no docstring'\nx = 1\n",
    "expression": "'no docstring'.strip()\nx = 1\n",
    "tuple": "('no', 'docstring')\n",
    "compound": "if True:\n    '''no docstring'''\n",
    "non-ASCII": f'"""Grüße, €, 🐍."""\n{FUTURE}ä = 1\n',
    "form feed": f'"""Doc."""\n\f\n{FUTURE}',
    "page": f'"""a\fb\x1c\x85\u2028c"""\n{FUTURE}',
    "own use": f'"""Doc."""\n{FUTURE}x = __doc__\ndef f():\n    """Inner."""\n',
}


def fake_interpreter(_: Path) -> Interpreter:
    return INTERPRETER
