"""Damaged files of others give a result or a `PackVenvError`, in bounded time and memory."""

import sys
from pathlib import Path

# As pytest does, for `python -m tests.fuzz` as well.
sys.path.insert(0, str(Path(__file__).parents[1]))
