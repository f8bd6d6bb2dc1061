"""Relocation of data files that name their environment."""

from __future__ import annotations

import json

import pytest
from support.fakes import environment, file, plan

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.platforms.posix.data_files import may_be_rewritten, relocate_data_file

KERNEL = "share/jupyter/kernels/here/kernel.json"
PREFIXES = ("/link/env", "/build/env")


def kernelspec(*argv: str, **more: object) -> bytes:
    return json.dumps({"argv": argv, "display_name": "Hier", **more}, indent=1).encode()


@pytest.mark.parametrize("python", ["python", "python3", "python3.11", "python3.13t"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_kernel_is_started_by_the_interpreter_that_jupyter_runs_on(
    prefix: str, python: str
) -> None:
    """The environment's own Python becomes plain `python`; everything else stays, in order."""
    command = [f"{prefix}/bin/{python}", "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
    moved = relocate_data_file(KERNEL, kernelspec(*command, metadata={"a": 1}), PREFIXES)
    assert moved is not None
    assert list(json.loads(moved).items()) == [
        ("argv", ["python", *command[1:]]),
        ("display_name", "Hier"),
        ("metadata", {"a": 1}),
    ]


def test_other_arguments_begin_at_the_kernelspecs_folder() -> None:
    """Other paths into the environment begin at `{resource_dir}`; longer names do not match."""
    spec = kernelspec("/build/env/bin/kernel", "--config=/build/env/etc/k.py", "/build/env2/x")
    moved = relocate_data_file(KERNEL, spec, PREFIXES)
    assert moved is not None
    up = "{resource_dir}/../../../.."
    assert json.loads(moved)["argv"] == [
        f"{up}/bin/kernel",
        f"--config={up}/etc/k.py",
        "/build/env2/x",
    ]


def test_a_prefix_that_json_escapes_is_found() -> None:
    """Letters outside ASCII may be written as `\\u00fc`."""
    moved = relocate_data_file(KERNEL, kernelspec("/bü/env/bin/python", "-m", "x"), ["/bü/env"])
    assert moved is not None
    assert json.loads(moved)["argv"][0] == "python"


@pytest.mark.parametrize(
    "content",
    [
        kernelspec("python", "-m", "x"),
        kernelspec("/usr/bin/python3", "-m", "x"),
        b'{"argv": "/build/env/bin/python"',
        b'{"argv": ["/build/env/bin/python", 1]}',
        b'["/build/env"]',
    ],
)
def test_what_is_no_kernelspec_of_the_environment_stays(content: bytes) -> None:
    """A portable one, a foreign one and a damaged one are left alone."""
    assert relocate_data_file(KERNEL, content, PREFIXES) is None


def test_pkg_config_begins_at_the_files_own_folder() -> None:
    """Every path into the environment begins at `${pcfiledir}`."""
    content = b"prefix=/build/env\nlibdir=/build/env/lib\nCflags: -I${prefix}/x -I/build/envy\n"
    assert relocate_data_file("lib/pkgconfig/x.pc", content, PREFIXES) == (
        b"prefix=${pcfiledir}/../..\nlibdir=${pcfiledir}/../../lib\n"
        b"Cflags: -I${prefix}/x -I/build/envy\n"
    )


@pytest.mark.parametrize(
    ("arcname", "is_one"),
    [
        (KERNEL, True),
        ("share/jupyter/kernels/kernel.json", False),
        ("lib/python3.11/site-packages/ipykernel/resources/kernel.json", False),
        ("share/pkgconfig/x.pc", True),
        ("share/applications/x.desktop", False),
        ("etc/systemd/system/x.service", False),
    ],
)
def test_kinds_that_know_no_relative_path_stay(arcname: str, is_one: bool) -> None:
    """Only kernelspecs in Jupyter's own folder and `.pc` files are rewritten."""
    assert may_be_rewritten(arcname) is is_one


def test_the_plan_rewrites_them() -> None:
    """A kernelspec with the old prefix is packed without it."""
    packed = plan(file(KERNEL, kernelspec("/build/env/bin/python")), environment=environment())
    (entry,) = [entry for entry in packed.entries if entry.arcname == KERNEL]
    assert isinstance(entry, FileEntry)
    assert isinstance(entry.content, bytes)
    assert (b"/build/env" in entry.content, entry.size) == (False, len(entry.content))
