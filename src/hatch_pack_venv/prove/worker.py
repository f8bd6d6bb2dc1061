"""Answers questions or runs a command, in a process of the packed environment's own Python.

Its text is passed to `python -c`. Arguments: the descriptor of a socket, and what to do, as JSON:
questions, `[[module, attr], …]`, or the words of a command, `["python", …]`. It answers each
question with a line of JSON: the last line of the exception's traceback, or null if there was none;
if the module is empty, facts about the interpreter. CPython 3.9 and later.

Before anything else, it asks whether to go on: if the process that made the room was killed
meanwhile, there is no answer, and the room may not yet have been bound to the life of that process.
"""

import importlib
import json
import os
import sys
import traceback


def load(module: str, attr: str) -> None:
    """Import a module and look up an object in it; nothing is called."""
    found = importlib.import_module(module)
    for name in filter(None, attr.split(".")):
        found = getattr(found, name)


def facts() -> dict[str, object]:
    """Return where the interpreter believes itself to be."""
    return {
        "version": sys.version.split()[0],
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "stdlib": os.path.dirname(os.__file__),
        "path": [each for each in sys.path if each and os.path.exists(each)],
    }


def last_line(error: BaseException) -> str:
    """Return the last line that a traceback of the error would have, and where it was raised."""
    said = "".join(traceback.format_exception_only(type(error), error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    names = [each for each in frames if not _is_passed_through(each.filename)]
    where = f" ({names[-1].filename}, line {names[-1].lineno})" if names else ""
    return " ".join(said.split())[-1000:] + where


def _is_passed_through(filename: str) -> bool:
    """Whether a file only loads others: this script, Python's importers, a bundle's importer."""
    by_us = os.path.basename(filename) == "_pack_venv_libraries.py"
    return filename[:1] == "<" or filename == importlib.__file__ or by_us


def answer(module: str, attr: str) -> object:
    """Return the answer to a question."""
    if not module:
        return facts()
    try:
        load(module, attr)
    except BaseException as error:  # noqa: BLE001 also sys.exit and what is derived from it
        return last_line(error)
    return None


def become(words: list[str]) -> None:
    """Replace this process with a command."""
    try:
        os.execvp(words[0], words)  # noqa: S606 that is what was asked for
    except OSError as error:
        os.write(2, f"{words[0]}: {error.strerror}\n".encode())
    os._exit(127)


def main() -> None:
    """Answer all questions, and exit without running exit handlers that a module registered."""
    descriptor, questions = int(sys.argv[1]), json.loads(sys.argv[2])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 it takes it by position only
    os.write(descriptor, b"?")
    if not os.read(descriptor, 1):
        os._exit(1)
    if os.getpgrp() != os.getpid():  # in a room: signals to its own group must stay in it
        os.setsid()
    if isinstance(questions[0], str):
        become(questions)
    sys.argv[:] = [""]
    for module, attr in questions:
        line = json.dumps(answer(module, attr)) + "\n"
        os.write(descriptor, line.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
