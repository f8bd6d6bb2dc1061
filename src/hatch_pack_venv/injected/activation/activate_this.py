"""Activate the environment this file lies in for the Python that runs it.

For a program that embeds Python or was started by another one:
`runpy.run_path("bin/activate_this.py")`. That Python has to be of the environment's version.
"""

import os
import site
import sys
import sysconfig

try:
    _file = __file__
except NameError:
    raise RuntimeError(
        "activate_this.py cannot tell where it lies, nothing was changed:"
        " call runpy.run_path(path), or exec with __file__ in the globals"
    ) from None

_bin = os.path.dirname(os.path.realpath(_file))
_prefix = os.path.dirname(_bin)
if os.pathsep in _bin:
    raise RuntimeError(
        f"{_bin}: PATH cannot name a folder with {os.pathsep!r}, nothing was changed;"
        " move the environment"
    )

_schemes = sysconfig.get_scheme_names()
_scheme = "venv" if "venv" in _schemes else "nt" if os.name == "nt" else "posix_prefix"
_vars = {"base": _prefix, "platbase": _prefix}
_wanted = [sysconfig.get_path(_name, _scheme, _vars) for _name in ("purelib", "platlib")]
_found = [_path for _path in dict.fromkeys(_wanted) if os.path.isdir(_path)]
if not _found:
    raise RuntimeError(
        f"{_wanted[0]} is not there, nothing was changed: the environment is for another Python"
        f" than {sys.executable or sys.version}"
    )

_old_path = os.environ.get("PATH")
_folders = [_bin]
if os.path.isfile(os.path.join(_prefix, "python.exe")):  # an archive for Windows brings it there
    _folders.append(_prefix)
os.environ["PATH"] = os.pathsep.join([*_folders, _old_path] if _old_path else _folders)
os.environ["VIRTUAL_ENV"] = _prefix
os.environ["VIRTUAL_ENV_PROMPT"] = os.path.basename(_prefix)
try:
    with open(os.path.join(_prefix, "pyvenv.cfg"), encoding="utf-8") as _config:
        for _line in _config:
            _key, _, _value = map(str.strip, _line.partition("="))
            if _key == "prompt" and _value:
                _quoted = _value[0] == _value[-1] and _value[0] in "'\"" and len(_value) > 2
                os.environ["VIRTUAL_ENV_PROMPT"] = _value[1:-1] if _quoted else _value
except FileNotFoundError:
    pass
os.environ.pop("PYTHONHOME", None)

# What the environment adds, with its .pth files, comes before what is there.
_before = list(sys.path)
sys.path[:] = []
for _path in _found:
    site.addsitedir(_path)
sys.path.extend(_path for _path in _before if _path not in sys.path)
sys.prefix = sys.exec_prefix = _prefix
