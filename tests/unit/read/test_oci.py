"""Images read back: whatever was changed or has another structure is one error."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.archives import read_image
from support.fakes import file, folder, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.errors import ArchiveProblem, EnvironmentProblem, SourceProblem
from hatch_pack_venv.model.image import Image
from hatch_pack_venv.read import wrapped
from hatch_pack_venv.read.contents import Contents
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.read.wrapped import read_base
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def image(tmp_path: Path) -> Path:
    planned = plan(file("a", b"a" * 5000), folder("d"))
    (result,) = write_archives(planned, tmp_path / "app", [CompressionFormat.OCI])
    (tmp_path / "app.oci.json").unlink()
    return result.path


def files_of(image: Path) -> dict[str, bytes]:
    with tarfile.open(image) as tar:
        members = [member for member in tar.getmembers() if member.isreg()]
        return {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in members}


def write(image: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(image, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_an_image_is_as_packed(image: Path) -> None:
    """This holds even if another program has rewritten the tar."""
    assert verify(image).findings == ()
    write(image, files_of(image))
    assert verify(image).findings == ()


def test_layers_of_zstd_are_read(tmp_path: Path) -> None:
    """They are recognised by their first bytes, and a changed byte in one is found."""
    planned = plan(file("a", b"a" * 5000), folder("d"))
    planned = replace(planned, image=replace(planned.image, compression=CompressionFormat.ZSTD))
    path = write_archives(planned, tmp_path / "app", [CompressionFormat.OCI])[0].path
    assert verify(path).findings == ()
    layers = [data for data in files_of(path).values() if data.startswith(b"\x28\xb5\x2f\xfd")]
    assert layers
    whole = path.read_bytes()
    path.write_bytes(whole.replace(layers[-1], layers[-1][:-1] + b"\0"))
    with pytest.raises(ArchiveProblem, match="does not match the digest in its name"):
        verify(path)


def without_index(files: dict[str, bytes]) -> None:
    del files["index.json"]


def two_images(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    files["index.json"] = json.dumps({"manifests": index["manifests"] * 2}).encode()


def other_shape(value: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["index.json"] = json.dumps(value).encode()

    return change


def without_blobs(files: dict[str, bytes]) -> None:
    for name in [name for name in files if name.startswith("blobs/")]:
        del files[name]


def other_blob(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.startswith("blobs/"))
    files[name] += b"x"


def manifest_of_another_shape(files: dict[str, bytes]) -> None:
    data = b'{"layers": 1, "config": []}'
    digest = hashlib.sha256(data).hexdigest()
    files[f"blobs/sha256/{digest}"] = data
    descriptor = {"digest": f"sha256:{digest}", "size": len(data)}
    files["index.json"] = json.dumps({"manifests": [descriptor]}).encode()


@pytest.mark.parametrize(
    "change",
    [
        without_index,
        two_images,
        other_shape([]),
        other_shape({}),
        other_shape({"manifests": 1}),
        other_shape({"manifests": [{"digest": 1, "size": 1}]}),
        without_blobs,
        other_blob,
        manifest_of_another_shape,
    ],
)
def test_what_is_no_image_of_ours_is_told(
    image: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    """The error is the same whatever the JSON contains and whatever is missing."""
    files = files_of(image)
    change(files)
    write(image, files)
    with pytest.raises(ArchiveProblem, match=r"app\.oci is damaged or truncated: "):
        Contents.from_path(image)


def test_a_layer_that_unpacks_to_something_else_is_found(image: Path) -> None:
    """The configuration has the digest of each unpacked layer."""
    files = files_of(image)
    index = json.loads(files["index.json"])
    manifest = json.loads(files[_blob(index["manifests"][0])])
    config = json.loads(files[_blob(manifest["config"])])
    config["rootfs"]["diff_ids"] = [f"sha256:{'0' * 64}" for _ in config["rootfs"]["diff_ids"]]
    manifest["config"] = _add(files, config)
    index["manifests"] = [_add(files, manifest)]
    files["index.json"] = json.dumps(index).encode()
    write(image, files)
    (finding,) = verify(image).findings
    assert "a layer does not match its digest in the configuration" in finding.detail


def layers_changed(
    image: Path, change: Callable[[dict[str, bytes], list[Any], list[Any]], None]
) -> None:
    """Change the layers of an image, given as equally long lists of descriptors and digests."""
    files = files_of(image)
    index = json.loads(files["index.json"])
    manifest = json.loads(files[_blob(index["manifests"][0])])
    config = json.loads(files[_blob(manifest["config"])])
    change(files, manifest["layers"], config["rootfs"]["diff_ids"])
    manifest["config"] = _add(files, config)
    index["manifests"] = [_add(files, manifest)]
    files["index.json"] = json.dumps(index).encode()
    write(image, files)


def layer(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_a_layer_above_the_environment_is_refused(image: Path) -> None:
    """A layer on top may replace its files, and is not ours."""

    def change(files: dict[str, bytes], layers: list[Any], diff_ids: list[Any]) -> None:
        data = layer(**{"venv/a": b"evil"})
        layers.append(_add_bytes(files, gzip.compress(data)))
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")

    layers_changed(image, change)
    with pytest.raises(ArchiveProblem, match="a layer above those of the environment may"):
        verify(image)


@pytest.mark.parametrize("name", ["venv/.wh.a", "venv/d/.wh..wh..opq", ".wh.venv", ".wh.x/y"])
def test_a_layer_of_ours_that_hides_files_is_refused(image: Path, name: str) -> None:
    """Whiteouts, which remove files of the layers below, are refused at any depth."""

    def change(files: dict[str, bytes], layers: list[Any], diff_ids: list[Any]) -> None:
        data = gzip.decompress(files[_blob(layers[-1])])
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            end = tar.getmembers()[-1]
            data = data[: end.offset] + layer(**{name: b""})[:512] + data[end.offset :]
        layers[-1] = {**layers[-1], **_add_bytes(files, gzip.compress(data))}
        diff_ids[-1] = f"sha256:{hashlib.sha256(data).hexdigest()}"

    layers_changed(image, change)
    with pytest.raises(ArchiveProblem, match="would hide files of other layers"):
        verify(image)


def base_of(folder: Path, *layers: bytes, **config: Any) -> Path:
    """Make an image from layers, as an OCI layout in a folder."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    rootfs = {"diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]}
    described = {"architecture": "amd64", "rootfs": rootfs, **config}
    manifest = {
        "layers": [_add_bytes(files, gzip.compress(data, mtime=0)) for data in layers],
        "config": _add(files, described),
    }
    files["index.json"] = json.dumps({"manifests": [_add(files, manifest)]}).encode()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def laid_upon(base: Path, tmp_path: Path) -> Path:
    image = Image(base=read_base(base, "x86_64"))
    planned = replace(plan(file("a", b"a" * 5000)), image=image)
    return write_archives(planned, tmp_path / "upon", [CompressionFormat.OCI])[0].path


def test_a_base_may_have_the_same_layer_twice(tmp_path: Path) -> None:
    """Empty layers, of which many images have several, share a blob but not a descriptor."""
    layers = layer(x=b"1"), layer(), layer(y=b"2"), layer()
    image = laid_upon(base_of(tmp_path / "base", *layers), tmp_path)
    assert verify(image).findings == ()
    with tarfile.open(image) as tar:
        names = tar.getnames()
    assert len(names) == len({*names})
    manifest, config, _ = read_image(image)
    digests = [each["digest"] for each in manifest["layers"]]
    assert digests[1] == digests[3] != digests[2]
    assert len(digests) == len(config["rootfs"]["diff_ids"]) == 5


def test_a_base_that_is_cut_off_meanwhile_is_told(tmp_path: Path) -> None:
    """No image is written whose blobs are not where its tar says."""
    base = base_of(tmp_path / "base", layer(x=b"1" * 5000))
    image = Image(base=read_base(base, "x86_64"))
    blob = Path(image.base.blobs[0].path)
    blob.write_bytes(blob.read_bytes()[:-1])
    planned = replace(plan(file("a", b"1")), image=image)
    with pytest.raises(SourceProblem, match=f"{blob} .image-base. was truncated"):
        write_archives(planned, tmp_path / "upon", [CompressionFormat.OCI])
    assert not list(tmp_path.glob("upon*"))


def test_an_image_with_an_environment_is_no_base(tmp_path: Path) -> None:
    """The files of both would be in one folder, with nothing to distinguish them."""
    image = laid_upon(base_of(tmp_path / "base", layer(x=b"1")), tmp_path)
    with pytest.raises(EnvironmentProblem, match=r"already contains an environment .*, in /venv"):
        read_base(image, "x86_64")


def damaged_configuration(base: Path) -> None:
    for blob in (base / "blobs/sha256").iterdir():
        blob.write_bytes(blob.read_bytes().replace(b'"amd64"', b'"amd65"'))


def naming_itself(base: Path) -> None:
    """Write an index whose name is not its digest."""
    blob = base / "blobs/sha256" / ("a" * 64)
    text = '{"manifests": [{"digest": "sha256:%s", "size": %d}]}'
    size = len(text % (blob.name, 100))
    blob.write_text(text % (blob.name, size))
    (base / "index.json").write_text(text % (blob.name, blob.stat().st_size))


def doubling(base: Path) -> None:
    """Write thirty indices, each of which names the one below it twice."""
    files: dict[str, bytes] = {}
    each: Any = {"manifests": []}
    for _ in range(30):
        each = {"manifests": [_add(files, each)] * 2}
    for name, data in files.items():
        (base / name).write_bytes(data)
    (base / "index.json").write_text(json.dumps(each))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (damaged_configuration, "is damaged"),
        (naming_itself, "is damaged"),
        (doubling, "it has no image for amd64"),
    ],
)
def test_a_base_that_is_none_is_told(
    tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    """Damage shows in the digests that name the blobs, and reading always ends."""
    base = base_of(tmp_path / "base", layer(x=b"1"))
    change(base)
    with pytest.raises(EnvironmentProblem, match=f"image-base cannot be read: .*{why}"):
        read_base(base, "x86_64")


def test_an_index_that_is_named_often_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading one of a few megabytes a hundred thousand times would take a day."""
    base = base_of(tmp_path / "base", layer(x=b"1"))
    files: dict[str, bytes] = {}
    descriptor = _add(files, {"manifests": []})
    for name, data in files.items():
        (base / name).write_bytes(data)
    (base / "index.json").write_text(json.dumps({"manifests": [descriptor] * 1000}))
    read = []

    def parse(data: bytes) -> Any:
        read.append(data)
        return json.loads(data)

    monkeypatch.setattr(wrapped, "parse_json", parse)
    with pytest.raises(EnvironmentProblem, match="it has no image for amd64"):
        read_base(base, "x86_64")
    assert len(read) == 2


@pytest.mark.parametrize(
    "config",
    [
        {"rootfs": {"diff_ids": []}},
        {"rootfs": []},
        {"rootfs": {"diff_ids": [1]}},
        {"config": [1]},
        {"config": {"Labels": []}},
        {"config": {"Env": [1]}},
        {"config": {"WorkingDir": 5}},
    ],
)
def test_a_base_s_configuration_of_another_shape_is_told(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    """Values taken from it must have the right types, and each layer needs a digest."""
    base = base_of(tmp_path / "base", layer(x=b"1"), **config)
    with pytest.raises(EnvironmentProblem, match="image-base cannot be read"):
        read_base(base, "x86_64")


def _blob(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _add(files: dict[str, bytes], value: Any) -> dict[str, Any]:
    return _add_bytes(files, json.dumps(value).encode())


def _add_bytes(files: dict[str, bytes], data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    files[f"blobs/sha256/{digest}"] = data
    return {"digest": f"sha256:{digest}", "size": len(data)}
