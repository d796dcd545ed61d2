from __future__ import annotations

import sys
from pathlib import Path

# spaces.py is also loaded by the processes that the crash tests start
sys.path.insert(0, str(Path(__file__).parent))
