"""Attention mechanisms, real-valued and spiking, behind one interface; one file a mechanism.

All take a padded batch and its mask, all come causal and bidirectional, all count their
operations. ``build_attention`` is the way in.
"""

from __future__ import annotations

from search_spaces.attention.base import Attention, AttentionOperations, AttentionSettings
from search_spaces.attention.fla_backend import KINDS_WITH_KERNELS, missing_package
from search_spaces.attention.fox import FoX
from search_spaces.attention.gsa import GSA
from search_spaces.attention.kda import KDA
from search_spaces.attention.lightnet import LightNet
from search_spaces.attention.none import NoAttention
from search_spaces.attention.retnet import RetNet
from search_spaces.attention.sdsa import SDSA
from search_spaces.attention.softmax import SoftmaxAttention
from search_spaces.attention.ssla import SSLA
from search_spaces.errors import NasError, nearest
from search_spaces.neurons import NEURONS

__all__ = [
    "KINDS",
    "SPIKING_KINDS",
    "Attention",
    "AttentionOperations",
    "AttentionSettings",
    "build_attention",
]

_CLASSES: dict[str, type[Attention]] = {
    "none": NoAttention,
    "softmax": SoftmaxAttention,
    "retnet": RetNet,
    "lightnet": LightNet,
    "gsa": GSA,
    "fox": FoX,
    "kda": KDA,
    "ssla": SSLA,
    "sdsa": SDSA,
}
KINDS: tuple[str, ...] = tuple(_CLASSES)
SPIKING_KINDS: tuple[str, ...] = ("ssla", "sdsa")
_WITHOUT_HEADS = ("none", "sdsa")
_BACKENDS = ("auto", "torch", "fla")


def build_attention(kind: str, settings: AttentionSettings) -> Attention:
    """Build a mechanism.

    Args:
        kind: One of ``KINDS``.
        settings: Its settings.

    Raises:
        NasError: The kind is unknown, or a setting is out of range or does not fit the kind.
    """
    if kind not in KINDS:
        raise NasError(f"no attention is called {kind!r}", hint=nearest(kind, KINDS))
    _check_sizes(kind, settings)
    _check_sparsity(kind, settings)
    if kind in SPIKING_KINDS:
        _check_neurons(settings)
    _check_backend(kind, settings)
    return _CLASSES[kind](settings)


def _check_sizes(kind: str, settings: AttentionSettings) -> None:
    for name in ("width", "heads", "chunk"):
        if getattr(settings, name) < 1:
            raise NasError(f"attention {name} must be at least 1, got {getattr(settings, name)}")
    width, heads = settings.width, settings.heads
    if kind not in _WITHOUT_HEADS and width % heads:
        fitting = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
        raise NasError(
            f"{heads} attention heads do not divide width {width}",
            hint=f"numbers of heads that do: {fitting}",
        )


def _check_sparsity(kind: str, settings: AttentionSettings) -> None:
    if kind != "ssla" and settings.sparsity != 0:
        raise NasError(
            f"attention {kind!r} has no sparsity, got {settings.sparsity}",
            hint="only 'ssla' drops entries of a context matrix; set sparsity to 0",
        )
    if not 0 <= settings.sparsity < 1:
        raise NasError(
            f"attention sparsity must be in [0, 1), got {settings.sparsity}",
            hint="it is the share of the context matrix that is set to zero",
        )


def _check_neurons(settings: AttentionSettings) -> None:
    if settings.neuron not in NEURONS:
        raise NasError(
            f"no attention neuron is called {settings.neuron!r}",
            hint=nearest(settings.neuron, NEURONS),
        )
    if settings.neuron in ("plif", "lif") and not settings.tau > 1:
        raise NasError(f"attention tau must be above 1 frame, got {settings.tau}")
    if settings.neuron != "relu" and not settings.threshold > 0:
        raise NasError(f"attention threshold must be above 0, got {settings.threshold}")


def _check_backend(kind: str, settings: AttentionSettings) -> None:
    backend: str = settings.backend
    if backend not in _BACKENDS:
        raise NasError(f"no back end is called {backend!r}", hint=nearest(backend, _BACKENDS))
    if backend != "fla":
        return
    instead = "set backend to 'torch' or 'auto'"
    if kind not in KINDS_WITH_KERNELS:
        raise NasError(
            f"back end 'fla' has no kernel for attention {kind!r}",
            hint=f"it has for {', '.join(KINDS_WITH_KERNELS)}; {instead}",
        )
    if kind == "lightnet" and not settings.causal:
        raise NasError(
            "attention 'lightnet' has a kernel in back end 'fla' only when causal",
            hint=f"not causal, it is one softmax over time and needs none; {instead}",
        )
    reason = missing_package()
    if reason is not None:
        raise NasError(
            f"attention {kind!r} cannot run on back end 'fla': {reason}",
            hint=f"`pip install fla-core triton packaging`, or {instead}",
        )
