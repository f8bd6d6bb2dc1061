"""The `pyvenv.cfg` files that archives are shipped with (PEP 405)."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.environment import Environment


def bundled_config(version: str, prompt: str | None = None) -> bytes:
    """Return the `pyvenv.cfg` of a bundled interpreter.

    Without `home`, so that nothing in it depends on the place (measured on CPython 3.8 to 3.13);
    with the file, user site-packages stay out. `relocatable` makes uv write relative launchers.

    Parameters:
        prompt: what activation scripts show instead of the folder's name.
    """
    lines = ["include-system-site-packages = false", "relocatable = true", f"version = {version}"]
    if prompt is not None:
        lines.append(f"prompt = {prompt!r}")  # quoted, as venv does
    return ("\n".join(lines) + "\n").encode()


def fixed_interpreter_config(path: str, environment: Environment) -> bytes:
    """Return the `pyvenv.cfg` of an environment whose interpreter is fixed on the target."""
    system_site = str(environment.include_system_site_packages).lower()
    lines = [
        f"home = {posixpath.dirname(path)}",
        f"include-system-site-packages = {system_site}",
        f"version = {environment.interpreter.version}",
        f"executable = {path}",
    ]
    if environment.prompt is not None:
        lines.append(f"prompt = {environment.prompt!r}")  # quoted, as venv does
    return ("\n".join(lines) + "\n").encode()
