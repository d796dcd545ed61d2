"""The process that measures one point of :mod:`nas.bench`; started by it, never by hand."""

from __future__ import annotations

import ctypes
import json
import logging
import re
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
FIRST_FRAMES = 16
# loading libraries and, on a GPU, compiling kernels is not what the limit is about
FIRST_SECONDS = 120.0


def main(job: str) -> None:
    """Measure a point and print it as one line of JSON.

    Args:
        job: JSON of ``kind``, ``frames``, ``phase`` and the fields of :class:`nas.bench.Setting`.
    """
    with suppress(OSError):  # when memory runs out this process goes, and no other
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    result = run(**json.loads(job))
    sys.stdout.write(f"\n{json.dumps(result)}\n")


def run(
    kind: str,
    frames: int,
    phase: str,
    width: int,
    heads: int,
    batch: int,
    causal: bool,
    repeats: int,
    threads: int,
    device: str,
    limit: float,
) -> dict[str, Any]:
    """Measure a point; a first pass that is too slow kills the process by SIGALRM.

    Returns:
        The fields of :class:`nas.bench.Point` that are measured.
    """
    import torch

    from eval.process import keep_freed_memory
    from search_spaces.attention import AttentionSettings, build_attention

    backends = _listen()
    keep_freed_memory()  # as every training of nas does
    torch.set_num_threads(threads)
    torch.manual_seed(0)  # this process has one job
    cuda = device == "cuda"
    module = build_attention(kind, AttentionSettings(width=width, heads=heads, causal=causal))
    module = module.to(device).train(phase != "forward")

    def prepare(length: int) -> Callable[[], float]:
        x = torch.randn(batch, length, width, device=device)
        mask = torch.ones(batch, length, dtype=torch.bool, device=device)
        ahead = torch.ones_like(x)

        def one_pass() -> float:
            synchronize()
            began = time.perf_counter()
            if phase == "forward":
                with torch.inference_mode():
                    module(x, mask)
            else:
                module(x.requires_grad_(), mask).backward(ahead)
            synchronize()
            seconds = time.perf_counter() - began
            x.grad = None
            module.zero_grad(set_to_none=True)
            return seconds

        return one_pass

    def synchronize() -> None:
        if cuda:
            torch.cuda.synchronize()

    with _killed_after(FIRST_SECONDS + limit):
        prepare(min(FIRST_FRAMES, frames))()
    one_pass = prepare(frames)
    if cuda:
        with _killed_after(FIRST_SECONDS + limit):
            one_pass()
    gauge = _CudaGauge() if cuda else _ProcessGauge()
    with _killed_after(limit):
        gauge.start()
        one_pass()
        memory = gauge.growth()
    before = resource.getrusage(resource.RUSAGE_SELF)
    latencies = [one_pass() for _ in range(repeats)]
    after = resource.getrusage(resource.RUSAGE_SELF)
    system = after.ru_stime - before.ru_stime
    busy = system + after.ru_utime - before.ru_utime
    return {
        "status": "measured",
        "latency": statistics.median(latencies),
        "latencies": latencies,
        "memory": memory,
        "gauge": gauge.name,
        "system": system / busy if busy else None,
        "backend": ", ".join(dict.fromkeys(backends)) or "torch",
        "device": torch.cuda.get_device_name() if cuda else None,
    }


def _listen() -> list[str]:
    """Collect the back ends that attention says it runs on; kinds with one only say nothing."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and len(record.args) == 3:
                heard.append(str(record.args[1]))  # "attention %s runs on %s: %s"

    logger = logging.getLogger("search_spaces.attention")
    logger.setLevel(logging.INFO)
    logger.addHandler(Listener())
    return heard


@contextmanager
def _killed_after(seconds: float) -> Iterator[None]:
    """End this process by SIGALRM after a while, also in the middle of a kernel."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


class _CudaGauge:
    """Growth of what torch holds on the GPU; the caller has synchronized."""

    name = "torch.cuda.max_memory_allocated"

    def start(self) -> None:
        """Remember what is held now."""
        import torch

        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated()

    def growth(self) -> int:
        """Return the peak since, in bytes over what was held."""
        import torch

        return int(torch.cuda.max_memory_allocated()) - self._before


class _ProcessGauge:
    """Growth of this process's resident memory.

    ``ru_maxrss`` alone would not do: a process inherits it from the one that started it, and
    it remembers the peak of the imports. Linux can forget the peak (``clear_refs``).
    """

    def __init__(self) -> None:
        self.name = "peak resident memory"

    def start(self) -> None:
        """Forget the peak and remember what is resident now."""
        with suppress(OSError, AttributeError):  # give back what importing has freed
            ctypes.CDLL(None).malloc_trim(0)
        try:
            CLEAR.write_text("5", encoding="ascii")
            self._before: int = _status("VmRSS")
        except OSError:
            self.name = "ru_maxrss (a lower bound)"
            self._before = _maxrss()

    def growth(self) -> int:
        """Return the peak since, in bytes over what was resident."""
        peak = _maxrss() if self.name.startswith("ru_maxrss") else _status("VmHWM")
        return max(0, peak - self._before)


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise OSError(f"no {name} in {STATUS}")
    return 1024 * int(found[1])


def _maxrss() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1])
