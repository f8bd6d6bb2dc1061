"""Every system call is made to fail in turn: packing, exporting and verifying stay sound."""

import sys
from pathlib import Path

# As pytest does, for `python -m tests.faults` as well.
sys.path.insert(0, str(Path(__file__).parents[1]))
