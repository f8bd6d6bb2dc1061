"""What others wrote, damaged: a result or a `PackVenvError`, in bounded time and memory."""

import sys
from pathlib import Path

# As pytest does it, also for `python -m tests.fuzz`.
sys.path.insert(0, str(Path(__file__).parents[1]))
