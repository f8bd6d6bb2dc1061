"""OCI images: an image layout (image-spec 1.1) in one tar, written in one pass.

A blob's name and size are known only once it has been written: its header is rewritten then. In
addition to what the specification requires there is a `manifest.json`, which versions of
`docker load` before 25 rely on.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ...model.errors import SourceProblem
from ...model.image import (
    ARCHITECTURES,
    BASE_KEY,
    DIGEST_KEY,
    LAYER_KEY,
    PREFIX,
    USER,
)
from .tar import TarSink, header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...model.entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry
    from ...model.formats import Compression
    from ...model.image import BaseFile, Blob, Image
    from . import Content
    from .hashed_file import HashedOutput


_MEDIA: Final = "application/vnd.oci.image"
_BLOCK: Final = 1 << 20
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class OciSink:
    """Writes the layers of a base, and a layer of the environment for each rate of change.

    Parameters:
        layers: the number of each entry's layer, by arcname, and the names of the layers; entries
            come in the order of their layers.
        platform: the machine, as `uname -m` reports it, and the time of everything, in seconds.
    """

    holds_links = True
    shares_files = False

    def __init__(
        self,
        output: HashedOutput,
        compression: Compression,
        image: Image,
        layers: tuple[Mapping[str, int], Sequence[str]],
        platform: tuple[str, int],
    ) -> None:
        self._output = output
        self._compression = replace(compression, format=image.compression)
        self._layer_type = f"{_MEDIA}.layer.v1.tar+{image.compression.value}"
        self._image = image
        self._numbers, self._names = layers
        self._machine, self._time = platform
        self._current: _Layer | None = None
        self._number = -1
        self._descriptors: list[dict[str, Any]] = []
        self._diff_ids: list[str] = [*_diff_ids(image.base.config)]
        self._member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for folder in ("blobs", "blobs/sha256"):
            output.write(header(folder, tarfile.DIRTYPE, 0o755, 0))
        self._add_base()

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        self._layer(entry).add_directory(entry)

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        self._layer(entry).add_link(entry)

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes) -> None:
        """Add a file whose content has been read completely."""
        self._layer(entry).add_bytes(entry, data, digest)

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Add a file."""
        self._layer(entry).add_file(entry, stream)

    def close(self, digest: str) -> None:
        """Write the configuration, the manifest and the index."""
        self._end_layer()
        config = self._blob(_json(self._config(digest)))
        manifest = self._blob(
            _json(
                {
                    "schemaVersion": 2,
                    "mediaType": f"{_MEDIA}.manifest.v1+json",
                    "config": {"mediaType": f"{_MEDIA}.config.v1+json", **config},
                    "layers": self._descriptors,
                }
            )
        )
        self._member("index.json", _json(self._index(manifest)))
        self._member("manifest.json", _json([self._for_docker(config)]))
        self._output.write(bytes(2 * tarfile.BLOCKSIZE))

    def discard(self) -> None:
        """Stop the compressor's threads."""
        if self._current is not None:
            self._current.discard()

    # the base

    def _add_base(self) -> None:
        for blob in {each.digest: each for each in self._image.base.blobs}.values():
            self._add_blob(blob)
        self._descriptors += [dict(each.descriptor) for each in self._image.base.blobs]
        if self._image.base.files:
            self._current = _Layer(self._output, self._compression)
            for file in self._image.base.files:
                self._current.add_base_file(file, self._time)
            self._end_layer()

    def _add_blob(self, blob: Blob) -> None:
        self._output.write(_blob_header(blob.digest.partition(":")[2], blob.size))
        with open(blob.path, "rb") as stream:
            stream.seek(blob.offset)
            left = blob.size
            while left and (data := stream.read(min(left, _BLOCK))):
                self._output.write(data)
                left -= len(data)
        if left:
            raise SourceProblem(f"{blob.path} (image-base) was truncated while it was being packed")
        self._output.write(bytes(-blob.size % tarfile.BLOCKSIZE))

    # the environment

    def _layer(self, entry: Entry) -> TarSink:
        number = self._numbers.get(entry.arcname, len(self._names) - 1)
        if number != self._number or self._current is None:
            self._end_layer()
            self._number = number
            self._current = _Layer(self._output, self._compression)
        return self._current

    def _end_layer(self) -> None:
        if self._current is None:
            return
        self._current.close("")
        descriptor: dict[str, Any] = {"mediaType": self._layer_type, **self._current.finish()}
        if self._number >= 0:
            descriptor["annotations"] = {LAYER_KEY: self._names[self._number]}
        self._descriptors.append(descriptor)
        self._diff_ids.append(f"sha256:{self._current.uncompressed.hexdigest()}")
        self._current = None

    # the rest

    def _member(self, name: str, data: bytes) -> None:
        self._output.write(header(name, tarfile.REGTYPE, 0o644, 0, size=len(data)))
        self._output.write(data + bytes(-len(data) % tarfile.BLOCKSIZE))

    def _blob(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        self._member(f"blobs/sha256/{digest}", data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def _config(self, digest: str) -> dict[str, Any]:
        image = self._image
        architecture, variant = ARCHITECTURES.get(self._machine, (self._machine, None))
        base = image.base.config.get("config") or {}
        labels = {**(base.get("Labels") or {}), **image.labels, DIGEST_KEY: digest}
        if image.base.packages:
            labels[BASE_KEY] = ", ".join(each.label for each in image.base.packages)
        settings = {
            **{key: base[key] for key in ("Volumes", "StopSignal", "ExposedPorts") if key in base},
            "User": f"{USER}:{USER}",
            "Env": _environment(base.get("Env") or ()),
            "Entrypoint": list(image.command),
            "WorkingDir": base.get("WorkingDir") or ("/home/nonroot" if image.base.files else "/"),
            "Labels": labels,
        }
        return {
            "created": _moment(self._time),
            "architecture": architecture,
            **({} if variant is None else {"variant": variant}),
            "os": "linux",
            "config": {key: value for key, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": self._diff_ids},
        }

    def _index(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return the index; BuildKit names images with the same two annotations."""
        architecture, variant = ARCHITECTURES.get(self._machine, (self._machine, None))
        annotations = {
            "io.containerd.image.name": _full_name(self._image.name),
            "org.opencontainers.image.ref.name": self._image.name.rpartition(":")[2],
        }
        platform = {"architecture": architecture, "os": "linux"}
        return {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.index.v1+json",
            "manifests": [
                {
                    "mediaType": f"{_MEDIA}.manifest.v1+json",
                    **manifest,
                    "annotations": annotations,
                    "platform": platform | ({} if variant is None else {"variant": variant}),
                }
            ],
        }

    def _for_docker(self, config: Mapping[str, Any]) -> dict[str, Any]:
        def path(digest: str) -> str:
            return f"blobs/sha256/{digest.partition(':')[2]}"

        return {
            "Config": path(config["digest"]),
            "RepoTags": [self._image.name],
            "Layers": [path(each["digest"]) for each in self._descriptors],
        }


class _Layer(TarSink):
    """A layer as a blob of the image; its header is completed at the end."""

    def __init__(self, output: HashedOutput, compression: Compression) -> None:
        self._image_file = output
        self._offset = output.size
        output.write(bytes(tarfile.BLOCKSIZE))
        self.uncompressed = hashlib.sha256()
        self._compressed = hashlib.sha256()
        self._length = 0
        super().__init__(self, compression, PREFIX)

    def write(self, data: bytes | memoryview, /) -> None:
        """Write compressed bytes."""
        self._compressed.update(data)
        self._length += len(data)
        self._image_file.write(data)

    def add_base_file(self, file: BaseFile, time: int) -> None:
        """Add a file, folder or link that is not an entry of the environment."""
        info = tarfile.TarInfo(file.name)
        kinds = {"directory": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "file": tarfile.REGTYPE}
        info.type, info.mode, info.mtime, info.linkname = (
            kinds[file.kind],
            file.mode,
            time,
            file.linkname,
        )
        info.uid = info.gid = file.owner
        data = file.content
        if isinstance(data, str):
            with open(data, "rb") as stream:
                data = stream.read()
        info.size = len(data)
        head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        self._write_file(head, data, hashlib.sha256(data).digest())

    def finish(self) -> dict[str, Any]:
        """Write the header, and return the digest and the size."""
        digest = self._compressed.hexdigest()
        self._image_file.write(bytes(-self._length % tarfile.BLOCKSIZE))
        self._image_file.rewrite(self._offset, _blob_header(digest, self._length))
        return {"digest": f"sha256:{digest}", "size": self._length}

    def _write(self, data: bytes, fingerprint: bytes | None = None) -> None:
        self.uncompressed.update(data)
        super()._write(data, fingerprint)


def _blob_header(digest: str, size: int) -> bytes:
    """Return a one-block header, even for 8 GiB or more (in binary, as GNU tar writes it)."""
    block = header(f"blobs/sha256/{digest}", tarfile.REGTYPE, 0o644, 0, size=min(size, 8**11 - 1))
    if size < 8**11:
        return block
    info = tarfile.TarInfo(f"blobs/sha256/{digest}")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _diff_ids(config: Mapping[str, Any]) -> list[str]:
    return list((config.get("rootfs") or {}).get("diff_ids") or ())


def _environment(base: Sequence[str]) -> list[str]:
    """Return the variables, with the environment's scripts first on PATH."""
    given = dict(each.partition("=")[::2] for each in base)
    given["PATH"] = f"/{PREFIX}/bin:{given.get('PATH') or _PATH}"
    given.setdefault("LANG", "C.UTF-8")
    return [f"{name}={value}" for name, value in given.items()]


def _full_name(name: str) -> str:
    """Return a name with its registry, as Docker completes it."""
    first, slash, _ = name.partition("/")
    if slash and (set(first) & set(".:") or first == "localhost"):
        return name
    return f"docker.io/{name if slash else f'library/{name}'}"
