"""LinuxFileRequirements of real wheels, compared with auditwheel's results."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from support.environments import run, shared, tool

from hatch_pack_venv.binary.headers import HeaderReader
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.platforms.linux.requirements import LinuxFileRequirements

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or sys.maxsize < 2**32, reason="auditwheel is for Linux"
    ),
    pytest.mark.network,
]
PYTHON = Path(sys.executable).resolve()
# One for each level: nothing else checks the tag in a wheel's name.
WHEELS = {
    ("3.9", "manylinux_2_5 manylinux1 manylinux_2_12 manylinux2010"): ["markupsafe==2.0.1"],
    ("3.12", "manylinux_2_17 manylinux2014 manylinux_2_24 manylinux_2_27 manylinux_2_28"): [
        "bcrypt==5.0.0",
        "contourpy==1.3.3",
        "greenlet==3.5.6",
        "pyyaml==6.0.3",
    ],
    ("3.12", "manylinux_2_34"): ["bcrypt==5.0.0"],
    ("3.12", "musllinux_1_1 musllinux_1_2"): ["markupsafe==3.0.2"],
}
TAG = re.compile(r'platform tag:\s+"((?:many|musl)linux)_(\d+)_(\d+)_x86_64"')
POLICIES = sorted(
    tuple(map(int, policy["name"].split("_")[1:]))
    for policy in json.loads(
        files("auditwheel.policy").joinpath("manylinux-policy.json").read_text()
    )
    if policy["name"] != "linux"
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Download wheels for the tests' own use."""

    def download(folder: Path) -> None:
        for (python, platforms), requirements in WHEELS.items():
            options = ["--no-deps", "--only-binary", ":all:", "--python-version", python]
            for platform in platforms.split():
                options += ["--platform", f"{platform}_x86_64"]
            run(
                sys.executable, "-m", "pip", "download", "-q", "-d", folder, *options, *requirements
            )

    return sorted(shared(tmp_path_factory, "auditwheel", download).iterdir())


def entries_of(wheel: Path) -> list[FileEntry]:
    """Return a wheel's files as entries of site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        return [
            FileEntry.from_bytes(f"lib/python3.12/site-packages/{name}", archive.read(name))
            for name in archive.namelist()
        ]


def floor_of(entries: list[FileEntry]) -> str:
    return (
        LinuxFileRequirements.read(entries, PYTHON, HeaderReader())
        .of(entries)
        .platform_tag("linux_x86_64")
    )


def as_policy(tag: str) -> tuple[str, int, int]:
    """Return the lowest policy of auditwheel that has a tag's version of glibc."""
    libc, *numbers = tag.removesuffix("_x86_64").split("_")
    version = tuple(map(int, numbers))
    if libc == "manylinux":
        version = next(policy for policy in POLICIES if policy >= version)
    return libc, version[0], version[1]


def test_every_floor_is_what_auditwheel_says(wheels: list[Path]) -> None:
    """The floors agree from manylinux1 to manylinux_2_34, with a system libstdc++, and for musl."""
    said = {}
    for wheel in wheels:
        text = run(tool("auditwheel"), "show", wheel)
        found = TAG.search(text)
        assert found, text
        said[wheel.name] = (found[1], int(found[2]), int(found[3]))
    assert {wheel.name: as_policy(floor_of(entries_of(wheel))) for wheel in wheels} == said
    assert len(set(said.values())) >= 6


def test_an_archives_tag_is_the_highest_of_its_wheels_and_its_interpreter(
    wheels: list[Path],
) -> None:
    """All glibc wheels together with an interpreter: the highest of all."""
    entries = [[FileEntry.from_bytes("bin/python3.12", PYTHON.read_bytes())]]
    entries += [entries_of(wheel) for wheel in wheels if "musllinux" not in wheel.name]
    together = [
        FileEntry.from_bytes(f"{number}/{entry.arcname}", content)
        for number, each in enumerate(entries)
        for entry in each
        if isinstance(content := entry.content, bytes)
    ]
    alone = [as_policy(floor_of(each)) for each in entries]
    assert as_policy(floor_of(together)) == max(alone)
