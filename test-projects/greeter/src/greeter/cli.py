"""The command `greet`."""

import json
import platform
import sys
from importlib.resources import files

import humanize


def main() -> None:
    """Greet the person named, in every available language."""
    name = " ".join(sys.argv[1:]) or "World"
    text = files("greeter").joinpath("data/greetings.json").read_text(encoding="utf-8")
    for greeting in json.loads(text).values():
        print(greeting.format(name=name))
    modules = humanize.apnumber(len([m for m in sys.modules if m.startswith("greeter")]))
    print(f"I am made of {modules} modules and run on CPython {platform.python_version()}")
    print(f"in {sys.prefix}")
