from __future__ import annotations

import subprocess
import sys


def test_a_prepared_process_has_one_thread_and_keeps_its_memory() -> None:
    """In a process of its own; with glibc a freed large tensor stays resident."""
    script = """
import re, torch
from pathlib import Path
from eval.process import keep_freed_memory, prepare_cpu
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
prepare_cpu()
assert torch.get_num_threads() == 1
if keep_freed_memory():
    before = resident()
    x = torch.ones(16, 1024, 1024)  # 64 MiB, far above glibc's first threshold
    del x
    assert resident() - before > 60_000, resident() - before
"""
    subprocess.run([sys.executable, "-c", script], check=True)
