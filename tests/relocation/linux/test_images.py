"""OCI images: read and unpacked by other programs, and started in exactly what they contain."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pytest
from support.archives import own_layers, read_image
from support.environments import make_environment, run
from support.hiding import make_system, namespace
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import make_wheel, tree_state

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.api.pack import pack_project
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.model.errors import PackVenvError
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_pack_venv.model.results import PackResult

pytestmark = [needs("namespaces", "root", "shared CPython"), pytest.mark.slow]
TELL: Final = b"""\
import json, os, pwd, ssl, sys, tempfile, zoneinfo
import dependency
def main():
    tempfile.TemporaryFile().close()
    print(json.dumps({
        "said": sys.argv[1:], "prefix": sys.prefix, "user": pwd.getpwuid(os.getuid()).pw_name,
        "certificates": len(ssl.create_default_context().get_ca_certs()) > 0,
        "zone": str(zoneinfo.ZoneInfo("Asia/Tokyo")), "cwd": os.getcwd(), "it": __doc__,
    }))
"""
METADATA: Final = (
    b"Summary: Tells\nLicense-Expression: MIT\nProject-URL: Homepage, https://a.example\n"
)
# Arguments: a root, a folder, a command; everything stays in this process's own namespace.
IN_ROOT: Final = """
set -eu
root=$1; shift
mount --rbind /proc "$root/proc"
cwd=$1; shift
exec chroot --userspec=65532:65532 "$root" "$@"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Make an environment with a dependency; return it, and the originals of an image."""
    folder = tmp_path_factory.mktemp("image")
    python: Python = bundlable()[-1]
    wheel = make_wheel(folder, {"dependency.py": b""}, "dependency-1.0-py3-none-any.whl")
    path = make_environment(folder / "env", python, [str(wheel)], by="uv")
    return path, [path, python.prefix]


@pytest.fixture(scope="module")
def build(
    environment: tuple[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., PackResult]:
    """Return a function that packs the environment and a version of a project into an image."""

    def build(version: str = "1.5", code: bytes = TELL, **keys: object) -> PackResult:
        folder = tmp_path_factory.mktemp("build")
        info = f"teller-{version}.dist-info"
        files = {
            "teller.py": code,
            f"{info}/entry_points.txt": b"[console_scripts]\ntell = teller:main\n",
        }
        name = f"teller-{version}-py3-none-any.whl"
        wheel = make_wheel(folder, files, name, METADATA)
        options = PackOptions.from_mapping({"format": "oci", **keys})
        project = Project(name="teller", version=version, wheel=wheel, root=folder)
        before = tree_state(environment[0])
        (result,) = pack_project(Source.read(environment[0], options), folder / "out", project)
        assert tree_state(environment[0]) == before
        return result

    return build


@pytest.fixture(scope="module")
def image(build: Callable[..., PackResult]) -> Path:
    return build().path


def unpacked(image: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Unpack an image with skopeo and umoci; return its root and its configuration."""
    run("skopeo", "copy", "-q", f"oci-archive:{image}", f"oci:{folder}/layout:it")
    run("umoci", "unpack", "--image", f"{folder}/layout:it", folder / "bundle")
    process = json.loads((folder / "bundle/config.json").read_text())["process"]
    return folder / "bundle/rootfs", process


def started(root: Path, process: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """Run an image's command in exactly its root, as its user and with its variables."""
    prefix = namespace()
    assert prefix is not None
    assert process["user"]["uid"] == process["user"]["gid"] == 65532
    variables = dict(each.partition("=")[::2] for each in process["env"])
    done = subprocess.run(
        [*prefix, "sh", "-c", IN_ROOT, "sh", root, process["cwd"], *process["args"], *arguments],
        env={**variables, "PATH": variables["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs("skopeo", "umoci")
def test_it_runs_in_exactly_its_own_root(image: Path, tmp_path: Path) -> None:
    """It runs unprivileged and without a shell, with certificates, time zones and a folder for
    temporary files, and verifies once unpacked.
    """
    root, process = unpacked(image, tmp_path)
    assert process["args"] == ["/venv/bin/python", "/venv/bin/tell"]
    assert process["cwd"] == "/home/nonroot"
    assert not list(root.glob("bin")) or not (root / "bin/sh").exists()
    found = started(root, process, "two words")
    assert found["said"] == ["two words"]
    assert found["prefix"] == "/venv"
    assert found["user"] == "nonroot"
    assert found["certificates"] is True
    assert found["zone"] == "Asia/Tokyo"
    assert verify(root / "venv").findings == ()
    assert (root / "home/nonroot").stat().st_uid == 65532
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert "GNU C Library" in (root / "usr/share/doc/libc6/copyright").read_text("utf-8", "replace")


@needs("skopeo", "umoci", "bwrap")
def test_who_is_not_root_can_unpack_and_run_it(image: Path, tmp_path: Path) -> None:
    """An image unpacked without changing owners starts in bubblewrap with exactly that root."""
    run("skopeo", "copy", "-q", f"oci-archive:{image}", f"oci:{tmp_path}/layout:it")
    bundle = tmp_path / "bundle"
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:it", bundle)
    process = json.loads((bundle / "config.json").read_text())["process"]
    command = ["bwrap", "--unshare-all", "--uid", "65532", "--gid", "65532", "--clearenv"]
    for each in process["env"]:
        command += ["--setenv", *each.partition("=")[::2]]
    command += ["--bind", f"{bundle}/rootfs", "/", "--proc", "/proc", "--chdir", process["cwd"]]
    found = json.loads(run(*command, *process["args"], "rootless"))
    assert found["said"] == ["rootless"]
    assert (found["prefix"], found["user"]) == ("/venv", "nonroot")


def test_the_base_has_a_bill_of_materials(image: Path) -> None:
    """It lists the packages of this machine, as dpkg knows them, and their system; the bill of the
    environment does not include them.
    """
    manifest, _, blobs = read_image(image)
    layer = gzip.decompress(blobs[manifest["layers"][0]["digest"]])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        bill = json.load(tar.extractfile("usr/share/doc/image-base/base.cdx.json"))  # type: ignore[arg-type]
        names = tar.getnames()
    assert len(names) == len(set(names))
    found = {each["name"]: each for each in bill["components"]}
    libc = found["libc6"]
    query = ("dpkg-query", "--show", "--showformat=${Version}")
    assert libc["version"] == run(*query, "libc6")
    assert unquote(libc["purl"]).startswith(f"pkg:deb/debian/libc6@{libc['version']}?arch=")
    assert found["ca-certificates"]["version"] == run(*query, "ca-certificates")
    assert [each["type"] for each in bill["components"]].count("operating-system") == 1
    told = json.loads(Path(f"{image}.json").read_text())["image"]["base_packages"]
    assert {f"libc6 {libc['version']}"} < set(told)
    beside = json.loads(Path(f"{image}.cdx.json").read_text())
    assert "ca-certificates" not in {each["name"] for each in beside["components"]}


@needs("skopeo", "umoci")
def test_layers_are_compressed_by_zstd_if_asked(
    image: Path, build: Callable[..., PackResult], tmp_path: Path
) -> None:
    """Such layers are smaller and reproducible, and skopeo decompresses them to the same bytes."""
    keys = {"image-compression": "zstd"}
    packed = build(**keys).path
    assert build(**keys).path.read_bytes() == packed.read_bytes()
    assert packed.stat().st_size < image.stat().st_size
    assert verify(packed).findings == ()
    with tarfile.open(packed) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        blob = f"blobs/{index['manifests'][0]['digest'].replace(':', '/')}"
        layers = json.load(tar.extractfile(blob))["layers"]  # type: ignore[arg-type]
    assert {each["mediaType"] for each in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    folder = tmp_path / "plain"
    run("skopeo", "copy", "-q", "--dest-decompress", f"oci-archive:{packed}", f"dir:{folder}")
    plain = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    diff_ids = read_image(image)[1]["rootfs"]["diff_ids"]
    assert {each.partition(":")[2] for each in diff_ids} <= plain
    level = build(**keys, **{"compression-level": 1}).path
    assert level.stat().st_size > packed.stat().st_size


@needs("skopeo")
def test_its_labels_are_the_project_s_metadata(image: Path) -> None:
    """skopeo reads the project's metadata as the image's labels."""
    told = json.loads(run("skopeo", "inspect", f"oci-archive:{image}"))
    labels = told["Labels"]
    key = "org.opencontainers.image"
    assert {name: text for name, text in labels.items() if name.startswith(key)} == {
        f"{key}.title": "teller",
        f"{key}.version": "1.5",
        f"{key}.description": "Tells",
        f"{key}.licenses": "MIT",
        f"{key}.url": "https://a.example",
    }
    assert labels["io.github.hatch-pack-venv.base"].startswith(("ca-certificates ", "libc6 "))
    assert told["Architecture"] in ("amd64", "arm64")
    assert told["Created"] == "2020-02-02T00:00:00Z"
    facts = json.loads(Path(f"{image}.json").read_text())
    assert facts["image"]["name"] == "teller:1.5"
    assert labels["io.github.hatch-pack-venv.content-digest"] == facts["content_digest"]


@needs("skopeo")
def test_docker_load_finds_its_way(image: Path, tmp_path: Path) -> None:
    """`manifest.json`, which skopeo reads as Docker does, names the image and its layers."""
    target = tmp_path / "again.tar"
    run("skopeo", "copy", "-q", f"docker-archive:{image}:teller:1.5", f"oci-archive:{target}")
    assert read_image(target)[1]["rootfs"] == read_image(image)[1]["rootfs"]
    with tarfile.open(image) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
    annotations = index["manifests"][0]["annotations"]
    assert annotations == {
        "io.containerd.image.name": "docker.io/library/teller:1.5",
        "org.opencontainers.image.ref.name": "1.5",
    }


def test_a_change_of_the_project_changes_the_last_layer_only(
    image: Path, build: Callable[..., PackResult]
) -> None:
    """A new version with other code keeps the digests of all other layers."""
    before = read_image(image)[0]["layers"]
    same = build().path
    assert same.read_bytes() == image.read_bytes()
    after = read_image(build("1.6rc1", TELL + b"# more\n").path)[0]["layers"]
    names = [each.get("annotations", {}) for each in after]
    key = "io.github.hatch-pack-venv.layer"
    assert names == [{}, {key: "interpreter"}, {key: "dependencies"}, {key: "project"}]
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, True, True, False]
    assert before[-1]["size"] < 200_000


def test_what_is_in_which_layer(image: Path, environment: tuple[Path, list[Path]]) -> None:
    """No file is in two layers, and none names the folder that the image was built in."""
    seen: list[set[str]] = []
    for layer in own_layers(image):
        assert bytes(environment[0].parent) not in layer
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            seen.append(set(tar.getnames()))
            assert all(each.uid == each.gid == 0 for each in tar.getmembers())
    interpreter, dependencies, project = seen
    assert interpreter & dependencies == dependencies & project == interpreter & project == set()
    assert any(name.endswith("/os.py") for name in interpreter)
    assert any(name.endswith("/dependency.py") for name in dependencies)
    assert "venv/bin/tell" in project
    assert any(name.endswith("/teller.py") for name in project)
    assert not any("teller" in name for name in interpreter | dependencies)


def rootfs_image(root: Path, folder: Path) -> Path:
    """Make an image of a root with umoci, as an OCI layout."""
    layout = folder / "base"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:base")
    run("umoci", "unpack", "--image", f"{layout}:base", folder / "made")
    run("cp", "-a", f"{root}/.", folder / "made/rootfs")
    run("umoci", "repack", "--image", f"{layout}:base", folder / "made")
    variable = "BASE=is here"
    run(
        "umoci",
        "config",
        "--image",
        f"{layout}:base",
        "--config.env",
        variable,
        "--config.workingdir",
        "/etc",
    )
    return layout


@needs("skopeo", "umoci", "busybox")
@pytest.mark.parametrize("kind", ["layout", "archive"])
def test_it_is_laid_upon_a_base(
    build: Callable[..., PackResult], tmp_path: Path, kind: str
) -> None:
    """The base is an image layout in a folder or a tar; its files and variables are kept."""
    system = make_system(tmp_path / "system")
    (system / "tmp").chmod(0o1777)
    (system / "etc/passwd").write_text("somebody:x:65532:65532::/:/bin/sh\n")
    base = rootfs_image(system, tmp_path)
    if kind == "archive":
        run("skopeo", "copy", "-q", f"oci:{base}:base", f"oci-archive:{tmp_path}/base.tar")
        base = tmp_path / "base.tar"
    code = TELL.replace(b"> 0", b">= 0").replace(b'"Asia/Tokyo"', b'"UTC"')
    code = code.replace(b"zoneinfo.ZoneInfo", b"str")
    result = build(
        code=code, **{"image-base": str(base), "image-name": "reg.example:5000/x/{name}"}
    )
    root, process = unpacked(result.path, tmp_path)
    assert "BASE=is here" in process["env"]
    assert process["cwd"] == "/etc"
    assert started(root, process)["user"] == "somebody"
    assert (root / "bin/sh").exists()
    assert verify(result.path).findings == ()
    assert json.loads(Path(f"{result.path}.json").read_text())["image"]["name"] == (
        "reg.example:5000/x/teller:latest"
    )


@pytest.mark.network
@needs("skopeo", "umoci", "debootstrap")
def test_it_is_laid_upon_a_system_of_debian(
    build: Callable[..., PackResult], tmp_path: Path
) -> None:
    """It runs on a system made by debootstrap, and so do the system's own programs."""
    mirror = "http://deb.debian.org/debian"
    run("debootstrap", "--variant=minbase", "bookworm", tmp_path / "system", mirror)
    system = tmp_path / "system"
    with (system / "etc/passwd").open("a") as stream:
        stream.write("nonroot:x:65532:65532::/:/bin/sh\n")
    base = rootfs_image(system, tmp_path)
    code = TELL.replace(b"> 0", b">= 0")  # it has no certificates
    root, process = unpacked(build(code=code, **{"image-base": str(base)}).path, tmp_path)
    assert started(root, process, "on Debian")["said"] == ["on Debian"]
    assert (root / "etc/debian_version").read_text().startswith("12")
    assert "Debian" in run("chroot", root, "dpkg", "--version")


@needs("umoci", "busybox")
def test_a_wrong_base_is_one_sentence(build: Callable[..., PackResult], tmp_path: Path) -> None:
    """A base that is no image, is damaged or is for another machine is refused in one sentence."""
    (tmp_path / "text").write_text("no image")
    (tmp_path / "folder").mkdir()
    base = rootfs_image(make_system(tmp_path / "system"), tmp_path)
    damaged = shutil.copytree(base, tmp_path / "damaged")
    blob = max((damaged / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    for path in (tmp_path / "text", tmp_path / "folder", tmp_path / "gone", damaged):
        with pytest.raises(PackVenvError, match=f"image-base cannot be read: {path} is not an OCI"):
            build(**{"image-base": str(path)})
    foreign = shutil.copytree(base, tmp_path / "foreign")
    run("umoci", "config", "--image", f"{foreign}:base", "--architecture", "s390x")
    with pytest.raises(PackVenvError, match="it is for 's390x', not"):
        build(**{"image-base": str(foreign)})


def test_damage_is_found(image: Path, tmp_path: Path) -> None:
    """A flipped bit anywhere, or a truncated image, is reported."""
    data = image.read_bytes()
    for part in (0.02, 0.5, 0.98):
        changed = bytearray(data)
        changed[int(len(data) * part)] ^= 1
        (tmp_path / "image").write_bytes(changed)
        with pytest.raises(PackVenvError, match="is damaged or truncated"):
            verify(tmp_path / "image")
    (tmp_path / "image").write_bytes(data[: len(data) // 2])
    with pytest.raises(PackVenvError, match="is damaged or truncated"):
        verify(tmp_path / "image")


def test_what_an_image_cannot_hold_or_be_called_is_refused(
    environment: tuple[Path, list[Path]], build: Callable[..., PackResult], tmp_path: Path
) -> None:
    """Names that would hide another file in a layer, or that no registry accepts, are refused."""
    with pytest.raises(PackVenvError, match=r"image-name gives 'Über:1\.5', which is not a valid"):
        build(**{"image-name": "Über:{version}"})
    copy = shutil.copytree(environment[0], tmp_path / "env", symlinks=True)
    (copy / "share").mkdir(exist_ok=True)
    (copy / "share/.wh.bin").touch()
    options = PackOptions.from_mapping({"format": "oci", "entry-point": "python"})
    with pytest.raises(PackVenvError, match=r"share/\.wh\.bin would hide another file"):
        pack(copy, tmp_path / "out", options)
    assert not list(tmp_path.glob("out*"))
