from __future__ import annotations

import sys
from pathlib import Path

# ttfs_nets.py and ttfs_plain.py serve every test of search_spaces.ttfs
sys.path.insert(0, str(Path(__file__).parent))
