"""Every call of the system made to fail in turn: packing, exporting and verifying stay whole."""

import sys
from pathlib import Path

# As pytest does it, also for `python -m tests.faults`.
sys.path.insert(0, str(Path(__file__).parents[1]))
