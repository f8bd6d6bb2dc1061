"""Compiled modules, kernels and data files of a moved environment, with originals hidden."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from support import hiding
from support.environments import make_environment, run
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import State, extract, tree_state

from hatch_pack_venv import PackOptions, PackResult, pack
from hatch_pack_venv.binary.elf import ElfHeaders
from hatch_pack_venv.model.errors import PackVenvError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network, pytest.mark.slow]

START_KERNEL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="here", startup_timeout=120)
told = []
client.execute_interactive(
    "import sys; print(sys.prefix)", timeout=120, output_hook=lambda m: told.append(m["content"])
)
client.stop_channels()
manager.shutdown_kernel(now=True)
print("".join(content.get("text", "") for content in told))
"""
CHECK_RECORD = """
import base64, hashlib, importlib.metadata, markupsafe._speedups as module
(row,) = [file for file in importlib.metadata.files("markupsafe") if file.suffix == ".so"]
data = row.locate().read_bytes()
assert row.size == len(data)
digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
assert row.hash.value == digest.rstrip("=")
print(module.__file__)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An environment with a kernel and a compiled module, and its unpacked archives."""

    python: Python
    environment: Path
    before: State
    results: dict[str, PackResult]
    roots: dict[str, Path]

    @property
    def originals(self) -> list[Path]:
        return [self.environment, self.python.prefix]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("places")
    python = bundlable()[-1]
    environment = make_environment(
        folder / "environment",
        python,
        ["ipykernel", "jupyter-client", "markupsafe", "--no-binary=markupsafe"],
        by="uv",
        cache=folder / "cache",
    )
    run(environment / "bin/python", "-m", "ipykernel", "install", "--sys-prefix", "--name", "here")
    (environment / "lib/pkgconfig").mkdir()
    (environment / "lib/pkgconfig/x.pc").write_text(f"prefix={environment}\n")
    before = tree_state(environment)
    results, roots = {}, {}
    for mode in ("bundled", "target"):
        options = PackOptions.from_mapping({"interpreter": mode, "format": "tar"})
        (results[mode],) = pack(environment, folder / mode, options)
        with tarfile.open(results[mode].path) as tar:
            extract(tar, folder / "elsewhere" / mode)
        (roots[mode],) = (folder / "elsewhere" / mode).iterdir()
    run(python.path, roots["target"] / "postinstall.py", "--no-compile")
    return Made(python=python, environment=environment, before=before, results=results, roots=roots)


def extension(root: Path) -> Path:
    (path,) = root.glob("lib/python3.*/site-packages/markupsafe/_speedups.*.so")
    return path


def dynamic_segment(elf: bytes) -> Any:
    segments = ELFFile(io.BytesIO(elf)).iter_segments()
    return next(segment for segment in segments if isinstance(segment, DynamicSegment))


def search_paths(elf: bytes) -> list[str]:
    """Return the search paths as a reader other than the packer's own finds them."""
    return [
        getattr(tag, tag.entry.d_tag[3:].lower())
        for tag in dynamic_segment(elf).iter_tags()
        if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")
    ]


def test_the_originals_named_their_places(made: Made) -> None:
    """The originals have a search path to the base and a kernel with its full path."""
    assert search_paths(extension(made.environment).read_bytes()) == [f"{made.python.prefix}/lib"]
    spec = json.loads((made.environment / "share/jupyter/kernels/here/kernel.json").read_text())
    assert spec["argv"][0].startswith(str(made.environment))


@pytest.mark.parametrize(("mode", "expected"), [("bundled", ["$ORIGIN/../../.."]), ("target", [])])
def test_a_compiled_module_names_no_place_and_loads(
    made: Made, mode: str, expected: list[str]
) -> None:
    """Its search path leads to the bundled library or is gone, and its RECORD is correct."""
    root = made.roots[mode]
    content = extension(root).read_bytes()
    assert search_paths(content) == expected
    hide = made.originals if mode == "bundled" else [made.environment]
    done = hiding.run_hidden([root / "bin/python", "-I", "-c", CHECK_RECORD], hide=hide)
    assert (done.stdout.strip(), done.stderr) == (str(extension(root)), "")


def test_the_fast_reader_sees_what_another_reader_sees(made: Made) -> None:
    """Both find the same libraries, search paths and symbol names, whatever the hash table."""
    libraries = [extension(made.environment), *made.python.prefix.glob("lib/libpython3.*.so.1.0")]
    for path in [*libraries, made.python.path]:
        content = path.read_bytes()
        segment = dynamic_segment(content)
        section = ElfHeaders.from_stream(io.BytesIO(content))
        assert section is not None
        assert section.needed == tuple(tag.needed for tag in segment.iter_tags("DT_NEEDED"))
        assert [text.text for text in section.search_paths] == search_paths(content)
        symbols = [symbol.entry.st_name for symbol in segment.iter_symbols()]
        assert section.symbol_names(io.BytesIO(content)) == symbols


def test_the_environment_and_the_cache_are_only_read(made: Made) -> None:
    """No inode that the environment shares with uv's cache was written."""
    assert tree_state(made.environment) == made.before


def test_nothing_else_names_a_place_of_the_machine(made: Made) -> None:
    """There are no findings, and no unpacked text file contains the environment's path."""
    assert [result.findings for result in made.results.values()] == [(), ()]
    for root in made.roots.values():
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink() and root / "bin/python" != path:
                content = path.read_bytes()
                if b"\0" not in content and path.name != "pyvenv.cfg":
                    assert str(made.environment).encode() not in content, path


def test_the_kernel_starts_where_it_was_unpacked(made: Made, tmp_path: Path) -> None:
    """jupyter_client starts the kernel with the moved interpreter, without another step."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    root = made.roots["bundled"]
    done = hiding.run_hidden(
        [root / "bin/python", "-c", START_KERNEL], hide=made.originals, env=variables
    )
    assert done.stdout.strip() == str(root), done.stderr


def test_a_script_that_would_break_stops_the_packing(made: Made, tmp_path: Path) -> None:
    """A script whose head no rule rewrites is named in an error before anything is written."""
    environment = make_environment(tmp_path / "environment", made.python, by="uv")
    script = environment / "bin/build-site"
    script.write_text(f"#!{environment}/bin/node\n")
    options = PackOptions.from_mapping({"interpreter": "target", "format": ["tar", "zip"]})
    with pytest.raises(PackVenvError, match=r"bin/build-site starts with .*: reinstall or exclude"):
        pack(environment, tmp_path / "app", options)
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]
    left_out = PackOptions.from_mapping({"interpreter": "target", "exclude-files": ["build-site"]})
    assert pack(environment, tmp_path / "app", left_out)[0].findings == ()
