"""An OCI image apart from the environment in it: its base, its name, what it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from .formats import CompressionFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .components import Component


PREFIX: Final = "venv"
"""The environment's folder in an image: without a version, so that a release keeps its layers."""
LAYER_KEY: Final = "io.github.hatch-pack-venv.layer"
"""The annotation of the layers that hold the environment."""
DIGEST_KEY: Final = "io.github.hatch-pack-venv.content-digest"
BASE_KEY: Final = "io.github.hatch-pack-venv.base"
USER: Final = 65532
"""The `nonroot` user of distroless images, which cluster policies know."""
ARCHITECTURES: Final[Mapping[str, tuple[str, str | None]]] = {
    "x86_64": ("amd64", None),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "i686": ("386", None),
    "ppc64le": ("ppc64le", None),
    "riscv64": ("riscv64", None),
    "s390x": ("s390x", None),
}
"""Go's names for the output of `uname -m`: GOARCH and, where there are several, the variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFile:
    """A file, folder or link in the layer below the environment.

    Parameters:
        name: its path without the leading `/`.
        content: a file's bytes, or the path to read them from.
        owner: its user and group ID.
    """

    name: str
    kind: Literal["directory", "file", "link"] = "file"
    mode: int = 0o644
    content: bytes | str = b""
    linkname: str = ""
    owner: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A layer of a base image, in place on disk; `descriptor` is its entry in manifests."""

    path: str
    offset: int
    descriptor: Mapping[str, Any]

    @property
    def size(self) -> int:
        """The size in bytes."""
        return int(self.descriptor["size"])

    @property
    def digest(self) -> str:
        """The digest, prefixed with the algorithm's name."""
        return str(self.descriptor["digest"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBase:
    """What is below the environment in an image.

    Parameters:
        files: files of the build machine, stored as one layer.
        packages: the packages of the build machine that they came from.
        blobs: the layers of a base image.
        config: the contents of that image's configuration.
    """

    files: tuple[BaseFile, ...] = ()
    packages: tuple[Component, ...] = ()
    blobs: tuple[Blob, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image.

    Parameters:
        name: repository and tag.
        command: what is started, without a shell; paths are absolute.
        labels: `org.opencontainers.image.*`, from the project's metadata.
        compression: of its layers, gzip or zstd.
    """

    name: str = "app:latest"
    command: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    base: ImageBase = field(default_factory=ImageBase)
    compression: CompressionFormat = CompressionFormat.GZIP
