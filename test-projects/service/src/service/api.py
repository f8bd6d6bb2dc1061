"""The command `service-api`: validates and escapes what it is given."""

import sys

from markupsafe import _speedups, escape
from pydantic import BaseModel


class Message(BaseModel):
    """What a caller sends."""

    count: int
    text: str


def main() -> None:
    """Print a message from the command line: a count and a text."""
    count, text = [*sys.argv[1:], "1", "<&>"][:2]
    message = Message.model_validate({"count": count, "text": text})
    print(message.count, escape(message.text), _speedups.__name__)
