"""Which modules of a standard library can be imported."""

from __future__ import annotations

from typing import Final

IMPORT_ALL: Final = """
import contextlib, io, os, sys, warnings
warnings.simplefilter("ignore")
folder = os.path.dirname(os.__file__)
names = set(sys.builtin_module_names)
left_out = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib",
            "turtledemo"}
for base, folders, files in os.walk(folder):
    folders[:] = [f for f in folders if f not in left_out and not f.startswith("config-")]
    package = os.path.relpath(base, folder).replace(os.sep, ".") + "."
    package = "" if package in ("..", "lib-dynload.") else package
    for file in files:
        stem = file.split(".")[0]
        if file.endswith((".py", ".so")) and stem not in ("__main__", "antigravity"):
            names.add((package + stem).removesuffix(".__init__"))
for name in sorted(names):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            __import__(name)
    except BaseException as error:
        print("-", name, type(error).__name__, error)
    else:
        print("+", name)
"""
"""Run as a program: a line for each module, `+ name` or `- name reason`."""


def imported(output: str) -> set[str]:
    """Return the modules that were imported."""
    return {line[2:] for line in output.splitlines() if line.startswith("+ ")}


def failed(output: str) -> dict[str, str]:
    """Return why modules were not."""
    lines = [line[2:] for line in output.splitlines() if line.startswith("- ")]
    return {line.split()[0]: line for line in lines}
