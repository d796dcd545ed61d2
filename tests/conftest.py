from __future__ import annotations

import os

# as the command line does: the surrogate's matrices are small, threads cost more than they give
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
