"""The command `service-api`: validates and escapes its arguments."""

import sys

from markupsafe import _speedups, escape
from pydantic import BaseModel


class Message(BaseModel):
    """A caller's message."""

    count: int
    text: str


def main() -> None:
    """Print a message from the command line: a count and a text."""
    count, text = [*sys.argv[1:], "1", "<&>"][:2]
    message = Message.model_validate({"count": count, "text": text})
    print(message.count, escape(message.text), _speedups.__name__)
