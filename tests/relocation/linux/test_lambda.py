"""The recipe for AWS Lambda: the packed function serves a mock of the runtime API."""

from __future__ import annotations

import json
import os
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from support.documentation import README
from support.environments import make_environment
from support.hiding import run_hidden
from support.interpreters import newest_of_each
from support.machine import needs
from support.trees import make_wheel

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.slow]
HEADERS = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Client-Context": "{}",
    "Lambda-Runtime-Cognito-Identity": "{}",
    "Lambda-Runtime-Aws-Tenant-Id": "tenant",
    "Lambda-Runtime-Deadline-Ms": "1893456000000",
    "Lambda-Runtime-Invocation-Id": "1",
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:x:1:function:f",
    "Lambda-Runtime-Trace-Id": "Root=1-x",
}
HANDLER = b"def handler(event, context):\n    return {'hello': event['name']}\n"


class RuntimeApi(BaseHTTPRequestHandler):
    """Has one invocation, and records the answer (`docs.aws.amazon.com`, "runtimes-api")."""

    answers: list[object]

    def do_GET(self) -> None:
        """Hand out the invocation; after the answer close the connection to end the function."""
        if self.answers:
            return
        body = b'{"name": "World"}'
        self.send_response(200)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Record the answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.append((self.path.rpartition("/")[2], json.loads(body)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def bootstrap() -> str:
    text = (README.parent / "docs/recipes/lambda.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"<!-- bootstrap -->\n```sh\n(.*?)```", text, re.DOTALL)
    return str(found)


@needs("namespaces")
def test_a_packed_function_answers(tmp_path: Path) -> None:
    """Unpacked as Lambda unpacks it, with the originals hidden, it answers an invocation."""
    python = next(each for each in newest_of_each() if each.minor in ("3.11", "3.12", "3.13"))
    env = make_environment(tmp_path / "env", python, ["awslambdaric"], by="uv")
    script = env / "bootstrap"
    script.write_text(bootstrap())
    script.chmod(0o755)
    wheel = make_wheel(tmp_path, {"greeter.py": HANDLER}, "greeter-1.0-py3-none-any.whl")
    table: dict[str, object] = {
        "format": "zip",
        "install-target": ".",
        "max-size": "250MB",
        "wheels": [str(wheel)],
    }
    table["interpreter-trim"] = "minimal"
    (result,) = pack(env, tmp_path / "greeter", PackOptions.from_mapping(table))
    task = tmp_path / "task"
    with zipfile.ZipFile(result.path) as archive:
        for info in archive.infolist():
            path = archive.extract(info, task)
            os.chmod(path, info.external_attr >> 16 or 0o755)
    server = HTTPServer(("127.0.0.1", 0), RuntimeApi)
    RuntimeApi.answers = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    variables = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "LAMBDA_TASK_ROOT": str(task),
        "_HANDLER": "greeter.handler",
        "PATH": "/usr/bin:/bin",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "AWS_REGION": "x",
    }
    command: list[str | Path] = ["timeout", "20", task / "bootstrap"]
    done = run_hidden(command, hide=[env, python.prefix], env=variables)
    server.shutdown()
    server.server_close()
    assert RuntimeApi.answers == [("response", {"hello": "World"})], done.stderr
