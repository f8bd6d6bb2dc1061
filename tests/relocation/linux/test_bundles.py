"""An unpacked bundle beyond running its programs: children, installers, certificates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support import hiding
from support.binaries import compile_library, runpath
from support.environments import install, make_environment, run, tool
from support.hiding import make_system, run_in_system
from support.interpreters import Python, bundlable, system_python
from support.machine import needs
from support.projects import build_wheel
from support.trees import extract, make_wheel, tree_state

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.api.pack import export

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [needs("namespaces", "shared CPython"), pytest.mark.network]
BARE: Final = {"PATH": "/usr/bin:/bin"}
KINDS: Final = {"shared": bundlable()[-1:], "system": [p for p in [system_python()] if p]}


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An unpacked archive of the service, and the originals that it was made from."""

    root: Path
    python: Python
    environment: Path

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the originals hidden."""
        return hiding.run_hidden(command, hide=self.hidden, env={**BARE, **variables})

    @property
    def hidden(self) -> list[Path]:
        """Return the originals that the bundle was made from."""
        library = Path(f"/usr/lib/python{self.python.minor}")
        base = library if self.python.prefix == Path("/usr") else self.python.prefix
        return [self.environment, base]

    def must(self, *command: str | Path, **variables: str) -> str:
        """Run a command that must succeed, and return its output."""
        done = self.run(*command, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Unpacked]:
    """Pack and unpack the service once for each kind of interpreter."""
    made: dict[str, Unpacked] = {}
    folder = tmp_path_factory.mktemp("service")

    def make(kind: str) -> Unpacked:
        if kind not in made:
            (python,) = KINDS[kind]
            wheel = next(folder.glob("service/dist/*.whl"), None) or build_wheel("service", folder)
            environment = make_environment(folder / kind / "app", python, [str(wheel)], by="uv")
            options = PackOptions.from_mapping({"format": "tar"})
            (result,) = pack(environment, folder / kind / "archive", options)
            with tarfile.open(result.path) as tar:
                extract(tar, folder / kind / "un packed")
            root = folder / kind / "un packed/app"
            made[kind] = Unpacked(root=root, python=python, environment=environment)
        return made[kind]

    return make


each_kind = pytest.mark.parametrize("kind", [kind for kind, found in KINDS.items() if found])


@each_kind
@pytest.mark.parametrize("by", ["venv", "virtualenv", "uv"])
def test_its_child_environments_run(
    service: Callable[[str], Unpacked], tmp_path: Path, kind: str, by: str
) -> None:
    """venv (with pip), virtualenv and uv make environments from it that take installations."""
    bundle = service(kind)
    python = bundle.root / "bin/python"
    child = tmp_path / "child"
    if by == "venv" and kind == "system" and not (bundle.root / "share/python-wheels").is_dir():
        pytest.skip("the system's Python has no ensurepip")
    commands: dict[str, list[str | Path]] = {
        "venv": [python, "-m", "venv"],
        "virtualenv": [Path(sys.executable), "-m", "virtualenv", "-p", python],
        "uv": [tool("uv"), "venv", "--python", python],
    }
    bundle.must(*commands[by], child, HOME=str(tmp_path), PATH=os.environ["PATH"])
    code = "import sys, ssl, ctypes, sqlite3; print(sys.prefix, sys.base_prefix)"
    assert bundle.must(child / "bin/python", "-c", code) == f"{child} {bundle.root}\n"
    wheel = make_wheel(
        tmp_path, {"child_package.py": b"x = 1\n"}, "child_package-1-py3-none-any.whl"
    )
    if by == "uv":
        command: list[str | Path] = [tool("uv"), "pip", "install", "--python", child / "bin/python"]
    else:
        command = [child / "bin/python", "-m", "pip", "install", "--no-index"]
    bundle.must(*command, "--no-deps", wheel, HOME=str(tmp_path))
    assert bundle.must(child / "bin/python", "-c", "import child_package as c; print(c.x)") == "1\n"
    where = bundle.must(child / "bin/python", "-c", "import child_package as c; print(c.__file__)")
    assert where.startswith(f"{child}/lib/python{bundle.python.minor}/site-packages/")


@each_kind
def test_installers_install_into_it(
    service: Callable[[str], Unpacked], tmp_path: Path, kind: str
) -> None:
    """pip and uv install into its site-packages, and uv's launchers survive another move."""
    shutil.copytree(service(kind).root, tmp_path / "copy/app", symlinks=True)
    bundle = Unpacked(
        root=tmp_path / "copy/app",
        python=service(kind).python,
        environment=service(kind).environment,
    )
    python = bundle.root / "bin/python"
    site = bundle.root / f"lib/python{bundle.python.minor}/site-packages"
    installs: dict[str, list[str | Path]] = {
        "of_uv": [tool("uv"), "pip", "install", "--python", python],
        "of_pip": [sys.executable, "-m", "pip", "--python", python, "install", "--no-index"],
    }
    for name, command in installs.items():
        wheel = make_wheel(
            tmp_path,
            {
                f"{name}.py": b"import sys\ndef main(): print(sys.prefix)\n",
                f"{name}-1.dist-info/entry_points.txt": (
                    f"[console_scripts]\nrun-{name} = {name}:main\n".encode()
                ),
            },
            f"{name}-1-py3-none-any.whl",
        )
        bundle.must(*command, "--no-deps", wheel, HOME=str(tmp_path))
        assert (site / f"{name}.py").is_file()
        assert bundle.must(bundle.root / f"bin/run-{name}") == f"{bundle.root}\n"
    moved = bundle.root.rename(tmp_path / "moved on")
    assert bundle.must(moved / "bin/run-of_uv") == f"{moved}\n"
    assert bundle.must(moved / "bin/service-panel") == "panel\n"


@each_kind
def test_nothing_foreign_is_imported(
    service: Callable[[str], Unpacked], tmp_path: Path, kind: str
) -> None:
    """Packages of the same name in the user site are ignored; PYTHONPATH is honoured."""
    bundle = service(kind)
    user = tmp_path / f".local/lib/python{bundle.python.minor}/site-packages"
    user.mkdir(parents=True)
    for name in ("markupsafe", "pydantic", "usercustomize", "service"):
        (user / f"{name}.py").write_text("raise SystemExit('foreign')\n")
    (user / "foreign.pth").write_text("import sys; sys.exit('foreign')\n")
    facts = json.loads(bundle.must(bundle.root / "bin/service-admin", HOME=str(tmp_path)))
    assert facts["foreign"] == []
    assert bundle.must(bundle.root / "bin/service-api", HOME=str(tmp_path)).startswith("1 ")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/added.py").write_text("x = 'added'\n")
    code = "import added; print(added.x)"
    python = bundle.root / "bin/python"
    assert bundle.must(python, "-c", code, PYTHONPATH=str(tmp_path / "extra")) == "added\n"


def test_a_foreign_libpython_of_the_same_minor_is_not_loaded(
    service: Callable[[str], Unpacked], tmp_path: Path
) -> None:
    """Another build of the same library on LD_LIBRARY_PATH is ignored."""
    bundle = service("shared")
    name = f"libpython{bundle.python.minor}.so.1.0"
    shutil.copyfile(bundle.python.prefix / "lib" / name, tmp_path / name)
    facts = json.loads(
        bundle.must(bundle.root / "bin/service-admin", LD_LIBRARY_PATH=str(tmp_path))
    )
    assert facts["libpython"] == [str(bundle.root / "lib" / name)]


@needs("busybox")
@pytest.mark.parametrize(
    ("layout", "found"),
    [
        ("/etc/ssl/certs/ca-certificates.crt", True),
        ("/etc/pki/tls/certs/ca-bundle.crt", True),
        ("/etc/ssl/ca-bundle.pem", True),
        ("/elsewhere/bundle.pem", False),
    ],
    ids=["Debian", "RHEL", "SUSE", "none"],
)
def test_certificates_are_found_where_the_target_keeps_them(
    service: Callable[[str], Unpacked], tmp_path: Path, layout: str, found: bool
) -> None:
    """OpenSSL trusts the target's certificates on every distribution, and none without them."""
    bundle = service("shared")
    system = make_system(tmp_path / "root")
    (authorities,) = Path(sys.prefix).glob("lib/python3*/site-packages/pip/_vendor/certifi/*.pem")
    target = system / layout.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(authorities, target)
    code = (
        "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 50,"
        " ssl.get_default_verify_paths().cafile)"
    )
    command = ["/opt/app/bin/python", "-c", code]
    done = run_in_system(system, command, seen={bundle.root: "/opt/app"})
    assert done.stdout == (f"True {layout}\n" if found else "False None\n"), done.stderr
    variables = {"PATH": "/bin", "SSL_CERT_FILE": layout}
    done = run_in_system(system, command, seen={bundle.root: "/opt/app"}, env=variables)
    assert done.stdout == f"True {layout}\n", done.stderr


@each_kind
def test_a_thread_ends_where_there_is_only_glibc(kind: str, tmp_path: Path) -> None:
    """A bundle has libgcc_s, which glibc opens for pthread_exit(3) though few files name it."""
    (python,) = KINDS[kind]
    environment = make_environment(tmp_path / "env", python, [], by="uv")
    export(environment, tmp_path / "app", PackOptions.from_mapping({}))
    code = (
        "import _thread, ctypes, os, time\n"
        "_thread.start_new_thread(ctypes.CDLL(None).pthread_exit, (None,))\n"
        "time.sleep(1)\n"
        "os.write(1, b'alive')\n"
        "os._exit(0)\n"
    )
    system = make_system(tmp_path / "root")
    command = ["/opt/app/bin/python", "-c", code]
    done = run_in_system(system, command, seen={tmp_path / "app": "/opt/app"})
    assert (done.returncode, done.stdout) == (0, "alive"), done.stderr


def test_the_bases_packages_come_along_where_they_are_seen(tmp_path: Path) -> None:
    """With include-system-site-packages the base's packages are packed; the environment's win."""
    from support.interpreters import copy_prefix  # only other tests need its compiler

    python = bundlable()[-1]
    base = tmp_path / "base"
    executable = copy_prefix(python, base)
    site = base / f"lib/python{python.minor}/site-packages"
    shutil.rmtree(site, ignore_errors=True)
    for name, text in (("only_base", b"x = 'base'\n"), ("both", b"x = 'base'\n")):
        wheel = make_wheel(tmp_path, {f"{name}/__init__.py": text}, f"{name}-1-py3-none-any.whl")
        run(tool("uv"), "pip", "install", "--target", site, "--no-deps", wheel)
    (site / "both/gone.py").write_text("")
    (site / "foreign.pth").write_text("/somewhere/else\n")
    environment = tmp_path / "environment"
    run(tool("uv"), "venv", "--system-site-packages", "--python", executable, environment)
    wheel = make_wheel(tmp_path, {"both/__init__.py": b"x = 'own'\n"}, "both-2-py3-none-any.whl")
    install(environment, "--no-deps", wheel)
    options = PackOptions.from_mapping({"format": "tar"})
    (result,) = pack(environment, tmp_path / "archive", options)
    with tarfile.open(result.path) as tar:
        extract(tar, tmp_path / "there")
    root = tmp_path / "there/environment"
    code = (
        "import only_base, both, importlib.metadata as m; print(only_base.x, both.x,"
        " sorted((d.name, d.version) for d in m.distributions()))"
    )
    done = hiding.run_hidden([root / "bin/python", "-c", code], hide=[base, environment], env=BARE)
    assert done.stdout == "base own [('both', '2'), ('only_base', '1')]\n", done.stderr
    assert list(root.glob("lib/python3*/site-packages/both/gone.py")) == []
    (own,) = root.glob("lib/python3*/site-packages/*.pth")
    assert own.name == "_pack_venv_libraries.pth"
    manifest = json.loads((root / "share/venv/metadata/pack-venv.json").read_bytes())
    assert [each["name"] for each in manifest["distributions"]] == ["both", "only_base"]


@needs("busybox")
def test_a_packed_module_with_a_search_path_of_its_own_finds_the_libraries(tmp_path: Path) -> None:
    """A DT_RUNPATH would hide the bundle's folder: the copy has a DT_RPATH and a correct RECORD."""
    environment = make_environment(tmp_path / "environment", bundlable()[-1], by="uv")
    module = compile_library(
        tmp_path / "libmine.so",
        "-lz",
        *runpath("$ORIGIN/nowhere"),
        source="const char *zlibVersion(void); const char *mine(void) { return zlibVersion(); }",
    )
    files = {"mine/__init__.py": b"", "mine/libmine.so": module.read_bytes()}
    wheel = make_wheel(tmp_path, files, "mine-1-py3-none-any.whl")
    install(environment, "--no-deps", wheel)
    before = tree_state(environment)
    (result,) = pack(environment, tmp_path / "app", PackOptions.from_mapping({"format": "tar"}))
    assert tree_state(environment) == before
    with tarfile.open(result.path) as tar:
        extract(tar, tmp_path / "there")
    code = (
        "import ctypes, mine, importlib.metadata as m, base64, hashlib, pathlib\n"
        "ctypes.CDLL(mine.__path__[0] + '/libmine.so').mine\n"
        "for file in m.files('mine'):\n"
        "    digest = hashlib.sha256(file.locate().read_bytes()).digest()\n"
        "    text = base64.urlsafe_b64encode(digest).decode().rstrip('=')\n"
        "    assert file.hash is None or file.hash.value == text, file\n"
        "print('true')\n"
    )
    done = run_in_system(
        make_system(tmp_path / "root"),
        ["/opt/environment/bin/python", "-c", code],
        seen={tmp_path / "there": "/opt"},
    )
    assert done.stdout == "true\n", done.stderr


PROGRAM = """
#include <stdio.h>
const char *zlibVersion(void);
int main(void) { puts(zlibVersion()); return 0; }
"""


@needs("busybox", "gcc")
@pytest.mark.parametrize("path", ["none", "own"])
def test_a_packed_program_finds_the_libraries_by_itself(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A program gets a search path of its own; one with appended data is left unchanged."""
    environment = make_environment(tmp_path / "environment", bundlable()[-1], by="uv")
    (tmp_path / "tool.c").write_text(PROGRAM)
    flags = [] if path == "none" else runpath("$ORIGIN/nowhere")
    run("gcc", "-o", tmp_path / "tool", tmp_path / "tool.c", *flags, "-l:libz.so.1")
    program = (tmp_path / "tool").read_bytes()
    scripts = {"tool": program, "with-payload": program + b"payload" * 100}
    files = {f"mine-1.data/scripts/{name}": content for name, content in scripts.items()}
    files["mine/lib/tool"] = program
    install(environment, "--no-deps", make_wheel(tmp_path, files, "mine-1-py3-none-any.whl"))
    nested = next(environment.glob("lib/python*/site-packages/mine/lib/tool"))
    nested.chmod(0o755)
    export(environment, tmp_path / "app", PackOptions.from_mapping({}))
    assert (tmp_path / "app/bin/with-payload").read_bytes() == scripts["with-payload"]
    (told,) = (text for text in caplog.messages if "cannot find them by itself" in text)
    assert told.startswith("bin/with-payload needs bundled libraries but")
    system = make_system(tmp_path / "root")
    for name in ("bin/tool", str(nested.relative_to(environment))):
        done = run_in_system(system, [f"/opt/app/{name}"], seen={tmp_path / "app": "/opt/app"})
        assert (done.returncode, done.stderr) == (0, ""), name


@needs("busybox")
def test_tcl_starts_where_there_is_none(service: Callable[[str], Unpacked], tmp_path: Path) -> None:
    """Tcl finds its own scripts and modules in the bundle, wherever that is."""
    bundle = service("shared")
    code = (
        "import tkinter; tcl = tkinter.Tcl(); print(tcl.eval('info library'), *map(tcl.eval,"
        " ['package require http', 'package require msgcat', 'clock format 0 -format %s']))"
    )
    if subprocess.run([bundle.python.path, "-B", "-c", code], capture_output=True).returncode != 0:
        pytest.skip("the interpreter has no tkinter")
    system = make_system(tmp_path / "root")
    command = ["/opt/app/bin/python", "-c", code]
    done = run_in_system(system, command, seen={bundle.root: "/opt/app"})
    assert done.stdout.startswith("/opt/app/lib/tcl"), done.stderr
    assert done.stdout.endswith(" 0\n")
