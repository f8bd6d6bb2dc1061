"""Other releases of Debian: packing there, running on all others, and these tests there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does: `support` is found there
