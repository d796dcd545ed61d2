"""The C way of the neurons: compiled once, kept in the cache, compared before it is used.

``NAS_KERNEL=plain`` turns it off, ``NAS_KERNEL=native`` makes it an error to have none.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import secrets
import shutil
import subprocess
from functools import cache
from pathlib import Path

from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

VARIABLE = "NAS_KERNEL"
LANES = 64  # of a block, as in spikes.c
SOURCE = Path(__file__).with_name("spikes.c")
# contraction, or any re-ordering, would round otherwise than torch does
FLAGS = (
    "-std=c11",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)
PATIENCE = 120.0  # [s] for a compiler on a busy machine


def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None where torch operations have to do.

    Raises:
        NasError: ``NAS_KERNEL`` asks for what there is not.
    """
    return _found()[0]


def description() -> str:
    """Say which way the neurons go on this machine, and why."""
    return _found()[1]


def _found() -> tuple[ctypes.CDLL | None, str]:
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "plain", "native"):
        raise NasError(f"{VARIABLE}={asked!r} means nothing", hint="plain, native, or unset it")
    if asked == "plain":
        return None, f"torch operations ({VARIABLE}=plain)"
    found, about = _load()
    if found is None and asked == "native":
        raise NasError(f"no compiled neurons: {about}", hint=f"unset {VARIABLE}")
    return found, about


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    compiler = next(
        filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None
    )
    if compiler is None:
        return None, "torch operations (no C compiler found)"
    try:
        loaded = _declared(_opened(compiler))
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        return None, f"torch operations ({compiler} cannot compile them: {_reason(error)})"
    if not _agrees(loaded):
        return None, f"torch operations (what {compiler} compiles rounds otherwise)"
    return loaded, f"compiled by {compiler}"


def _opened(compiler: str) -> ctypes.CDLL:
    path = _compiled(compiler)
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # a file that was damaged since: once more
        path.unlink()
        return ctypes.CDLL(str(_compiled(compiler)))


def _compiled(compiler: str) -> Path:
    """Compile, unless this compiler has for this processor before."""
    version = _run([compiler, "--version"]).stdout
    about = [SOURCE.read_bytes(), " ".join(FLAGS).encode(), version, _processor().encode()]
    name = hashlib.sha256(b"\0".join(about)).hexdigest()[:16]
    path = cache_dir("kernels", f"spikes-{name}.so")
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        _run([compiler, *FLAGS, "-o", str(making), str(SOURCE)])
        making.replace(path)  # whole, whoever else compiles at this moment
    finally:
        with contextlib.suppress(OSError):
            making.unlink(missing_ok=True)
    return path


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)


def _processor() -> str:
    """Return what ``-march=native`` depends on: a home may be shared by unlike machines."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return "\n".join(sorted({x for x in lines if x.startswith(("flags", "Features"))}))
    return f"{platform.machine()} {platform.processor()}"


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    pointer, whole, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    for kind in ("f32", "bf16"):
        forward, backward = (getattr(found, f"{w}_{kind}") for w in ("forward", "backward"))
        forward.restype = None
        forward.argtypes = [pointer] * 2 + [whole] * 2 + [ctypes.c_int, real, real]
        backward.restype = None
        backward.argtypes = [pointer] * 5 + [whole] * 2 + [ctypes.c_int, real, real, real]
    return found


def _agrees(found: ctypes.CDLL) -> bool:
    """Whether spikes and gradients are those of torch operations, to the last bit."""
    import torch

    from search_spaces.kernels import compiled, plain

    steps, lanes, threshold, alpha = 6, LANES + 7, 1.0, 2.0
    x = torch.linspace(-3.0, 6.0, steps * lanes).roll(lanes // 2).view(steps, lanes)
    x[0, :9] = threshold / 0.3  # as near to the threshold as can be
    grad = x.flip(0) / 3.0
    for k in (0.3, None):
        ours = compiled.forward(found, x, k, threshold)
        of_x, of_k = compiled.backward(found, grad, x, k, threshold, alpha)
        their_x, their_k = plain.backward(grad, x, k, threshold, alpha)
        same = torch.equal(ours, plain.forward(x, k, threshold)) and torch.equal(of_x, their_x)
        if not (same and torch.equal(of_k, their_k)):
            return False
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else f"exit code {error.returncode}"
    return str(error)
