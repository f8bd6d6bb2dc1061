"""Pack prepared virtual environments into portable, reproducible archives."""

from .archives import PackResult
from .conversion import convert_symlinks
from .errors import PackVenvError
from .formats import CompressionFormat
from .options import PackOptions
from .packing import pack
from .seed import create_archive, export_venv, get_archive_path

__version__ = "0.1.0"

__all__ = [
    "CompressionFormat",
    "PackOptions",
    "PackResult",
    "PackVenvError",
    "convert_symlinks",
    "create_archive",
    "export_venv",
    "get_archive_path",
    "pack",
]
