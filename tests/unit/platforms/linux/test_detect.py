"""What an environment's files say about an interpreter that is not on this machine."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.binaries import make_elf

from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.platforms.linux.detect import (
    VENVSTACKS,
    interpreter_of,
    is_installation,
    is_stack_layer,
)

if TYPE_CHECKING:
    from hatch_pack_venv.model.interpreter import Interpreter

SITE: Final = "lib/python3.12/site-packages"
PYTHON: Final = Path("/elsewhere/bin/python3.12")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a folder with an empty site-packages."""
    (tmp_path / SITE).mkdir(parents=True)
    return tmp_path


def read(tree: Path, site: str = SITE, **config: str) -> Interpreter:
    return interpreter_of(tree, config, site, PYTHON)


@pytest.mark.parametrize(
    ("key", "text"),
    [("version", "3.12.1"), ("version_info", "3.12.1.final.0"), ("version_info", "3.12.1")],
)
def test_the_release_stands_in_the_configuration(tree: Path, key: str, text: str) -> None:
    """As venv, virtualenv and uv write it."""
    found = read(tree, **{key: text})
    assert (found.version, found.minor, found.abi) == ("3.12.1", "3.12", "cp312")
    assert (found.executable, found.base_prefix) == (PYTHON, Path("/elsewhere"))
    assert not found.is_here
    assert found.assumed == ()


def test_a_free_threaded_one_is_known_by_its_folder(tree: Path) -> None:
    """The `t` is in the name of its library's folder."""
    assert read(tree, "lib/python3.13t/site-packages", version="3.13.0").abi == "cp313t"


def test_the_release_stands_in_venvstacks_file(tree: Path) -> None:
    """It is read from there if there is no configuration yet."""
    assert not is_stack_layer(tree)
    (tree / VENVSTACKS).parent.mkdir(parents=True)
    (tree / VENVSTACKS).write_text(json.dumps({"py_version": "3.12.7"}))
    assert is_stack_layer(tree)
    assert read(tree).version == "3.12.7"


@pytest.mark.parametrize("text", ["{", "[]", '{"py_version": 3}'])
def test_a_release_that_nothing_tells_is_said_to_be_unknown(tree: Path, text: str) -> None:
    """Only X.Y, which is known, is recorded."""
    (tree / VENVSTACKS).parent.mkdir(parents=True)
    (tree / VENVSTACKS).write_text(text)
    found = read(tree)
    assert found.version == "3.12"
    assert [each for each in found.assumed if "states its full Python version" in each]


def test_a_release_of_another_python_is_refused(tree: Path) -> None:
    """Packages are for one Python version."""
    with pytest.raises(EnvironmentProblem, match=r"Python 3\.12, but .* with Python 3\.11\.4:"):
        read(tree, version="3.11.4")


@pytest.mark.parametrize(
    ("machine", "wide", "name"),
    [(62, True, "x86_64"), (183, True, "aarch64"), (3, False, "i686"), (243, True, "riscv64")],
)
def test_the_machine_is_that_of_compiled_modules(
    tree: Path, machine: int, name: str, *, wide: bool
) -> None:
    """The first file with a known machine counts."""
    elf = bytearray(make_elf(wide=wide))
    (tree / SITE / "a.cpython-312-x-linux-gnu.so").write_bytes(b"no library")
    elf[18:20] = machine.to_bytes(2, "little")
    (tree / SITE / "lib.so.1").write_bytes(elf)
    found = read(tree, version="3.12.1")
    assert (found.machine, found.platform) == (name, f"linux-{name}")
    assert found.pointer_bits == (64 if wide else 32)
    assert found.assumed == ()


def test_an_unknown_machine_is_told(tree: Path) -> None:
    """This machine's is recorded; where nothing is compiled, that does not matter."""
    assert read(tree, version="3.12.1").machine == platform.machine()
    elf = bytearray(make_elf())
    elf[18:20] = (9999).to_bytes(2, "little")
    (tree / SITE / "fast.cpython-312-odd-linux-gnu.so").write_bytes(elf)
    (note,) = read(tree, version="3.12.1").assumed
    assert f"is compiled for is not known: {platform.machine()} was recorded" in note


def test_an_installation_has_the_standard_library(tree: Path) -> None:
    """An environment has none."""
    assert not is_installation(tree)
    (tree / "lib/python3.12/os.py").write_text("")
    assert is_installation(tree)
