"""Images read back: what is not as it was written, or of another shape, is one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import file, folder, plan

from hatch_pack_venv import CompressionFormat
from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.read.contents import Contents
from hatch_pack_venv.read.verify import verify
from hatch_pack_venv.write.archive import write_archives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
    """Also where another program has written the tar again."""
    assert verify(image).findings == ()
    write(image, files_of(image))
    assert verify(image).findings == ()


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
    """Whatever JSON holds, and whatever is missing."""
    files = files_of(image)
    change(files)
    write(image, files)
    with pytest.raises(ArchiveProblem, match=r"app\.oci is damaged or cut off: "):
        Contents.from_path(image)


def test_a_layer_that_unpacks_to_something_else_is_found(image: Path) -> None:
    """The configuration names what each must unpack to."""
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
    assert "a layer is not the one that the configuration names" in finding.detail


def _blob(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _add(files: dict[str, bytes], value: Any) -> dict[str, Any]:
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    files[f"blobs/sha256/{digest}"] = data
    return {"digest": f"sha256:{digest}", "size": len(data)}
