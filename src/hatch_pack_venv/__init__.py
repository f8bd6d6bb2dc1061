"""Pack prepared virtual environments into portable, reproducible archives.

The names below are imported on first use: a build that packs nothing imports this package too, and
should not pay for the code that packs. `typing` is not imported here either: Ctrl-C during the
hundredth of a second that this takes would end with a traceback.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from .api.convert_symlinks import convert_symlinks
    from .api.pack import pack
    from .api.venvstacks import create_archive, export_venv, get_archive_path
    from .config.options import PackOptions
    from .model.errors import PackVenvError
    from .model.formats import CompressionFormat
    from .model.results import PackResult

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

_MODULES: Final = {
    "CompressionFormat": "model.formats",
    "PackOptions": "config.options",
    "PackResult": "model.results",
    "PackVenvError": "model.errors",
    "convert_symlinks": "api.convert_symlinks",
    "create_archive": "api.venvstacks",
    "export_venv": "api.venvstacks",
    "get_archive_path": "api.venvstacks",
    "pack": "api.pack",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value
