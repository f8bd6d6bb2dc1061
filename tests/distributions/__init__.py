"""Other releases of Debian: packing on each, running on all others, and running the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, to find `support`
