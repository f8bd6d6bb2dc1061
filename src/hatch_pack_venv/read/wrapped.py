"""Tars within other files: run files and OCI images read back, and the base of an image.

The head of a run file is parsed and not run. Payloads and blobs are compared with the digests that
are recorded for them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from ..injected.run_file import LIMIT, Found, NotAHead
from ..metadata.files import SIZE_LIMIT, open_file, parse_json
from ..model.errors import ArchiveProblem, EnvironmentProblem
from ..model.image import ARCHITECTURES, LAYER_KEY, PREFIX, Blob, ImageBase
from ..model.manifest import fits
from .archives import BLOCK, FormatError, tar_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from ..model.entries import Chunks, Member


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
FIRST: Final = b"oci-layout\0"
_BLOBS: Final = "blobs/sha256/"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SMALL: Final = SIZE_LIMIT
_WRONG: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What reading JSON of another shape raises."""
_SETTINGS: Final = {"Labels?": dict, "Env?": [str], "WorkingDir?": str}


def run_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of a run file's payload.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds.
        FormatError, EOFError: its head or its payload is not as it was written, or it is cut off.
    """
    try:
        found = Found.read(stream.read(LIMIT))
    except NotAHead as error:
        raise FormatError(str(error)) from None
    size = os.fstat(stream.fileno()).st_size
    if size != found.size:
        raise FormatError(f"it has {size} bytes instead of {found.size}")
    stream.seek(found.offset)
    payload = _Hashed(stream)
    yield from tar_members(path, cast("BinaryIO", gzip.GzipFile(fileobj=payload)))
    if payload.sha256.hexdigest() != found.sha256:
        raise FormatError("its SHA-256 is not the one recorded in its head")


def image_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of an image's environment.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds.
        FormatError, EOFError: it is damaged or cut off.
    """
    for blob, diff_id in _own_layers(_Layout.of_archive(path, stream)):
        yield from _layer_members(path, stream, blob, diff_id)


def _own_layers(layout: _Layout) -> list[tuple[_Place, str]]:
    """Return the layers that hold the environment, and the digests of their contents."""
    try:
        (descriptor,) = layout.index()
        manifest = layout.json(descriptor)
        config = layout.json(manifest["config"])
        layers = [
            (LAYER_KEY in (each.get("annotations") or {}), layout.blob(each), diff_id)
            for each, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
        ]
    except FormatError:
        raise
    except _WRONG:
        raise FormatError("its index or a manifest is malformed") from None
    ours = [is_ours for is_ours, _, _ in layers]
    if ours != sorted(ours):
        raise FormatError("a layer above those of the environment may replace its files")
    return [(blob, diff_id) for is_ours, blob, diff_id in layers if is_ours]


def _layer_members(
    path: Path, stream: BinaryIO, blob: _Place, diff_id: str
) -> Iterator[tuple[Member, Chunks]]:
    stream.seek(blob.offset)
    is_zstd = stream.read(len(_ZSTD)) == _ZSTD
    stream.seek(blob.offset)
    part = _Part(stream, blob.size)
    unpacked = _Hashed(zstd.ZstdFile(part) if is_zstd else gzip.GzipFile(fileobj=part))
    for member, chunks in tar_members(path, cast("BinaryIO", io.BufferedReader(unpacked, BLOCK))):
        if f"/{member.name}".count("/.wh."):
            raise ArchiveProblem(
                f"{path} is refused: its entry {member.name!r} would hide files of other layers"
            )
        if f"{member.name}/".startswith(f"{PREFIX}/"):
            yield member, chunks
    if f"sha256:{unpacked.sha256.hexdigest()}" != diff_id:
        raise FormatError("a layer does not match its digest in the configuration")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    path: str
    offset: int
    size: int


class _Layout:
    """The files of an image layout, in a folder or a tar."""

    def __init__(self, path: Path, places: Mapping[str, _Place]) -> None:
        self.path = path
        self.places = places

    @classmethod
    def of_archive(cls, path: Path, stream: BinaryIO) -> _Layout:
        """Read a tar, and compare the blobs in it with their digests."""
        places = {}
        for member, chunks in tar_members(path, stream):
            if member.kind != "file":
                continue
            place = _Place(path=str(path), offset=stream.tell(), size=member.size)
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
            if member.name.startswith(_BLOBS) and member.name != _BLOBS + digest.hexdigest():
                raise FormatError(f"{member.name} does not match the digest in its name")
            if member.name in places:
                raise FormatError(f"{member.name} occurs twice")
            places[member.name] = place
        return cls(path, places)

    @classmethod
    def of_folder(cls, path: Path) -> _Layout:
        files = [each for each in path.rglob("*") if each.is_file()]
        return cls(
            path,
            {
                each.relative_to(path).as_posix(): _Place(
                    path=str(each), offset=0, size=each.stat().st_size
                )
                for each in files
            },
        )

    def blob(self, descriptor: Mapping[str, Any]) -> _Place:
        name = str(descriptor["digest"]).replace(":", "/")
        place = self.places.get(f"blobs/{name}")
        if place is None or place.size != descriptor["size"]:
            raise FormatError(f"the blob {name} is missing")
        return place

    def json(self, descriptor: Mapping[str, Any]) -> dict[str, Any]:
        data = self._read(self.blob(descriptor))
        if descriptor["digest"] != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise FormatError(f"its blob {descriptor['digest']} is damaged")
        return _parsed(data)

    def _read(self, place: _Place) -> bytes:
        if place.size > _SMALL:
            raise FormatError("a manifest is too large")
        with open_file(place.path) as stream:
            stream.seek(place.offset)
            return stream.read(place.size)

    def index(self) -> list[dict[str, Any]]:
        place = self.places.get("index.json")
        if place is None:
            raise FormatError("it has no index.json")
        return list(_parsed(self._read(place))["manifests"])

    def manifest_for(self, architecture: str) -> dict[str, Any]:
        """Return the manifest of the image for an architecture; an index may hold others."""
        left, indices = self.index(), set[str]()
        for descriptor in left:
            platform = descriptor.get("platform") or {}
            fits_here = platform.get("architecture", architecture) == architecture
            if descriptor["digest"] in indices:
                continue  # a few that refer to each other often lead to billions
            found = self.json(descriptor)
            if "manifests" in found:
                left += found["manifests"]
                indices.add(descriptor["digest"])
            elif fits_here:
                return found
        raise FormatError(f"it has no image for {architecture}")


def _parsed(data: bytes) -> dict[str, Any]:
    found = parse_json(data)
    if not isinstance(found, dict):
        raise FormatError("a manifest is malformed")
    return found


def read_base(path: Path, machine: str) -> ImageBase:
    """Return an image as the base of another.

    Parameters:
        path: of an image layout, in a folder or a tar.
        machine: as `uname -m` reports it.

    Raises:
        EnvironmentProblem: it is no image, is damaged, or is for another architecture.
    """
    architecture = ARCHITECTURES.get(machine, (machine, None))[0]
    try:
        layout = _layout(path)
        manifest = layout.manifest_for(architecture)
        config = layout.json(manifest["config"])
        if config.get("architecture") != architecture:
            raise FormatError(f"it is for {config.get('architecture')!r}, not {architecture!r}")
        if any(LAYER_KEY in (each.get("annotations") or {}) for each in manifest["layers"]):
            raise FormatError(
                f"it already contains an environment packed by pack-venv, in /{PREFIX}: name the"
                " base of that image"
            )
        blobs = tuple(_base_blob(layout, each) for each in manifest["layers"])
        if not _is_config(config) or len(config["rootfs"]["diff_ids"]) != len(blobs):
            raise FormatError("its configuration is malformed, or that of another image")
    except (
        ArchiveProblem,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        OSError,
    ) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise EnvironmentProblem(
            f"image-base cannot be read: {path} is not an OCI image layout in a folder or a"
            f" tar, such as `skopeo copy … oci-archive:FILE` writes ({reason})"
        ) from error
    return ImageBase(blobs=blobs, config=config)


def _is_config(config: Mapping[str, Any]) -> bool:
    """Whether the values taken from a configuration have the types in the specification."""
    settings = config.get("config") or {}
    given = {key: value for key, value in settings.items() if value is not None}
    return fits(config, {"rootfs": {"diff_ids": [str]}}) and fits(given, _SETTINGS)


def _layout(path: Path) -> _Layout:
    if path.is_dir():
        return _Layout.of_folder(path)
    with open_file(path) as stream:
        return _Layout.of_archive(path, stream)


def _base_blob(layout: _Layout, descriptor: dict[str, Any]) -> Blob:
    place = layout.blob(descriptor)
    with open_file(place.path) as stream:
        stream.seek(place.offset)
        digest = hashlib.file_digest(_Part(stream, place.size), "sha256").hexdigest()
    if f"sha256:{digest}" != descriptor["digest"]:
        raise FormatError(f"its blob {descriptor['digest']} is damaged")
    return Blob(path=place.path, offset=place.offset, descriptor=descriptor)


class _Part(io.RawIOBase):
    """The next bytes of a stream."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._stream.read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)


class _Hashed(io.RawIOBase):
    """A stream whose bytes are hashed as they are read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.sha256.update(data)
        return len(data)
