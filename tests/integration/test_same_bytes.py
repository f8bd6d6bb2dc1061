"""Archives made by different Pythons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.environments import make_environment, run
from support.interpreters import newest_of_each
from support.machine import has, require
from support.projects import ROOT

from hatch_pack_venv import CompressionFormat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.slow]

_WRITE = """
import json, random, shutil, sys
from pathlib import Path
from support.fakes import file, folder, link, plan
from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.write.archive import write_archives
from hatch_pack_venv.model.formats import CompressionOptions
source = random.Random(1)
words = [source.randbytes(5) for _ in range(500)]
data = b"".join(words[source.randrange(500)] for _ in range(500_000))
planned = plan(
    file("a.so", data), file("b.py", data[::-1]), file("n\\u00e4me", b"1"), folder("d"),
    link("l", "b.py", "b.py"), *(file(f"d/{n}.py", data[n : 9 * n]) for n in range(200)),
)
found = {}
formats = [*CompressionFormat]
if not shutil.which("mksquashfs"):
    formats.remove(CompressionFormat.SQUASHFS)
for format in formats:
    for threads in (1, 3):
        options = CompressionOptions(threads=threads)
        (result,) = write_archives(planned, Path(sys.argv[1], "a"), [format], compression=options)
        found[f"{format.suffix} {threads}"] = [result.sha256, result.content_digest]
print(json.dumps(found))
"""

PYTHONS = [python for python in newest_of_each() if python.number >= (3, 11)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Write the same plan with every Python that can run the build, with 1 and 3 threads."""
    folder = tmp_path_factory.mktemp("pythons")
    found = {}
    for python in PYTHONS:
        environment = make_environment(folder / python.minor, python, [str(ROOT)], by="uv")
        out: Path = folder / f"{python.minor}.out"
        output = run(
            environment / "bin/python", "-c", _WRITE, out, cwd=ROOT, env={"PYTHONPATH": "tests"}
        )
        found[python.version] = json.loads(output)
    return found


def test_the_pythons_are_several() -> None:
    """What follows compares at least 3.11, 3.12 and 3.13."""
    require("CPython 3.11", "CPython 3.12", "CPython 3.13")
    assert {python.minor for python in PYTHONS} >= {"3.11", "3.12", "3.13"}


def test_every_python_writes_the_same_bytes(written: dict[str, dict[str, list[str]]]) -> None:
    """Every Python gives the same archives where liblzma and libbz2 are the same."""
    first, *others = written.values()
    assert len(first) == 2 * (len(CompressionFormat) - (not has("mksquashfs")))
    assert others == [first] * len(others)


def test_threads_and_formats_do_not_show(written: dict[str, dict[str, list[str]]]) -> None:
    """One archive for any number of threads, one content digest for all of them."""
    for archives in written.values():
        for name, facts in archives.items():
            assert facts == archives[f"{name.split()[0]} 1"]
        assert len({digest for _, digest in archives.values()}) == 1
