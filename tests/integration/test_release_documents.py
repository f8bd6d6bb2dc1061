"""Bills of materials and other release documents of real environments, checked with other tools."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from support.documents import (
    MANIFEST,
    SBOM,
    check_cyclonedx,
    checked_sbom,
    read_member,
    walk,
)
from support.environments import make_environment, run, shared, tool
from support.interpreters import bundlable
from support.machine import require
from support.trees import make_wheel

from hatch_pack_venv import PackOptions, create_archive, pack
from hatch_pack_venv.model.errors import PlanError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv import PackResult

SECRET = "ghp_s3cretT0ken"  # noqa: S105 - not a real one
CDX = ".cdx.json"
# This machine's names, if they are long enough not to occur in a licence.
_OF_HERE = (os.uname().nodename, os.path.expanduser("~"))
PRIVATE = (SECRET, "jane", *(word for word in _OF_HERE if len(word) > 5))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with two distributions, one of them from a URL with a token."""

    def fill(folder: Path) -> None:
        require("shared CPython")
        env = make_environment(folder / "jane-doe/env", bundlable()[-1], by="uv")
        (site,) = env.glob("lib/python*/site-packages")
        for name, more in {
            "first": b"Requires-Dist: second\nLicense-Expression: MIT\nAuthor: Ann\n",
            "second": b"License: BSD\nLicense-File: LICENSE\n",
        }.items():
            files = {
                f"{name}/__init__.py": b"x = 1\n",
                f"{name}-1.0.dist-info/LICENSE": f"licence of {name}\n".encode(),
            }
            wheel = make_wheel(folder, files, f"{name}-1.0-py3-none-any.whl", more)
            run(tool("uv"), "pip", "install", "-q", "--no-deps", "--no-index", wheel,
                "--python", env / "bin/python")  # fmt: skip
        origin = {
            "url": f"https://jane:{SECRET}@git.example.org/o/r.git?private_token={SECRET}",
            "vcs_info": {"vcs": "git", "commit_id": "c" * 40},
        }
        info = site / "first-1.0.dist-info"
        (info / "direct_url.json").write_text(json.dumps(origin))

    return shared(tmp_path_factory, "released", fill) / "jane-doe/env"


def packed(env: Path, base: Path, **table: Any) -> PackResult:
    options = {"exclude-files": ["direct_url.json"], "format": "tar.gz", "compression-level": 1}
    (result,) = pack(env, base, PackOptions.from_mapping({**options, **table}))
    return result


@pytest.fixture(scope="module")
def archive(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack it once, with its interpreter."""

    def fill(folder: Path) -> None:
        packed(released, folder / "app")

    return shared(tmp_path_factory, "released-archive", fill) / "app.tar.gz"


def test_a_bundle_holds_a_valid_bill_of_materials(archive: Path) -> None:
    """It is valid, is listed in the manifest, and is also next to the archive."""
    document = checked_sbom(archive)
    names = {each["name"] for each in walk(document)}
    assert {"CPython", "first", "second"} <= names
    assert archive.with_name(archive.name + CDX).read_bytes() == read_member(archive, SBOM)
    manifest = json.loads(read_member(archive, MANIFEST))
    assert [each["path"] for each in manifest["files"]].count(SBOM) == 1


def test_nothing_of_the_builder_is_in_it(archive: Path, released: Path) -> None:
    """It contains no path, user, host or token, neither of this machine nor of an origin URL."""
    text = read_member(archive, SBOM).decode()
    assert f"git+https://git.example.org/o/r.git@{'c' * 40}" in text
    assert [word for word in PRIVATE if word in text] == []
    assert str(released) not in text


def test_two_builds_give_the_same_one(released: Path, tmp_path: Path) -> None:
    """A copy of the environment elsewhere, packed in another format, gives the same document."""
    other = tmp_path / "another/place/env"
    shutil.copytree(released, other, symlinks=True)
    one = packed(released, tmp_path / "one")
    two = packed(other, tmp_path / "two", format="zip")
    assert read_member(one.path, SBOM) == read_member(two.path, SBOM)
    assert one.content_digest == two.content_digest


def test_a_changed_file_changes_the_serial_number(released: Path, tmp_path: Path) -> None:
    """The number depends on the packed files, not only on the listed components."""
    other = tmp_path / "env"
    shutil.copytree(released, other, symlinks=True)
    (site,) = other.glob("lib/python*/site-packages")
    (site / "first/__init__.py").write_text("x = 2\n")
    base = {"interpreter": "target"}
    one, two = (
        json.loads(read_member(packed(env, tmp_path / name, **base).path, SBOM))
        for env, name in ((released, "one"), (other, "two"))
    )
    assert one["serialNumber"] != two["serialNumber"]
    assert one["components"] == two["components"]


def test_cyclonedx_py_finds_nothing_more(archive: Path, tmp_path: Path) -> None:
    """Every component that cyclonedx-py finds in the unpacked bundle is in our document."""
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (bundle,) = tmp_path.iterdir()
    found = json.loads(
        run(tool("cyclonedx-py"), "environment", "--of", "JSON", bundle / "bin/python3")
    )
    theirs = {each["purl"] for each in found["components"]}
    ours = {each.get("purl", "").partition("?")[0] for each in checked_sbom(archive)["components"]}
    assert {each.partition("?")[0] for each in theirs} <= ours
    assert len(theirs) >= 2


def test_spdx_is_valid_by_its_own_library(archive: Path) -> None:
    """`sbom --spdx` of an archive is a document that spdx-tools accepts without a remark."""
    text = run(tool("pack-venv"), "sbom", "--spdx", "-q", archive)
    parser: Any = JsonLikeDictParser
    messages = validate_full_spdx_document(parser().parse(json.loads(text)))
    assert [each.validation_message for each in messages] == []


def test_the_command_prints_what_is_packed(archive: Path, released: Path, tmp_path: Path) -> None:
    """An archive, its unpacked folder and the environment give the same document."""
    expected = json.loads(read_member(archive, SBOM))
    assert json.loads(run(tool("pack-venv"), "sbom", archive)) == expected
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    assert json.loads(run(tool("pack-venv"), "sbom", folder)) == expected
    pattern = ("--exclude-files", "direct_url.json")
    assert json.loads(run(tool("pack-venv"), "sbom", "-q", *pattern, released)) == expected


def test_one_beside_an_archive_has_to_be_of_it(released: Path, tmp_path: Path) -> None:
    """With "beside" none is inside; the command reads the file, but not another archive's."""
    table = {"interpreter": "target", "sbom": "beside"}
    result = packed(released, tmp_path / "app", **table)
    beside = tmp_path / f"app.tar.gz{CDX}"
    check_cyclonedx(beside.read_bytes())
    with pytest.raises(ValueError, match="not enough values"):
        read_member(result.path, SBOM)
    assert json.loads(run(tool("pack-venv"), "sbom", result.path)) == json.loads(
        beside.read_bytes()
    )
    more = {"exclude-files": ["second/", "direct_url.json"]}
    packed(released, tmp_path / "other", **table, **more)
    shutil.copy(tmp_path / f"other.tar.gz{CDX}", beside)
    with pytest.raises(AssertionError, match="of another archive"):
        run(tool("pack-venv"), "sbom", result.path)
    beside.unlink()
    with pytest.raises(AssertionError, match="contains no bill of materials"):
        run(tool("pack-venv"), "sbom", result.path)
    with pytest.raises(AssertionError, match=r"--(format|keep) applies to packing, but"):
        run(tool("pack-venv"), "sbom", "--keep", "x", result.path)


def test_none_is_written_where_none_is_wanted(released: Path, tmp_path: Path) -> None:
    """`sbom = false` writes none, and neither does `create_archive`."""
    packed(released, tmp_path / "app", interpreter="target", sbom=False)
    create_archive(released, tmp_path / "seed", show_progress=False, format="tar")
    assert {each.name for each in tmp_path.iterdir()} == {
        *("app.tar.gz", "app.tar.gz.json", "seed.tar", "seed.tar.json")
    }
    for name in ("app.tar.gz", "seed.tar"):
        with pytest.raises(ValueError, match="not enough values"):
            read_member(tmp_path / name, SBOM)


def test_none_of_an_earlier_archive_is_left_beside(released: Path, tmp_path: Path) -> None:
    """It is removed because it describes other bytes, but only if the archive is proven ours."""
    packed(released, tmp_path / "app", interpreter="target")
    beside = tmp_path / "app.tar.gz.cdx.json"
    assert beside.exists()
    packed(released, tmp_path / "app", interpreter="target", sbom=False)
    assert not beside.exists()
    beside.write_text("mine")
    (tmp_path / "app.tar.gz").write_bytes(b"of somebody")
    packed(released, tmp_path / "app", interpreter="target", sbom=False)
    assert beside.read_text() == "mine"


def test_one_of_an_earlier_archive_is_replaced(released: Path, tmp_path: Path) -> None:
    """The document in an exported folder is not packed again along with the new one."""
    run(tool("pack-venv"), "export", "-q", "--interpreter", "target", "--exclude-files",
        "direct_url.json", released, tmp_path / "env")  # fmt: skip
    run(sys.executable, "-c", "pass")
    python = bundlable()[-1].path
    run(python, tmp_path / "env/postinstall.py", "--no-compile")
    result = packed(tmp_path / "env", tmp_path / "again", interpreter="target")
    checked_sbom(result.path)


def test_a_lock_file_gives_the_hashes_of_wheels(released: Path, tmp_path: Path) -> None:
    """The hash is that of the locked wheel that is installed; a wheel laid over is hashed."""
    digest, other = "ab" * 32, "cd" * 32
    names = {"second-1.0-cp39-cp39-win32.whl": other, "second-1.0-py3-none-any.whl": digest}
    wheels = ", ".join(
        f'{{name = "{name}", url = "https://x.example/{name}", hashes = {{sha256 = "{value}"}}}}'
        for name, value in names.items()
    )
    source = f'type = "git", url = "https://git.example.org/o/r.git", commit-id = "{"c" * 40}"'
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "test"\n'
        f'[[packages]]\nname = "first"\nversion = "1.0"\nvcs = {{{source}}}\n'
        f'[[packages]]\nname = "second"\nversion = "1.0"\nwheels = [{wheels}]\n'
    )
    wheel = make_wheel(tmp_path, {"first/__init__.py": b""}, "first-1.0-py3-none-any.whl")
    table = {"interpreter": "target", "lock": str(tmp_path / "pylock.toml"), "check": "warn"}
    result = packed(released, tmp_path / "app", wheels=[str(wheel)], **table)
    hashes = {each["name"]: each.get("hashes") for each in checked_sbom(result.path)["components"]}
    assert hashes["second"] == [{"alg": "SHA-256", "content": digest}]
    laid_over = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert hashes["first"] == [{"alg": "SHA-256", "content": laid_over}]


def test_notices_name_everything_with_its_text(archive: Path, released: Path) -> None:
    """They name all components and contain licence texts, but nothing about the build machine."""
    text = read_member(archive, "share/licenses/NOTICES.txt").decode()
    for component in checked_sbom(archive)["components"]:
        if component["type"] not in ("file", "operating-system"):
            assert f"\n{component['name']} {component['version']}\n  licence: " in text
    assert "licence of first" in text
    assert "licence of second" in text
    assert [word for word in PRIVATE if word in text] == []
    assert str(released) not in text


def test_licences_are_a_table(archive: Path) -> None:
    """`inspect --licenses` lists each component with its licence and its licence texts."""
    found = json.loads(run(tool("pack-venv"), "inspect", "--licenses", "--json", archive))
    rows = {row["name"]: row for row in found["licenses"]}
    assert rows["first"]["license"] == "MIT"
    assert [name.rpartition("/")[2] for name in rows["first"]["texts"]] == ["LICENSE"]
    assert rows["CPython"]["license"] == "Python-2.0"
    manifest = json.loads(read_member(archive, MANIFEST))
    packages = {each.get("package", each["name"]) for each in manifest["bundle"]["libraries"]}
    assert {"first", "second", "CPython", *packages} <= rows.keys()
    lines = run(tool("pack-venv"), "inspect", "--licenses", archive)
    assert any(line.split() == ["first", "1.0", "MIT"] for line in lines.splitlines())


def test_denied_licences_stop_the_packing(released: Path, tmp_path: Path) -> None:
    """Distributions under a denied licence are named; those that cannot be judged are reported."""
    base = ("pack", released, "-o", tmp_path / "app.tar", "--interpreter", "target")
    options = ("--exclude-files", "direct_url.json")
    with pytest.raises(AssertionError, match=r"first 1\.0 is under MIT, which"):
        run(tool("pack-venv"), *base, *options, "--deny-license", "MI?")
    assert not any(tmp_path.iterdir())
    told = run(tool("pack-venv"), *base, *options, "--deny-license", "GPL-*")
    assert "second 1.0 (BSD)" in told


def git(folder: Path, *words: str | Path) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    return run("git", "-C", folder, *identity, *words).strip()


def test_provenance_states_what_was_packed(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the archive, the commit and the wheels, but nothing private to the builder."""
    require("git")
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    project = tmp_path / "jane/project"
    shutil.copytree(released, project / ".venv", symlinks=True)
    wheel = make_wheel(tmp_path, {"second/__init__.py": b""}, "second-1.0-py3-none-any.whl")
    git(tmp_path, "init", "-q", project)
    (project / "file").write_text("1")
    git(project, "add", "file")
    git(project, "commit", "-q", "-m", "first")
    git(project, "remote", "add", "origin", f"https://jane:{SECRET}@git.example.org/o/r.git")
    index = (project / ".git/index").read_bytes()
    result = packed(
        project / ".venv",
        tmp_path / "app",
        interpreter="target",
        provenance=True,
        wheels=[str(wheel)],
    )
    text = (tmp_path / "app.tar.gz.intoto.jsonl").read_bytes()
    statement = json.loads(text)
    assert statement["subject"] == [{"name": "app.tar.gz", "digest": {"sha256": result.sha256}}]
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert materials[0] == {
        "uri": "git+https://git.example.org/o/r.git",
        "digest": {"gitCommit": git(project, "rev-parse", "HEAD")},
    }
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert materials[1] == {"name": wheel.name, "digest": {"sha256": digest}}
    assert statement["predicate"]["runDetails"]["builder"]["id"].endswith("#no-builder")
    assert (project / ".git/index").read_bytes() == index
    assert [word for word in (*PRIVATE, str(tmp_path)) if word in text.decode()] == []
    (project / "file").write_text("2")
    packed(project / ".venv", tmp_path / "app", interpreter="target", provenance=True)
    again = json.loads((tmp_path / "app.tar.gz.intoto.jsonl").read_bytes())
    source = again["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert source["annotations"] == {"modified": True}


def test_a_statement_can_be_signed_and_verified(released: Path, tmp_path: Path) -> None:
    """In the envelope that in-toto defines (DSSE); a changed statement is not accepted."""
    packed(released, tmp_path / "app", interpreter="target", provenance=True)
    payload = (tmp_path / "app.tar.gz.intoto.jsonl").read_bytes()
    signer = CryptoSigner.generate_ed25519()
    envelope = Envelope(payload, "application/vnd.in-toto+json", {})
    envelope.sign(signer)
    written = json.dumps(envelope.to_dict())
    read = Envelope.from_dict(json.loads(written))
    assert read.verify([signer.public_key], 1)
    assert json.loads(read.payload)["subject"][0]["name"] == "app.tar.gz"
    forged = Envelope(payload.replace(b"app", b"bad"), read.payload_type, read.signatures)
    with pytest.raises(VerificationError):
        forged.verify([signer.public_key], 1)


def test_a_ceiling_names_what_is_above_it(released: Path, tmp_path: Path) -> None:
    """A bundled interpreter above max-glibc is named and refused; without it, packing succeeds."""
    with pytest.raises(PlanError) as caught:
        packed(released, tmp_path / "app", **{"max-glibc": "2.3"})
    (problem,) = [each for each in caught.value.problems if "the interpreter" in each]
    assert 'max-glibc = "2.3"' in problem
    assert "bin/python3" in problem
    assert not any(tmp_path.iterdir())
    packed(released, tmp_path / "app", **{"interpreter": "target", "max-glibc": "2.3"})


class _Database(BaseHTTPRequestHandler):
    """Answers as OSV does: one distribution has a vulnerability in this version."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((query["package"]["name"], query["version"]))
        package = {"name": "second", "ecosystem": "PyPI"}
        events = [{"introduced": "0"}, {"fixed": "1.1"}]
        found = {
            "id": "PYSEC-0000-1",
            "summary": "It is wrong.",
            "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
        }
        answer = {"vulns": [found]} if query["package"]["name"] == "second" else {}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_pip_audit_reads_what_the_recipe_makes_of_it(archive: Path, tmp_path: Path) -> None:
    """pip-audit asks about every distribution in the bill of materials and reports a finding."""
    listed = [
        f"{each['name']}=={each['version']}"
        for each in checked_sbom(archive)["components"]
        if each.get("purl", "").startswith("pkg:pypi/")
    ]
    (tmp_path / "requirements.txt").write_text("\n".join(listed))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [
                *(tool("pip-audit"), "--disable-pip", "--no-deps", "-r", "requirements.txt"),
                *("-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/"),
                *("--format", "json", "--progress-spinner", "off"),
            ],
            cwd=tmp_path,
            env={**os.environ, "no_proxy": "127.0.0.1", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 1, done.stderr
    found = {
        each["name"]: [vulnerability["id"] for vulnerability in each["vulns"]]
        for each in json.loads(done.stdout)["dependencies"]
    }
    assert found["first"] == []
    assert found["second"] == ["PYSEC-0000-1"]
    assert {*_Database.asked} >= {("first", "1.0"), ("second", "1.0")}
